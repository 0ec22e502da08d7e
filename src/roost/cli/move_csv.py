"""A CSV file of moves (RFC 4180, UTF-8): the first line names the columns ``address`` and, if wanted, ``to``.

All faults are found in one reading; ``lines`` are the places of the moves in the file, for what the controller says.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from roost.domain.errors import Finding, InvalidInput
from roost.domain.names import Address, host_name
from roost.wire.move_resources import NewMove

_COLUMNS = ("address", "to")


@dataclass
class Reading:
    """What a file holds. Only complete where ``findings`` is empty."""

    moves: list[NewMove] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_moves(content: bytes) -> Reading:
    """Read a whole file."""
    reading = Reading()
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip().lower() for name in next(reader, [])]
        wrong = [name for name in columns if name not in _COLUMNS]
        if wrong or "address" not in columns or len(set(columns)) != len(columns):
            message = "The first line names the columns: address, and perhaps to."
            reading.findings.append(Finding(1, 1, "", message))
            return reading
        for fields in reader:
            if any(fields):
                _read(reading, reader.line_num, columns, fields)
    except UnicodeDecodeError:
        reading.findings.append(Finding(1, 1, "", "The file is not UTF-8."))
    except csv.Error as error:
        reading.findings.append(Finding(reader.line_num, 1, "", f"The line is not CSV ({error})."))
    return reading


def _read(reading: Reading, line: int, columns: list[str], fields: list[str]) -> None:
    if len(fields) != len(columns):
        message = f"The line has {len(fields)} fields, and the first line names {len(columns)}."
        reading.findings.append(Finding(line, 1, "", message))
        return
    given = {name: text.strip() for name, text in zip(columns, fields, strict=True)}
    to = given.get("to", "")
    try:
        address = str(Address.parse_own(given["address"]))
        reading.moves.append(NewMove(address=address, to=host_name(to, field="to") if to else ""))
        reading.lines.append(line)
    except InvalidInput as error:
        reading.findings.append(Finding(line, 1, error.field, str(error)))
