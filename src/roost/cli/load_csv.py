"""A CSV file of recorded load: what each mailbox takes, for ``roost simulate --load``.

The first line names the columns, in any order; one line for each mailbox follows (UTF-8, RFC 4180)::

    home,logins,cpu,io,memory,size
    ms1.cluster.test,288,0.00001,0.0133,1200000,250000000

``home`` is the node's name; ``logins`` are those of a day; ``cpu`` is seconds of a processor in a second, ``io``
operations in a second, both as a mean of the week; ``memory`` and ``size`` are bytes. Other columns are not read.
All faults are told at once (the first hundred), each with its line and column.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from roost.domain.errors import BadImport, BadSetting, Finding

FIGURES = ("logins", "cpu", "io", "memory", "size")
_MOST = 100


def read_load(path: Path) -> tuple[list[str], list[tuple[float, ...]]]:
    """Return homes, and the figures of each mailbox in the order of ``FIGURES``. Raises ``BadImport``."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}.", field="load") from error
    rows = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in ("home", *FIGURES) if name not in header]
    if missing:
        raise BadImport(
            f"{path} cannot be used.",
            (Finding(1, 1, missing[0], f"The first line names no column {', '.join(missing)}."),),
            remedy="docs/howto/simulate.md has an example.",
        )
    homes: list[str] = []
    figures: list[tuple[float, ...]] = []
    findings: list[Finding] = []
    for row in rows:
        if not any(row) or len(findings) >= _MOST:
            continue
        if len(row) < len(header):
            findings.append(Finding(rows.line_num, 1, "", f"The line has {len(row)} fields, not {len(header)}."))
            continue
        taken = [_figure(row[header.index(name)]) for name in FIGURES]
        wrong = [name for name, value in zip(FIGURES, taken, strict=True) if value is None]
        for name in wrong:
            column = 1 + sum(len(field) + 1 for field in row[: header.index(name)])
            findings.append(Finding(rows.line_num, column, name, f"{name} is no figure from 0 up."))
        homes.append(row[header.index("home")].strip())
        figures.append(tuple(value or 0.0 for value in taken))
    if not homes and not findings:
        findings.append(Finding(1, 1, "", "There is no mailbox in it."))
    if findings:
        first = findings[0]
        raise BadImport(
            f"{path} has faults, the first in line {first.line}, column {first.column}: {first.message}",
            tuple(findings),
            remedy="--output json lists them all.",
        )
    return homes, figures


def _figure(text: str) -> float | None:
    """Return a figure; None for what is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
