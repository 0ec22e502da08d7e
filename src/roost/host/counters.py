"""This machine's counters: processor, disks, pressure. Reads /proc/stat, /proc/diskstats, /proc/pressure (proc(5)).

Disks are whole ones: partitions and what lies upon others (device mapper, md, loop) would be counted twice. In a
container with no disk of its own the files tell of the whole machine, as they do of its processors.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from roost.domain.node_load import Counters

_SECTOR = 512
_DISK = re.compile(r"(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def look(proc: str = "/proc") -> Counters:
    """Return the counters; where the kernel keeps no pressure, that is missing."""
    root = Path(proc)
    user, nice, system, idle, waiting, *more = (
        int(word) * _TICK for word in (root / "stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    )
    del idle
    reads = writes = sectors_read = sectors_written = 0
    for line in (root / "diskstats").read_text("ascii", "replace").splitlines():
        words = line.split()
        if len(words) >= 10 and _DISK.fullmatch(words[2]):
            reads, sectors_read = reads + int(words[3]), sectors_read + int(words[5])
            writes, sectors_written = writes + int(words[7]), sectors_written + int(words[9])
    return Counters(
        cpu=user + nice + system + sum(more[:2]),
        waiting=waiting,
        reads=reads,
        writes=writes,
        bytes_read=sectors_read * _SECTOR,
        bytes_written=sectors_written * _SECTOR,
        pressure={
            resource: total for resource in ("cpu", "io", "memory") if (total := _pressure(root, resource)) >= 0
        },
    )


def running(proc: str = "/proc") -> int:
    """Return how many processes run or want to."""
    found = re.search(r"^procs_running (\d+)$", (Path(proc) / "stat").read_text("ascii"), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _pressure(root: Path, resource: str) -> float:
    """Return the seconds in which some process has waited for it, -1 where nobody knows."""
    try:
        text = (root / "pressure" / resource).read_text("ascii")
    except OSError:
        return -1.0
    found = re.search(r"^some .*total=(\d+)", text, re.MULTILINE)
    return int(found.group(1)) / 1e6 if found else -1.0
