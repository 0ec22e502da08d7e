"""The messages on a home that its MX hosts are to learn.

======================  ==========================================================================================
new/NAME.spam, .ham     what Dovecot's program has put there (``ports.host.LESSONS``)
to/MX/NAME.spam, .ham   what an MX has not had yet: links to the same file, so that it lies on disk once
counts/                 how much each user gave in an hour
======================  ==========================================================================================

A message leaves ``new`` once it is linked for every MX, and the disk once the last of them has had it. Cut off, the
same is done again: a filter knows what it has learned. For an MX that stays away the oldest go, so all is bounded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

MOST_WAITING = 2000
"""Most messages that wait for one MX."""

_OLD_SECONDS = 2 * 3600.0


class Spool:
    """One home's folder. Nothing in it is believed to be what it should be: a user's process may write there."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def share(self, nodes: Sequence[str]) -> None:
        """Link what is new for each MX, and forget MX hosts that are no more, and counts of hours that are over."""
        new, to = self._folder / "new", self._folder / "to"
        if not new.is_dir():
            return
        to.mkdir(mode=0o700, exist_ok=True)
        for gone in (path for path in to.iterdir() if path.name not in nodes):
            shutil.rmtree(gone)
        for node in nodes:
            (to / node).mkdir(mode=0o700, exist_ok=True)
        for path in sorted(new.iterdir()):
            for node in nodes:
                with contextlib.suppress(FileExistsError):
                    os.link(path, to / node / path.name, follow_symlinks=False)
            if nodes:
                path.unlink()
        for node in nodes:
            for path in self.waiting(node)[:-MOST_WAITING]:
                path.unlink(missing_ok=True)
        self._tidy()

    def waiting(self, node: str) -> list[Path]:
        """Return what an MX has not had yet, the oldest first."""
        folder = self._folder / "to" / node
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def read(self, path: Path, most: int) -> bytes | None:
        """Return a message; None for what is none, or too large."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = file.read(most + 1) or b""
        return found if 0 < len(found) <= most and path.suffix in {".spam", ".ham"} else None

    def _tidy(self) -> None:
        before = time.time() - _OLD_SECONDS
        for path in (self._folder / "counts").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < before:
                    path.unlink()
