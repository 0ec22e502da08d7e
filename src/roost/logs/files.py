"""Log files: found again under whatever name they have by now, and read from where the last reading ended.

A file is known by its first line, of which there is one only: it has microseconds and a node's name. So one that was
renamed or compressed at the end of its day is the same file, and one that was emptied is another. An offset counts
bytes of the text, not of the compressed file.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import structlog

_FIRST_MOST = 1_000_000
"""No line is longer: a collector cuts them far below."""

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What comes of a file that is gone, or compressed and broken."""

_log = structlog.get_logger()


@dataclass
class LogFile:
    """One log file, as it was when it was looked at."""

    path: Path
    identity: str
    stamp: str
    """Of the last line that was read, at first of the first line: the file that is furthest behind is read next."""

    size: int
    mtime: int
    compressed: bool


def look(folder: Path, known: dict[str, LogFile], bad: dict[Path, int]) -> dict[str, LogFile]:
    """Return the log files below a folder by identity. ``known`` are those of the last look, not opened again.

    ``bad`` remembers files that could not be read, with their time of change, so that each is complained of once.
    Where one file is there plain and compressed at once, it is taken plain.
    """
    before = {(file.path, file.size, file.mtime): file for file in known.values()}
    found: dict[str, LogFile] = {}
    for path in sorted(_paths(folder)):
        try:
            stat = path.stat()
            if bad.get(path) == stat.st_mtime_ns:
                continue
            bad[path] = stat.st_mtime_ns
            file = before.get((path, stat.st_size, stat.st_mtime_ns)) or _look_at(path, stat)
        except UNREADABLE as error:
            _log.warning("log file cannot be read", path=str(path), reason=str(error))
            continue
        del bad[path]
        if file is None or (file.identity in found and file.compressed):
            continue
        earlier = known.get(file.identity)
        if earlier is not None:
            file.stamp = earlier.stamp
        found[file.identity] = file
    return found


def _paths(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".log", ".log.gz", ".log.xz")) or ".log." in name:
                yield Path(where, name)


def _look_at(path: Path, stat: os.stat_result) -> LogFile | None:
    """Return a file; None for one that has no whole line yet."""
    with opened(path) as stream:
        line = stream.readline(_FIRST_MOST)
    if not line.endswith(b"\n"):
        return None
    identity = hashlib.blake2b(line, digest_size=16).hexdigest()
    stamp = line[:32].decode(errors="replace")
    return LogFile(path, identity, stamp, stat.st_size, stat.st_mtime_ns, path.suffix in {".gz", ".xz"})


def opened(path: Path) -> IO[bytes]:
    """Open a file's text."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")


def whole_lines(stream: IO[bytes], most: int) -> tuple[list[str], int]:
    """Read about so many bytes; return their whole lines, and how many bytes those are.

    (No lines, 0) is the end: there is nothing, or the last line is not yet whole. A line beyond all measure is passed
    over.
    """
    block = stream.read(most)
    end = block.rfind(b"\n") + 1
    if end:
        # Not splitlines: a line may hold other characters that some take for line ends.
        return block[: end - 1].decode(errors="replace").split("\n"), end
    if len(block) < most:
        return [], 0
    passed = len(block)
    while part := stream.readline(most):
        passed += len(part)
        if part.endswith(b"\n"):
            return [], passed
    return [], 0
