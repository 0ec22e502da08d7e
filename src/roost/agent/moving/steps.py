"""The steps of a move: a line in the log for each, and a way to halt the agent exactly there.

If root has made the file ``/run/roost/halt-at-NAME``, the agent that comes to this step removes the file and stops
itself (signal STOP); ``systemctl kill --signal=CONT roost-agent`` lets it go on. So a move can be looked at, or cut,
between any two of its steps.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import structlog

FOLDER = Path("/run/roost")
_log = structlog.get_logger()


def step(move: int, name: str, /, **fields: object) -> None:
    """Say that a move has come so far."""
    _log.info("move", move=move, step=name, **fields)
    try:
        (FOLDER / f"halt-at-{name}").unlink()
    except OSError:
        return
    # To this very thread: it stops before its next line, and all others with it.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
