"""Telling the running Dovecot that accounts have changed: what it remembers is forgotten, sessions are ended.

Dovecot's auth process remembers answers of the database for an hour, each under the login name with which it was
asked; ``doveadm auth cache flush NAME ...`` forgets them (doveadm-auth(1)), and ``doveadm kick USER`` ends the
sessions of a user (doveadm-kick(1)). Both are needed when a password changes or a user is suspended or removed.

What has to be told stands in the table ``unsettled``, written in the same transaction as the change itself: an
agent killed between the two tells it when it comes back. A lookup that read the old row may bring its answer into
the cache *after* the flush, and a login that it let through may begin a session after the kick; so everything is
told once more a few seconds later (``again``), and only then struck off.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.doveadm import Doveadm, Refused, fields
from roost.drivers.dovecot.layout import Layout
from roost.ports.clock import Clock
from roost.ports.host import Host

_FLUSH_BY_NAME_MAX = 300
"""Beyond so many names the whole cache is flushed: the walk through it is made for each name."""

_KICK_BLINDLY_MAX = 3
"""Beyond so many users it is asked first who is there."""

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
            self._kick(users)
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

    def _kick(self, users: Sequence[str]) -> None:
        if len(users) > _KICK_BLINDLY_MAX:
            users = sorted(set(fields(self._doveadm.run("who"))) & set(users))
        for user in users:
            # Refused where nobody was there, which does not matter.
            with suppress(Refused):
                self._doveadm.run("kick", "--", user)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
