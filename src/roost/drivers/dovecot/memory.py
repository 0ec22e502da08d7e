"""What a mailbox's rules remember: whom ``vacation`` has answered, what ``redirect`` has sent on, and until when.

Dovecot keeps it in one file of the home, ``.dovecot.lda-dupes`` (mail-duplicate.c, the same form in 2.3 and 2.4), of
which dsync knows nothing. It travels beside the copy, or whoever was answered would be answered again after a move.
Where it cannot be had, the mailbox moves without it: the worst is a second answer.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = ".dovecot.lda-dupes"

MOST_BYTES = 4_000_000
"""What is larger stays behind: tens of thousands of entries, which a user's ordinary mail does not make in a week."""


def read(home: Path) -> bytes:
    """Return the file of a home; nothing where there is none."""
    try:
        with (home / NAME).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return b""
    return content if len(content) <= MOST_BYTES else b""


def write(home: Path, content: bytes, owner: int) -> None:
    """Put the file into a home to which nobody comes yet."""
    path = home / NAME
    with contextlib.suppress(OSError):
        if not content:
            path.unlink(missing_ok=True)
            return
        new = path.with_name(f"{NAME}.new")
        new.unlink(missing_ok=True)
        with new.open("xb") as file:
            os.fchown(file.fileno(), owner, owner)
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
        new.rename(path)
