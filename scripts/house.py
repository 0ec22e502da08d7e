"""House rules that no linter knows: the size of files, and calls that belong to one room only.

Each rule says why; an exception is asked for by a comment ``house: RULE, REASON`` on the line.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "roost"
LIMIT = 600

BANNED: list[tuple[str, str, str, str]] = [
    # rule, pattern, rooms to which it applies (regular expression on the path), why
    (
        "clock",
        r"\b(datetime\.now|time\.time)\(",
        r"^(domain|ports|control|balance)/",
        "time is an argument of decisions",
    ),
    (
        "sql",
        r"\b(SELECT .* FROM|INSERT INTO|DELETE FROM)\b",
        r"^(?!store/|drivers/dovecot/|logs/|agent/usage/book|lab/)",
        "SQL has one room",
    ),
    ("shell", r"shell=True|os\.system", r"", "argv lists only"),
    (
        "daemons",
        r"(?i)\b(postfix|dovecot|bind9|unbound)\b",
        r"^(domain/(?!errors)|balance/)",
        "decisions know no daemon",
    ),
]


def main() -> int:
    """Print every breach; return how many there are."""
    breaches = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        lines = path.read_text().splitlines()
        if len(lines) > LIMIT:
            breaches.append(f"{name}: {len(lines)} lines; no file is longer than {LIMIT}")
        code = "\n".join(lines)
        prose = {n for m in re.finditer(r'"""[\s\S]*?"""|#.*', code) for n in _lines(code, m)}
        for rule, pattern, rooms, why in BANNED:
            if not re.search(rooms, name):
                continue
            for number, line in enumerate(lines, 1):
                if number not in prose and re.search(pattern, line) and f"house: {rule}," not in line:
                    breaches.append(f"{name}:{number}: {rule}: {why}")
    for breach in breaches:
        print(breach)  # noqa: T201 - this is a command
    return min(len(breaches), 1)


def _lines(code: str, match: re.Match[str]) -> range:
    first = code.count("\n", 0, match.start()) + 1
    return range(first, first + match.group().count("\n") + 1)


if __name__ == "__main__":
    sys.exit(main())
