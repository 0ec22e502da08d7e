"""Who has a file open below a mailbox's home: from ``/proc``, for processes of the user of all mail only.

An IMAP, POP3 or doveadm process works on one mailbox at a time, and before it opens that it makes the home its
current directory, where it stays when the session is over; LMTP stands elsewhere. So a process that stands in
another mailbox's home needs no further look, and a thousand sessions of others cost a thousand looks and not thirty
thousand. Who stands in the home and has nothing open cannot do harm: he goes by names, and there the fence is.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.layout import Layout

_PATIENCE = 1.0
"""Seconds after which who is still there is killed."""

_LOOK_AGAIN = 0.004


def occupants(layout: Layout, home: Path) -> list[int]:
    """Return the processes that have a file open below this folder."""
    everywhere, here = f"{layout.mail}/", f"{home}/"
    found = []
    with os.scandir("/proc") as processes:
        for entry in processes:
            # A process may end at any of these looks, and then it has nothing open.
            with suppress(OSError):
                if not entry.name.isdigit() or entry.stat().st_uid != layout.uid:
                    continue
                cwd = f"{os.readlink(f'{entry.path}/cwd')}/"  # noqa: PTH115 - half the time of pathlib's
                if (here in cwd or everywhere not in cwd) and _holds(f"{entry.path}/fd", here):
                    found.append(int(entry.name))
    return found


def empty(layout: Layout, home: Path, seconds: float) -> None:
    """Wait until nobody is there, and kill who stays; raises ``DaemonFailed`` where it takes more than so long."""
    begin = time.monotonic()
    while there := occupants(layout, home):
        waited = time.monotonic() - begin
        if waited > seconds:
            raise DaemonFailed(f"Processes {', '.join(map(str, there))} keep files open below {home}.")
        if waited > min(_PATIENCE, seconds / 2):
            for process in there:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(_LOOK_AGAIN)


def _holds(descriptors: str, here: str) -> bool:
    with os.scandir(descriptors) as entries:
        for entry in entries:
            with suppress(OSError):
                if here in f"{os.readlink(entry.path)}/":  # noqa: PTH115
                    return True
    return False
