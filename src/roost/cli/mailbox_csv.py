"""A CSV file of mailboxes (RFC 4180, UTF-8, with or without a byte order mark): read, checked, every fault placed.

The first line names the columns, in any order::

    address,password_hash,home,quota
    john@example.test,{ARGON2ID}$argon2id$...,ms1.cluster.test,2G

``address`` is compulsory, and one of ``password_hash`` and ``password`` in every line. Further columns are
``together``, ``apart``, ``pin`` and ``class``: what ties the mailbox (``roost.domain.ties``). Fields with commas,
quotes or line ends stand between double quotes. Empty lines are skipped.

Guarantee: all faults are found in one reading, none hides another, except that after a broken quote nothing can be
read. Places are 1-based; a column is the character at which the field begins in its line, so that an editor jumps
there. Whether homes and domains exist and hashes are good is for the controller to say; ``Reading.place_of`` finds
the place for what it says.

Memory: the text once, and a value for each mailbox: about 100 MB for 100,000 lines.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from roost.cli.safe_text import size
from roost.domain.errors import Finding, InvalidInput
from roost.domain.names import Address, host_name
from roost.domain.ties import FREE
from roost.wire.resources import NewMailbox

_TIES = {"together": "together", "apart": "apart", "pin": "pin", "class": "service_class"}
"""The columns that tie a mailbox, and their fields."""

COLUMNS = ("address", "password_hash", "password", "home", "quota", *_TIES)
MOST = 1_000_000
"""Most mailboxes in one import."""

_STEP = 1000


@dataclass
class Reading:
    """What a file holds: mailboxes, and what is wrong. Only complete where ``findings`` is empty."""

    text: str
    columns: list[str] = field(default_factory=list)
    mailboxes: list[NewMailbox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _offsets: array[int] = field(default_factory=lambda: array("Q"))
    _lines: array[int] = field(default_factory=lambda: array("Q"))

    def place_of(self, number: int, name: str) -> tuple[int, int]:
        """Return line and column of a field of the mailbox with this 1-based number; (0, 0) for none."""
        if not 1 <= number <= len(self._lines):
            return (0, 0)
        place = self.columns.index(name) if name in self.columns else 0
        return _place(self.text, self._offsets[number - 1], self._lines[number - 1], place)

    def add(self, mailbox: NewMailbox, offset: int, line: int) -> None:
        """Take a mailbox whose record begins at this offset of the text, on this line."""
        self.mailboxes.append(mailbox)
        self._offsets.append(offset)
        self._lines.append(line)


def read_mailboxes(content: bytes, progress: Callable[[int], None] = lambda _: None) -> Reading:
    """Read a whole file. ``progress`` hears how many characters were read since the last time."""
    try:
        reading = Reading(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _not_utf8(content, error.start)
    records = _records(reading)
    header = next(records, None)
    if header is None:
        reading.findings.append(Finding(1, 1, "", "The file is empty: its first line must name the columns."))
        return reading
    _read_header(reading, header)
    if reading.findings:
        return reading
    checker = _Checker(reading)
    told = 0
    for count, record in enumerate(records, start=1):
        checker.check(record)
        if count % _STEP == 0:
            progress(record.offset - told)
            told = record.offset
    progress(len(reading.text) - told)
    if len(reading.mailboxes) > MOST:
        reading.findings.append(Finding(1, 1, "", f"More than {MOST} mailboxes: import them in several files."))
    return reading


@dataclass(frozen=True)
class _Record:
    """One record: its fields, and where it begins."""

    fields: list[str]
    offset: int
    line: int


class _Source:
    """Hands lines to the csv module and counts the characters that it has taken."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.taken += len(line)
            yield line


def _records(reading: Reading) -> Iterator[_Record]:
    """Yield the records that are not empty; a broken quote is a finding and ends them."""
    source = _Source(reading.text)
    reader = csv.reader(source, strict=True)
    while True:
        offset, line = source.taken, reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = f"The line is not CSV ({error}); nothing after it could be read."
            reading.findings.append(Finding(line, 1, "", message))
            return
        if any(fields):
            yield _Record(fields, offset, line)


def _read_header(reading: Reading, header: _Record) -> None:
    """Take the names of the columns, or say what is wrong with them."""
    names = [name.strip().lower() for name in header.fields]

    def wrong(place: int, name: str, message: str) -> None:
        line, column = _place(reading.text, header.offset, header.line, place)
        reading.findings.append(Finding(line, column, name, message))

    known = ", ".join(COLUMNS)
    for place, name in enumerate(names):
        if name not in COLUMNS:
            hint = "; columns are separated by commas" if ";" in name or "\t" in name else ""
            wrong(place, name, f"There is no column {name!r}{hint}. The columns are: {known}.")
        elif name in names[:place]:
            wrong(place, name, f"The column {name} is there twice.")
    if "address" not in names:
        wrong(0, "address", "The first line names no column address.")
    if not {"password", "password_hash"} & set(names):
        wrong(0, "password_hash", "The first line names neither a column password_hash nor password.")
    reading.columns = names


