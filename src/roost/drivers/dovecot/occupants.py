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
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.layout import Layout

SESSIONS = frozenset({"imap", "pop3", "managesieve"})
"""Names of the processes of which each serves one session at a time."""

_DELIVERY = "lmtp"
"""Never killed: a message that is saved and not acknowledged would come a second time."""

_PATIENCE = 1.0
"""Seconds after which who is still there is killed."""

_FAREWELL = 0.3
"""Seconds for sessions to say goodbye in."""

_LOOK_AGAIN = 0.004


@dataclass(frozen=True)
class Occupant:
    """A process of the mail user: its number, its name, and whether it has a file open there or only stands there."""

    process: int
    name: str
    opened: bool


def occupants(layout: Layout, home: Path) -> list[Occupant]:
    """Return the processes that stand in this folder or have a file open below it."""
    everywhere, here = f"{layout.mail}/", f"{home}/"
    found = []
    with os.scandir("/proc") as processes:
        for entry in processes:
            # A process may end at any of these looks, and then it has nothing open.
            with suppress(OSError):
                if not entry.name.isdigit() or entry.stat().st_uid != layout.uid:
                    continue
                cwd = f"{os.readlink(f'{entry.path}/cwd')}/"  # noqa: PTH115 - half the time of pathlib's
                stands = here in cwd
                opened = (stands or everywhere not in cwd) and _holds(f"{entry.path}/fd", here)
                if stands or opened:
                    found.append(Occupant(int(entry.name), _name(entry.path), opened))
    return found


def end_sessions(layout: Layout, home: Path) -> None:
    """Ask the sessions there to end, as ``doveadm kick`` does, which would end deliveries as well.

    Returns when they have, or after a moment: ``empty`` has the last word.
    """
    end = time.monotonic() + _FAREWELL
    asked: set[int] = set()
    while there := [occupant for occupant in occupants(layout, home) if occupant.name in SESSIONS]:
        ask_to_end({occupant.process for occupant in there} - asked)
        asked |= {occupant.process for occupant in there}
        if time.monotonic() > end:
            return
        time.sleep(_LOOK_AGAIN)


def ask_to_end(processes: Iterable[int]) -> None:
    """Ask those of them that are sessions to end."""
    for process in processes:
        with suppress(OSError):
            if _name(f"/proc/{process}") in SESSIONS:
                os.kill(process, signal.SIGTERM)


def empty(layout: Layout, home: Path, seconds: float) -> None:
    """Wait until nothing is open there, and kill who stays; raises ``DaemonFailed`` where it takes longer."""
    begin = time.monotonic()
    while there := [occupant for occupant in occupants(layout, home) if occupant.opened]:
        waited = time.monotonic() - begin
        if waited > seconds:
            names = ", ".join(f"{occupant.name} ({occupant.process})" for occupant in there)
            raise DaemonFailed(f"Files below {home} are kept open by {names}.")
        if waited > min(_PATIENCE, seconds / 2):
            for occupant in there:
                if occupant.name != _DELIVERY:
                    with suppress(ProcessLookupError):
                        os.kill(occupant.process, signal.SIGKILL)
        time.sleep(_LOOK_AGAIN)


def _name(process: str) -> str:
    return Path(process, "comm").read_text("ascii").strip()


def _holds(descriptors: str, here: str) -> bool:
    with os.scandir(descriptors) as entries:
        for entry in entries:
            with suppress(OSError):
                if here in f"{os.readlink(entry.path)}/":  # noqa: PTH115
                    return True
    return False
