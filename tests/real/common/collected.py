"""Daemons' own log files, in the form in which the log node has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_POSTFIX = re.compile(r"\w{3} +\d+ ([\d:]{8}) \S+ (postfix\S*\[\d+\]): (.*)")
_RSPAMD = re.compile(r"[\d-]{10} ([\d:]{8}) #(\d+)(\(\w+\) <.*)")
_DOVECOT = re.compile(r"\w{3} +\d+ ([\d:]{8}) (\S+?): (?:Info: )?(.*)")


def collected(text: str, node: str) -> list[str]:
    """Return a log as the log node would have it: syslog has no levels, and every line has its own microsecond."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        stamp = f"{number:06d}+00:00"
        if found := _POSTFIX.fullmatch(line):
            lines.append(f"2026-11-25T{found[1]}.{stamp} {node} {found[2]}: {found[3]}")
        elif found := _RSPAMD.fullmatch(line):
            lines.append(f"2026-11-25T{found[1]}.{stamp} {node} rspamd[{found[2]}]: {found[3]}")
        elif found := _DOVECOT.fullmatch(line):
            lines.append(f"2026-11-25T{found[1]}.{stamp} {node} dovecot[1]: {found[2]}: {found[3]}")
    return lines


def put(folder: Path, node: str, lines: Iterable[str]) -> None:
    """Write a node's file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{node}.log").write_text("".join(f"{line}\n" for line in lines))
