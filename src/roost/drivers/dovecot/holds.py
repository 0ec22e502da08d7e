"""The source of a move: a mailbox is held, given away, or opened again. The rows are in the table ``standing``.

What Dovecot answers follows from a row at once and by the view ``door`` (``schema.sql``): it takes no answer about a
mailbox's place from its cache (the templates say how). So whoever asks after a row was written gets what it says.
Who asked before it and has not opened the mail meets the fence (``fence.py``); who has opened it is ended here.

A crash at any point leaves one of these, and ``recover`` puts each right:

======================================  ==============================================================================
what is left                            what it means until then
======================================  ==============================================================================
``held``, not fenced                    held until the deadline, then closed to all
``held``, fenced                        held until the deadline, then open, with the mail at ``<home>.moving``
``moved``                               the target is the owner: this was on the disk before the agent said so
======================================  ==============================================================================
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot import beginners, copying, fence, tickets
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.occupants import empty, end_sessions
from roost.ports.host import Host
from roost.ports.mailstore import Stand, Standing

_LONGER = 30.0
"""By so many seconds a deadline is put off while a step is made that it must not cut in two."""

_OVERDUE = 2.0
"""For so many seconds a mailbox that is open again is closed, to try whether its mail can be put back."""

_HOLD = """
INSERT INTO standing (move, number, address, home, peer, stand, until, imap, pop3, lmtp, sieve, ticket)
VALUES (:move, :number, :address, :home, :peer, 'held',
    (SELECT now FROM clock) + :seconds, :imap, :pop3, :lmtp, :sieve, :ticket)
ON CONFLICT (move) DO UPDATE SET until = excluded.until, imap = excluded.imap, pop3 = excluded.pop3,
    lmtp = excluded.lmtp, sieve = excluded.sieve, ticket = excluded.ticket
