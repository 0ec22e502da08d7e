"""How strong this machine is, by a short look: some 2 s of processor and disk. Done once, and again when asked for.

Processor
    One known piece of work, compressing a text of 64 KiB (zlib, level 6), as often as goes in 0.1 s on one processor,
    three times; the median counts, of the processor time that it took, not of the clock, so that other work matters
    little. It is integer work with tables and branches like a mail server's, and no processor has instructions of
    its own for it, as some have for hashes. A **reference processor** does it ``_REFERENCE`` times a second. All
    processors that the machine may use (its affinity, its cgroup's quota) are taken to be as fast as that one: two
    that share a core are not, so such a machine is counted as stronger than it is by up to a third.

Disk
    Blocks of 8 KiB are written at random places of a file of 16 MiB beside the mail, each made sure of
    (fdatasync), for at most 1.5 s; the median of its thirds counts. A cache that keeps its word over a power cut
    counts as the disk that it is.

What others do on the machine at the time makes the disk's figure smaller, and the processor's a little. The spread
that is told is (greatest - least) / median of the three runs: where it is large, measure again, or declare.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
import zlib
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.node_load import Strength

_REFERENCE = 1000.0
_MAIL = (b"From: user%d@example.test\r\nSubject: note %d\r\n\r\n" % (n, n * n % 9973) for n in range(1400))
_TEXT = b"".join(_MAIL)[:65_536]
_RUNS = 3
_RUN_SECONDS = 0.1
_DISK_SECONDS = 0.5
_BLOCK, _FILE = 8192, 16 << 20


def measure(folder: str) -> Strength:
    """Measure the processor, and the disk of a folder; raises ``DaemonFailed`` where nothing can be written there."""
    cpu = [_processor() for _ in range(_RUNS)]
    try:
        io = _disk(folder)
        of = os.statvfs(folder)
    except OSError as error:
        raise DaemonFailed(f"The disk of {folder} cannot be measured: {error.strerror}.") from error
    usable = processors()
    return Strength(
        cpu=round(statistics.median(cpu) / _REFERENCE * usable, 2),
        io=round(statistics.median(io), 1),
        memory=float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        disk=float(of.f_blocks * of.f_frsize),
        cpu_spread=_spread(cpu),
        io_spread=_spread(io),
        processors=usable,
    )


def processors() -> float:
    """Return how many processors this machine may use: half of one, where a cgroup's quota says so."""
    found = float(len(os.sched_getaffinity(0)))
    root = Path("/sys/fs/cgroup")
    own = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    below = root / own.strip("/")
    for folder in (below, *below.parents):
        quota, _, period = _read(str(folder / "cpu.max")).strip().partition(" ")
        if quota.isdigit() and period.isdigit():
            found = min(found, int(quota) / int(period))
        if folder == root:
            break
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""


def _processor() -> float:
    """Return how often the work is done in a second of processor time."""
    began, done = time.thread_time(), 0
    while (passed := time.thread_time() - began) < _RUN_SECONDS:
        zlib.compress(_TEXT, 6)
        done += 1
    return done / passed


def _disk(folder: str) -> list[float]:
    """Return how many synced writes a second there were, in each run."""
    block, rates = os.urandom(_BLOCK), []
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, _FILE)
        os.fsync(file.fileno())
        for _ in range(_RUNS):
            began, done = time.perf_counter(), 0
            while (passed := time.perf_counter() - began) < _DISK_SECONDS:
                place = random.randrange(_FILE // _BLOCK) * _BLOCK  # noqa: S311 - no secret
                os.pwrite(file.fileno(), block, place)
                os.fdatasync(file.fileno())
                done += 1
            rates.append(done / passed)
    return rates


def _spread(values: list[float]) -> float:
    return round((max(values) - min(values)) / statistics.median(values), 3)
