"""Telling the running Dovecot that accounts have changed: what it remembers is forgotten, sessions are ended.

Dovecot's auth process remembers answers of the database for an hour, each under the login name with which it was
asked; ``doveadm auth cache flush NAME ...`` forgets them (doveadm-auth(1)). When a password changes or a user is
suspended or removed, the sessions that ``doveadm who`` shows are ended as well: with SIGTERM, as by ``doveadm kick``,
which however may cut off a delivery whose message is saved and not acknowledged, so that it came a second time.

What has to be told stands in the table ``unsettled``, written in the same transaction as the change itself: an
agent killed between the two tells it when it comes back. A lookup that read the old row may bring its answer into
the cache *after* the flush, and a login that it let through may begin a session after the others were ended; so
everything is told once more a few seconds later (``again``), and only then struck off.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.doveadm import Doveadm, fields
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.occupants import ask_to_end
from roost.ports.clock import Clock
from roost.ports.host import Host

_FLUSH_BY_NAME_MAX = 300
"""Beyond so many names the whole cache is flushed: the walk through it is made for each name."""

_PROCESSES = re.compile(r"\([0-9 ]+\)")

AGAIN_AFTER = 2
"""Seconds after which everything is told once more."""


class Sessions:
    """What the running Dovecot knows of users."""

    def __init__(self, database: Database, layout: Layout, host: Host, clock: Clock) -> None:
        self._database = database
        self._layout = layout
        self._host = host
        self._doveadm = Doveadm(layout, host)
        self._clock = clock
        self._telling = threading.Lock()

    def settle(self) -> None:
        """Tell what has not been told; raises ``DaemonFailed`` where the running Dovecot does not take it."""
        with self._telling:
            self._tell("told = 0", (), "UPDATE unsettled SET told = ? WHERE told = 0", (self._now(),))

    def again(self) -> None:
        """Tell once more, and for the last time, what was told some seconds ago."""
        with self._telling:
            before = (self._now() - AGAIN_AFTER,)
            where = "told > 0 AND told <= ?"
            self._tell(where, before, f"DELETE FROM unsettled WHERE {where}", before)  # noqa: S608 - constants

    def running(self) -> bool:
        """Say whether this Dovecot's master process is there."""
        try:
            pid = int((Path(self._layout.run) / "master.pid").read_text("ascii"))
        except (OSError, ValueError):
            return False
        return Path(f"/proc/{pid}").exists()

    def reload(self) -> None:
        """Make the running Dovecot open everything anew."""
        if self.running():
            self._host.run(["doveadm", "-c", self._layout.conf, "reload"])

    def _tell(self, where: str, values: Sequence[int], then: str, then_values: Sequence[int]) -> None:
        with self._database.read() as connection:
            found = connection.execute(f"SELECT name, kick FROM unsettled WHERE {where}", values).fetchall()  # noqa: S608
        if not found:
            return
        if not self.running():
            # Nobody remembers anything, and there are no sessions.
            then, then_values = "DELETE FROM unsettled", ()
        else:
            names = [str(name) for name, _ in found]
            users = [str(name) for name, kick in found if kick]
            self._flush(names)
            self._end(users)
            # What a lookup under way at the first flush brought in meanwhile goes at once, nearly always.
            self._flush(names)
        with self._database.write() as connection:
            connection.execute(then, then_values)

    def _flush(self, names: Sequence[str]) -> None:
        if len(names) <= _FLUSH_BY_NAME_MAX:
            self._doveadm.run("auth cache flush", "--", *names)
        else:
            # The doveadm server would have a name; the command does not need one.
            self._host.run(["doveadm", "-c", self._layout.conf, "auth", "cache", "flush"])

    def _end(self, users: Sequence[str]) -> None:
        if users:
            there, ending = _processes(fields(self._doveadm.run("who"))), set(users)
            ask_to_end(process for user, process in there if user in ending)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def visitors(who: Sequence[str]) -> tuple[dict[str, int], int]:
    """Return the connections by protocol, and how many users have one, from what ``doveadm who`` shows."""
    connections: dict[str, int] = {}
    users = set()
    for index, value in enumerate(who[3:]):
        if _PROCESSES.fullmatch(value):
            user, count, protocol = who[index : index + 3]
            users.add(user)
            connections[protocol] = connections.get(protocol, 0) + (int(count) if count.isdigit() else 1)
    return connections, len(users)


def _processes(who: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield user and process for each session that ``doveadm who`` shows: user, count, service, (processes), ..."""
    for index, value in enumerate(who[3:]):
        if _PROCESSES.fullmatch(value):
            for process in value[1:-1].split():
                yield who[index], int(process)
