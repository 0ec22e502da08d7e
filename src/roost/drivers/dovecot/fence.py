"""The fence: what makes sure that nothing can write into a mailbox that is held or was given away.

The mail changes places with an empty folder that nobody may enter: the *fence* stands at the home, the mail is in
``<home>.moving``. It is one step (``exchange.py``): at a name where nothing stood, though for a moment, a delivery
would make a new mailbox. A session or delivery that found out before the hold where the mail is, and opens it later,
meets the fence, however late it comes. So the fence stays after a mailbox was given away, for as long as its copy is
kept, and where a hold is lifted it stays behind at ``<home>.moving``, for whoever was told that name.

Every step may be repeated after a crash in any other.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot.exchange import exchange
from roost.drivers.dovecot.layout import Layout

MOVING = ".moving"


def home_of(order: Order) -> str:
    """Return a mailbox's home, relative to all mail: the same as the accounts' column ``home`` says."""
    return f"{order.address.partition('@')[2]}/{order.hostname.partition('.')[0]}.{order.number}"


def moving(home: Path) -> Path:
    """Return where the mail is while the fence is at the home."""
    return home.with_name(home.name + MOVING)


def is_fence(path: Path) -> bool:
    """Say whether this is the fence."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0


def mailbox_folder(layout: Layout, home: str) -> Path:
    """Make sure of a mailbox's home and return it; raises ``DaemonFailed``. It is empty where it was not there."""
    path = Path(layout.mail) / home
    try:
        for folder in (path.parent, path):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, layout.uid, layout.uid)
    except OSError as error:
        raise DaemonFailed(f"{path} cannot be made: {error.strerror}.") from error
    return path


def close(layout: Layout, home: str) -> Path:
    """Put the fence at the home and return where the mail is now; raises ``DaemonFailed``."""
    path = Path(layout.mail) / home
    apart = moving(path)
    if is_fence(path):
        return apart
    try:
        if not path.exists() and apart.exists() and not is_fence(apart):
            # Somebody has removed the fence.
            path.mkdir(mode=0)
            return apart
        mailbox_folder(layout, home)
        _change_places(mail=path, fence=apart)
    except OSError as error:
        raise DaemonFailed(f"{path} cannot be closed: {error.strerror}.") from error
    return apart


def open_again(layout: Layout, home: str) -> Path:
    """Put the mail back at the home and return that; nothing happens where it is there. Raises ``DaemonFailed``."""
    path = Path(layout.mail) / home
    apart = moving(path)
    if not apart.exists() or is_fence(apart):
        return path
    try:
        _change_places(mail=apart, fence=path)
    except OSError as error:
        raise DaemonFailed(f"{path} cannot be opened: {error.strerror}.") from error
    return path


def _change_places(*, mail: Path, fence: Path) -> None:
    if not fence.exists():
        fence.mkdir(mode=0)
    if not is_fence(fence):
        raise DaemonFailed(f"There is mail in {mail} and in {fence}: somebody must look.")
    exchange(mail, fence)