"""
# A deadline that is nearer than a twentieth of a second counts as over.
_PUT_OFF = """
UPDATE standing SET until = until + ?
WHERE move = ? AND stand = 'held' AND fenced = 1 AND until - (SELECT now FROM clock) > 0.05 RETURNING until
"""
_GIVE = "UPDATE standing SET stand = 'moved', evidence = ? WHERE move = ? AND stand = 'held'"
_LEFT = "SELECT home, until - now FROM standing, clock WHERE move = ? AND stand = 'held'"
_UNTIL = "UPDATE standing SET until = (SELECT now FROM clock) + ? WHERE move = ? AND stand = 'held'"
_STANDINGS = "SELECT move, address, number, peer, stand, until - now, evidence FROM standing, clock ORDER BY move"


class Holds:
    """Every hold of this node, and what was given away. May be used from several threads."""

    def __init__(self, database: Database, layout: Layout, host: Host) -> None:
        self._database = database
        self._layout = layout
        self._host = host
        self._busy: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def hold(self, order: Order, seconds: float, ports: Mapping[str, int]) -> str:
        """Close a mailbox and end whoever is in it; see ``roost.ports.mailstore``."""
        home, ticket = fence.home_of(order), secrets.token_urlsafe(24)
        values = {
            "move": order.move,
            "number": order.number,
            "address": order.address,
            "home": home,
            "peer": order.peer,
            "seconds": seconds,
            "ticket": ticket,
            **ports,
        }
        with self._busy[order.move]:
            if self._stand(order.move) == Stand.MOVED:
                raise DaemonFailed(f"The mailbox of move {order.move} was given away already.")
            begin = time.monotonic()
            with self._database.write() as connection:
                connection.execute(_HOLD, values)
                tickets.issue(connection, order, ticket, seconds)
            try:
                # Who was let in a moment ago is not refused: he becomes a session, and is then ended like others.
                time.sleep(min(beginners.seconds(self._host), seconds / 10))
                end_sessions(self._layout, Path(self._layout.mail) / home)
                apart = fence.close(self._layout, home)
                self._set_fenced(order.move, fenced=True)
                end_sessions(self._layout, apart)
                empty(self._layout, apart, seconds / 2 - (time.monotonic() - begin))
            except DaemonFailed:
                self._lift(order.move)
                raise
            return ticket

    def lift(self, move: int) -> None:
        """Open a mailbox that is held."""
        with self._busy[move]:
            self._lift(move)

    def give_away(self, move: int, evidence: str) -> bool:
        """Write that a mailbox is the target's.

        A commit takes effect when its fsync is done, which may take longer than the deadline is away; then somebody
        could be let in between. So the deadline is put off first, by a commit without fsync, and only if that took
        effect before the old one is the mailbox given away. The copy that stays is marked before the commit: a mark
        too many is taken back with the hold, one too few would make a mailbox that has left look as if it were here.
        """
        with self._busy[move]:
            if self._stand(move) == Stand.MOVED:
                return True
            with self._database.write(durable=False) as connection:
                found = connection.execute(_PUT_OFF, (_LONGER, move)).fetchone()
            with self._database.read() as connection:
                (now,) = connection.execute("SELECT now FROM clock").fetchone()
            if found is None or now >= found[0] - _LONGER:
                return False
            kept = fence.moving(Path(self._layout.mail) / self.home(move))
            copying.mark(self._host, self._layout, kept, copying.Mark(move, evidence))
            with self._database.write() as connection:
                connection.execute(_GIVE, (evidence, move))
            return True

    def home(self, move: int) -> str:
        """Return the home of a mailbox that is held or was given away, '' for none."""
        with self._database.read() as connection:
            found = connection.execute("SELECT home FROM standing WHERE move = ?", (move,)).fetchone()
        return str(found[0]) if found else ""

    def standings(self) -> list[Standing]:
        """Return every row."""
        with self._database.read() as connection:
            found = connection.execute(_STANDINGS).fetchall()
        return [
            Standing(move, address, number, peer, Stand(stand), 0.0 if stand == Stand.MOVED else left, evidence)
            for move, address, number, peer, stand, left, evidence in found
        ]

    def recover(self, *, all_: bool) -> None:
        """Lift the holds whose deadline is over, or ``all_`` of them, as an agent does that begins anew.

        One that cannot be lifted does not keep the others waiting; the first ``DaemonFailed`` is raised in the end.
        """
        failed: list[DaemonFailed] = []
        for standing in self.standings():
            try:
                if standing.stand == Stand.MOVED and all_:
                    # After a power cut the disk may have the home as it was before.
                    fence.close(self._layout, self.home(standing.move))
                elif standing.stand == Stand.HELD and (all_ or standing.left <= 0):
                    self.lift(standing.move)
            except DaemonFailed as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _lift(self, move: int) -> None:
        with self._database.write(durable=False) as connection:
            found = connection.execute(_LEFT, (move,)).fetchone()
            # Nobody may be let in while mail and fence change places.
            connection.execute(_UNTIL, (_LONGER, move))
        if found is None:
            return
        home, left = found
        apart = fence.moving(Path(self._layout.mail) / home)
        if left <= 0:
            # It was open, with the mail at the other place.
            end_sessions(self._layout, apart)
        try:
            empty(self._layout, apart, _LONGER / 2 if left > 0 else _OVERDUE)
        except DaemonFailed:
            with self._database.write(durable=False) as connection:
                # Who does not go keeps nobody out: until the next time all are served where the mail is.
                connection.execute(_UNTIL, (0.0, move))
            raise
        self._set_fenced(move, fenced=False)
        copying.unmark(fence.open_again(self._layout, home))
        with self._database.write(durable=False) as connection:
            connection.execute("DELETE FROM standing WHERE move = ?", (move,))

    def _stand(self, move: int) -> Stand | None:
        with self._database.read() as connection:
            found = connection.execute("SELECT stand FROM standing WHERE move = ?", (move,)).fetchone()
        return Stand(found[0]) if found else None

    def _set_fenced(self, move: int, *, fenced: bool) -> None:
        with self._database.write(durable=False) as connection:
            connection.execute("UPDATE standing SET fenced = ? WHERE move = ?", (int(fenced), move))