class _Checker:
    """Checks records and collects mailboxes and findings. Values that repeat (homes, quotas) are checked once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._seen: dict[str, int] = {}
        self._homes: dict[str, str | InvalidInput] = {}
        self._quotas: dict[str, int | InvalidInput] = {}
        self._ties: dict[tuple[str, str], str | InvalidInput] = {}

    def check(self, record: _Record) -> None:
        """Take one record, or say all that is wrong with it."""
        reading, columns = self._reading, self._reading.columns
        before = len(reading.findings)
        have, want = len(record.fields), len(columns)
        if have != want:
            last = min(have, want)
            what = f"The line has {have} fields, and the first line names {want}."
            self._wrong(record, last if have > want else max(0, have - 1), "", what)
            return
        given = {name: text.strip() for name, text in zip(columns, record.fields, strict=True)}
        address = self._address(record, given["address"])
        home = self._home(record, given.get("home", ""))
        quota = self._quota(record, given.get("quota", ""))
        ties = {_TIES[name]: self._tie(record, name, given[name]) for name in _TIES if given.get(name)}
        # A password in clear is taken as it is: spaces at its ends are part of it.
        clear = record.fields[columns.index("password")] if "password" in columns else ""
        hashed = given.get("password_hash", "")
        if clear and hashed:
            self._wrong(record, columns.index("password"), "password", "Both password and password_hash are given.")
        if not clear and not hashed:
            name = "password_hash" if "password_hash" in columns else "password"
            self._wrong(record, columns.index(name), name, f"The {name} is empty.")
        if len(reading.findings) == before:
            mailbox = NewMailbox(
                address=address, password=clear or None, password_hash=hashed or None, home=home, quota=quota, **ties
            )
            reading.add(mailbox, record.offset, record.line)

    def _address(self, record: _Record, text: str) -> str:
        place = self._reading.columns.index("address")
        if not text:
            self._wrong(record, place, "address", "The address is empty.")
            return ""
        try:
            address = str(Address.parse_own(text))
        except InvalidInput as error:
            self._wrong(record, place, "address", str(error))
            return ""
        first = self._seen.setdefault(address, record.line)
        if first != record.line:
            self._wrong(record, place, "address", f"{address} is on line {first} already.")
        return address

    def _home(self, record: _Record, text: str) -> str | None:
        if not text:
            return None
        if text not in self._homes:
            try:
                self._homes[text] = host_name(text, field="home")
            except InvalidInput as error:
                self._homes[text] = error
        home = self._homes[text]
        if isinstance(home, InvalidInput):
            self._wrong(record, self._reading.columns.index("home"), "home", str(home))
            return None
        return home

    def _quota(self, record: _Record, text: str) -> int:
        if not text:
            return 0
        if text not in self._quotas:
            try:
                self._quotas[text] = size(text)
            except InvalidInput as error:
                self._quotas[text] = error
        quota = self._quotas[text]
        if isinstance(quota, InvalidInput):
            self._wrong(record, self._reading.columns.index("quota"), "quota", str(quota))
            return 0
        return quota

    def _tie(self, record: _Record, name: str, text: str) -> str:
        if (name, text) not in self._ties:
            try:
                self._ties[name, text] = getattr(FREE.changed({_TIES[name]: text}), _TIES[name])
            except InvalidInput as error:
                self._ties[name, text] = error
        tie = self._ties[name, text]
        if isinstance(tie, InvalidInput):
            self._wrong(record, self._reading.columns.index(name), name, str(tie))
            return ""
        return tie

    def _wrong(self, record: _Record, place: int, name: str, message: str) -> None:
        line, column = _place(self._reading.text, record.offset, record.line, place)
        self._reading.findings.append(Finding(line, column, name, message))


def _place(text: str, offset: int, line: int, place: int) -> tuple[int, int]:
    """Return line and column, 1-based, of the field at ``place`` in the record that begins at ``offset``.

    Walks over the record as the csv module does: a comma outside quotes ends a field; a line end inside quotes does
    not end the record. Only done for faults, of which there are few.
    """
    column, quoted = 1, False
    while place and offset < len(text):
        char = text[offset]
        if char == '"':
            quoted = not quoted
        if char == "," and not quoted:
            place -= 1
        # A CR before a LF is part of the same line end.
        if char == "\n" or (char == "\r" and text[offset + 1 : offset + 2] != "\n"):
            if not quoted:
                break
            line, column = line + 1, 1
        else:
            column += 1
        offset += 1
    return line, column


def _not_utf8(content: bytes, at: int) -> Reading:
    """Return a reading that only says where the file stops being UTF-8."""
    before = content[:at]
    line = before.count(b"\n") + 1
    start = before.rfind(b"\n") + 1
    column = len(before[start:].decode("utf-8-sig", "replace")) + 1
    message = f"Byte 0x{content[at]:02x} is not UTF-8: save the file as UTF-8."
    return Reading("", findings=[Finding(line, column, "", message)])
