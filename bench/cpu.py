"""Processor time of a daemon with all its processes, and which processor is whose."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def seconds(master: int) -> float:
    """Return the processor seconds of a daemon's first process and of its children, those that have ended too."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == master or int(fields[1]) == master:
            total += sum(int(field) for field in fields[11:15])
    return total / _TICK


def seconds_of(fields: list[str]) -> float:
    """Return the processor seconds in what stands in /proc/PID/stat after the name (proc(5)), without children."""
    return sum(int(field) for field in fields[11:13]) / _TICK


def share() -> set[int]:
    """Keep this process, and the servers that it will start, to one processor; return those for the generator."""
    first, *others = sorted(os.sched_getaffinity(0))
    assert others, "two processors are needed: one for the servers, one for the generator"
    os.sched_setaffinity(0, {first})
    return set(others)
