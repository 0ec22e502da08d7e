"""Two folders change places in one step, so that nobody ever finds neither of them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANNOT = "this file system cannot let two names change places (ext4, XFS, Btrfs and ZFS since 2.2 can)"
_LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Let two names in one file system change places (renameat2(2), which Python does not have).

    Raises ``OSError``, also where the file system cannot; ext4, XFS, Btrfs, tmpfs and ZFS since 2.2 can.
    """
    if _LIBC.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        words = _CANNOT if code == errno.EINVAL else os.strerror(code)
        raise OSError(code, words, str(one), None, str(other))
