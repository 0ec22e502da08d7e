"""Halts a service, or has an agent halt itself at a step of a move, so that a fault falls exactly there.

In, one line: ``unit``, ``step`` (see ``roost.agent.moving.steps``; '' for none). Then a line for each command:
``halt`` and ``go`` (signals STOP and CONT to the service's main process). It lets the service go and ends when its
input ends. Out: ``ready``; ``reached`` when the agent has halted itself; ``halted`` after each ``halt``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_PRINTING = threading.Lock()


def tell(what: str, **fields: Any) -> None:
    """Print an event."""
    with _PRINTING:
        print(json.dumps({"at": time.time(), "what": what, "by": "halt", **fields}), flush=True)


def main_process(unit: str) -> int:
    """Return the number of a service's main process, 0 where it does not run."""
    shown = ["systemctl", "show", "--property=MainPID", "--value", unit]
    return int(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)


def send(process: int, number: signal.Signals) -> None:
    """Signal it, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        if process:
            os.kill(process, number)


def watch(process: int) -> None:
    """Wait until the service has stopped itself."""
    while True:
        try:
            state = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "T":
            tell("reached")
            return
        time.sleep(0.002)


def main() -> None:
    """Watch, and obey."""
    asked = json.loads(sys.stdin.readline())
    process = main_process(asked["unit"])
    if asked["step"]:
        place = Path("/run/roost", f"halt-at-{asked['step']}")
        place.parent.mkdir(exist_ok=True)
        place.touch()
        threading.Thread(target=watch, args=(process,), daemon=True).start()
    tell("ready")
    for line in sys.stdin:
        if line.strip() == "halt":
            send(process, signal.SIGSTOP)
            tell("halted")
        else:
            send(process, signal.SIGCONT)
    send(process, signal.SIGCONT)


main()
