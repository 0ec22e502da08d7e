"""What Dovecot tells of each session and delivery: implements ``roost.ports.usage.Teller``.

Dovecot's stats process writes a line for each event that the metric ``usage`` of the templates asks for, to the file
``Layout.usage``: by its log on 2.3 (it is the one process whose log goes there), by an exporter of its own on 2.4.

::

    [Nov 26 23:16:33 stats: Info: ]start_time:1795734991.60⇥end_time:1795734993.72⇥field:user=john@example.test⇥…

==============================  ===================================================================================
mail_user_session_finished      a session of IMAP or POP3, or what LMTP did for one recipient. ``utime`` and ``stime``
                                are clock ticks; 2.4 adds ``net_in_bytes``, ``net_out_bytes`` and ``service``
mail_delivery_finished          a message for one recipient; with ``error`` where it was not saved
imap_command_finished           2.3 only, which has no bytes in the first: commands that carry many, with ``bytes_in``
                                and ``bytes_out``
==============================  ===================================================================================

A process counts whole ticks (10 ms), a poll takes less: most say 0, some 1. The sum is right, a single one is not.

The file only grows under Dovecot's hand. What was read and kept is cut off; a reader that was away for long skips
what is too much. A line that is not whole yet is left for the next time. A file that was cut or replaced is read from
its beginning: a place is good only where a line ends before it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.usage import NOTHING, Counts, Deed, Size, refusal
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.doveadm import Doveadm, Refused, fields
from roost.drivers.dovecot.layout import Layout
from roost.ports.clock import Clock
from roost.ports.host import File, Host
from roost.ports.usage import Reading

_CHUNK = 4 << 20
_SKIP = 256 << 20
"""A reader that is so much behind leaves it: it would be at it for minutes, and all that would be late."""

_SOON = 60.0
"""What lasted no longer than this is added up for each mailbox."""

_LONGEST = 7 * 86_400.0
_USUAL = 1e9
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_NUMBER = """
SELECT number FROM login JOIN account ON account.id = login.account WHERE name = ? ORDER BY rank LIMIT 1
"""


class UsageFile:
    """One node's file, and the accounts to which its users belong."""

    def __init__(self, database: Database, layout: Layout, host: Host, clock: Clock) -> None:
        self._database = database
        self._layout = layout
        self._host = host
        self._clock = clock
        self._path = Path(layout.usage)
        self._doveadm = Doveadm(layout, host)

    def prepare(self) -> None:
        """Make the file, which Dovecot could not: it may write to it, not beside it."""
        if not self._path.exists():
            self._host.write(File(str(self._path), "", 0o660, f"root:{self._layout.auth_group}"))

    def read(self, place: int) -> Reading:
        """Return what was told since; see the port."""
        self.prepare()
        try:
            with self._path.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                if place and not _ends_a_line(file.fileno(), place, size):
                    place = 0
                skipped = size - place > _SKIP
                if skipped:
                    place = size - _CHUNK
                chunk = os.pread(file.fileno(), _CHUNK, place)
        except OSError as error:
            raise DaemonFailed(f"{self._path} cannot be read: {error.strerror}.") from error
        end = chunk.rfind(b"\n") + 1
        if not end:
            # A line of this length is none.
            return Reading(place + len(chunk) if len(chunk) == _CHUNK else place, [], {}, more=len(chunk) == _CHUNK)
        done, refused = Done(), Counter[str]()
        if skipped:
            refused["skipped"] += 1
        for line in chunk[:end].splitlines():
            done.take(line)
        deeds = list(self._deeds(done, refused))
        return Reading(place + end, deeds, dict(refused), more=place + end < size)

    def forget(self, place: int) -> int:
        """Cut off what was read: it names senders and subjects. A line that Dovecot writes in this moment is lost."""
        try:
            with self._path.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                if not place or size - place > _CHUNK or not _ends_a_line(file.fileno(), place, size):
                    return place
                rest = os.pread(file.fileno(), _CHUNK, place)
                file.truncate(0)
            with self._path.open("ab") as file:
                file.write(rest)
        except OSError as error:
            raise DaemonFailed(f"{self._path} cannot be cut: {error.strerror}.") from error
        return 0

    def size(self, number: int) -> Size | None:
        """Ask Dovecot, which keeps both in the folders' indexes for the quota."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT address FROM account WHERE number = ? AND place = 'home'"
                " AND number NOT IN (SELECT number FROM standing)",
                (number,),
            ).fetchone()
        if found is None:
            return None
        try:
            values = fields(self._doveadm.run("mailbox status", "messages vsize", "*", user=found[0]))
        except Refused:
            return None
        return Size(sum(map(int, values[2::3])), sum(map(int, values[1::3])))

    def _deeds(self, done: Done, refused: Counter[str]) -> list[Deed]:
        """Return what is to be believed, by number."""
        refused.update(done.refused)
        numbers = self._numbers({user for user, _, _ in done.long} | set(done.short))
        # What was not read for long was not done within this minute.
        since = min(max(_SOON, self._clock.now().timestamp() - done.first), _LONGEST)
        short = ((user, since, Counts._make(sums)) for user, sums in done.short.items())
        deeds = []
        for user, seconds, counts in (*short, *done.long):
            number = numbers.get(user)
            why = "unknown" if number is None else refusal(seconds, counts)
            if why or number is None:
                refused[why] += 1
            else:
                deeds.append(Deed(number, seconds, counts))
        return deeds

    def _numbers(self, users: set[bytes]) -> dict[bytes, int]:
        """Return the numbers of users; a delivery knows its user by the personal address."""
        numbers = {}
        with self._database.read() as connection:
            for user in users:
                name = user.decode("utf-8", "replace").lower()
                found = connection.execute(_NUMBER, (name,)).fetchone()
                if found is not None:
                    numbers[user] = found[0]
        return numbers


class Done:
    """Adds up lines: ``short`` by user, ``long`` one by one. ``refused`` was no event, ``first`` is the first end."""

    def __init__(self) -> None:
        self.first = math.inf
        self.short: dict[bytes, list[float]] = {}
        self.long: list[tuple[bytes, float, Counts]] = []
        self.refused: Counter[str] = Counter()

    def take(self, line: bytes) -> None:
        """Take one line; what is no event at all is passed over, what is a damaged one is counted."""
        try:
            began, ended = float(_value(line, _BEGAN)), float(_value(line, _ENDED))
            user, seconds = _value(line, _USER), ended - began
            counts = _counts(line, seconds)
        except ValueError:
            self.refused["strange"] += 1
            return
        self.first = min(self.first, ended)
        if not 0 <= seconds <= _SOON or min(counts) < 0 or max(counts) > _USUAL:
            # It is judged by itself: what cannot be must not hide in a sum.
            self.long.append((user, seconds, counts))
            return
        sums = self.short.get(user)
        if sums is None:
            self.short[user] = list(counts)
        else:
            for place, count in enumerate(counts):
                sums[place] += count


_BEGAN, _ENDED, _USER = b"start_time:", b"\tend_time:", b"\tfield:user="
_UTIME, _STIME, _IN, _OUT = b"\tfield:utime=", b"\tfield:stime=", b"\tfield:net_in_bytes=", b"\tfield:net_out_bytes="
_SUBJECT, _ERROR, _SIZE = b"\tfield:message_subject=", b"\tfield:error=", b"\tfield:message_size="
_COMMAND, _COMMAND_IN, _COMMAND_OUT = b"\tfield:cmd_name=", b"\tfield:bytes_in=", b"\tfield:bytes_out="
_RECIPIENT = b"\tfield:rcpt_to="


def _value(line: bytes, name: bytes) -> bytes:
    """Return what stands after a name, up to the next tab; raises ``ValueError``. Values have no tab of their own."""
    start = line.index(name) + len(name)
    end = line.find(b"\t", start)
    return line[start:end] if end >= 0 else line[start:]


def _number(line: bytes, name: bytes) -> float:
    """Return a number, 0 where it is not there; raises ``ValueError``."""
    return float(_value(line, name)) if name in line else 0.0


def _counts(line: bytes, seconds: float) -> Counts:
    if _SIZE in line or _SUBJECT in line:
        return NOTHING if _ERROR in line else Counts(deliveries=1, bytes_in=_number(line, _SIZE))
    if _COMMAND in line:
        return Counts(bytes_in=_number(line, _COMMAND_IN), bytes_out=_number(line, _COMMAND_OUT))
    cpu = (_number(line, _UTIME) + _number(line, _STIME)) * _TICK
    if _RECIPIENT in line:
        return Counts(cpu=cpu)
    return Counts(1, 0, _number(line, _IN), _number(line, _OUT), seconds, cpu)


def _ends_a_line(descriptor: int, place: int, size: int) -> bool:
    return place <= size and os.pread(descriptor, 1, place - 1) == b"\n"
