"""Halts a service in the moment in which its journal says something, so that a fault falls exactly there.

In, one line: ``unit``, ``pattern`` (regular expression; '' to watch for nothing). Then a line for each command:
``halt`` and ``go`` (signals STOP and CONT to the service's main process). It lets the service go and ends when its
input ends. Out: ``ready`` once it reads the journal; ``reached`` (``text``) at the first line that matches, when the
service has been halted; ``halted`` after each ``halt``.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
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


def watch(unit: str, process: int, pattern: str) -> None:
    """Halt the service at the first line that matches."""
    # Lines that come while journalctl starts are not missed: it begins with the moment before.
    since = f"--since=@{time.time():.3f}"
    argv = ["journalctl", "--follow", "--output=cat", "--lines=all", since, f"--unit={unit}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as journal:
        assert journal.stdout is not None  # noqa: S101 - it was asked for
        tell("ready")
        for line in journal.stdout:
            if re.search(pattern, line):
                send(process, signal.SIGSTOP)
                tell("reached", text=line.strip())
                break
        journal.kill()


def main() -> None:
    """Watch, and obey."""
    asked = json.loads(sys.stdin.readline())
    process = main_process(asked["unit"])
    if asked["pattern"]:
        # The number is known before: to ask for it takes longer than a step of a move.
        threading.Thread(target=watch, args=(asked["unit"], process, asked["pattern"]), daemon=True).start()
    else:
        tell("ready")
    for line in sys.stdin:
        if line.strip() == "halt":
            send(process, signal.SIGSTOP)
            tell("halted")
        else:
            send(process, signal.SIGCONT)
    send(process, signal.SIGCONT)


main()
