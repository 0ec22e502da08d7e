"""The table ``senders`` as the filter reads it: a ``TableStore`` (``roost.ports.driver``) in the MX's own Redis.

Database 1 of Redis has two keys: the hash ``senders``, a field for each row (key ``OWNER SENDER``) with ``allow``
or ``deny``; and ``position``, the revision. A batch and its revision are one transaction (MULTI), so they are there
together or not at all. The filter asks for each message (``templates/roost.lua.j2``), so nothing is reloaded.

Redis may lose its last second in a crash. It then stands at an older revision than the one that was written, which is
reported as 0: the agent loads the table anew, and what was removed meanwhile comes along as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd import redis_line
from roost.drivers.rspamd.redis_line import Reply
from roost.ports.driver import Batch
from roost.ports.host import Host

_SELECT = ("SELECT", "1")
_HASH, _POSITION = "senders", "position"
_AT_ONCE = "1000"


class Senders:
    """Implements ``TableStore`` for ``Table.SENDERS``. ``socket`` is Redis's."""

    def __init__(self, host: Host, socket: str) -> None:
        self._host = host
        self._socket = socket
        self._written = 0

    @property
    def table(self) -> Table:
        """Return ``senders``."""
        return Table.SENDERS

    def position(self) -> int:
        """Return the revision; 0 where Redis is away, is empty, or has lost what was written."""
        try:
            (found,) = self._ask(("GET", _POSITION))
        except DaemonFailed:
            return 0
        revision = int(found) if isinstance(found, str) and found.isascii() and found.isdigit() else 0
        return revision if revision >= self._written else 0

    def apply(self, batch: Batch) -> None:
        """Make the rows so, with the position; see the port."""
        if batch.since is not None and self.position() not in (batch.since, batch.upto):
            raise DaemonFailed(
                f"The senders are at revision {self.position()}; the batch begins at {batch.since}.",
                remedy="Ask for the table's position and go on from there.",
            )
        commands: list[Sequence[str]] = [("MULTI",)]
        commands += [_command(key, value) for key, value in batch.rows]
        if batch.since is not None:
            commands.append(("SET", _POSITION, str(batch.upto)))
        *_, done = self._ask(*commands, ("EXEC",))
        if not isinstance(done, list):
            raise DaemonFailed("Redis has not carried out the transaction.")
        if batch.since is not None:
            self._written = batch.upto

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every row, each once; what cannot be one stands under ``!``."""
        cursor, seen = "0", set()
        while True:
            (page,) = self._ask(("HSCAN", _HASH, cursor, "COUNT", _AT_ONCE))
            assert isinstance(page, list)  # noqa: S101 - Redis's protocol says so
            cursor, fields = str(page[0]), page[1]
            assert isinstance(fields, list)  # noqa: S101 - as above
            for key, verdict in zip(map(str, fields[::2]), map(str, fields[1::2]), strict=True):
                if key not in seen:
                    seen.add(key)
                    yield (key if verdict in {"allow", "deny"} else f"!{key}"), {"verdict": verdict}
            if cursor == "0":
                return

    def complete(self) -> None:
        """Do nothing: the filter works with or without rows."""

    def clear(self) -> None:
        """Empty it and set the position to 0."""
        self._ask(("DEL", _HASH, _POSITION))
        self._written = 0

    def _ask(self, *commands: Sequence[str]) -> list[Reply]:
        return redis_line.ask(self._host, self._socket, (_SELECT, *commands))[1:]


def _command(key: str, value: Value | None) -> Sequence[str]:
    if value is None:
        return ("HDEL", _HASH, key.removeprefix("!"))
    return ("HSET", _HASH, key, str(value["verdict"]))
