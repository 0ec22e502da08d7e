"""How busy this machine is: load, memory, file systems. Reads two files of proc(5) and asks statvfs(3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from roost.ports.host import Load, Volume


def look(paths: Sequence[str]) -> Load:
    """Return the load; of the paths each stands for its file system, and those on one are told of once."""
    memory = _memory()
    ratio = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Load(ratio, memory.get("MemTotal", 0), memory.get("MemAvailable", 0), tuple(_volumes(paths)))


def _memory() -> dict[str, int]:
    """Return the numbers of /proc/meminfo in bytes."""
    found = {}
    for line in Path("/proc/meminfo").read_text("ascii", "replace").splitlines():
        name, _, rest = line.partition(":")
        number = rest.removesuffix("kB").strip()
        if number.isdigit():
            found[name] = int(number) * 1024
    return found


def _volumes(paths: Sequence[str]) -> list[Volume]:
    found: dict[int, Volume] = {}
    for path in paths:
        try:
            device, of = Path(path).stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        if device not in found and of.f_blocks:
            inodes = of.f_favail / of.f_files if of.f_files else 1.0
            found[device] = Volume(path, of.f_blocks * of.f_frsize, of.f_bavail * of.f_frsize, inodes)
    return list(found.values())
