"""Commands on the host, and processes that may outlive the one that started them.

A process is named by its PID together with its start time (field 22 of ``/proc/PID/stat``), because a PID alone may
have been given to somebody else since. A zombie counts as gone: nobody will ever talk to it again.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roost.lab.errors import CommandFailed

# What a login on a fresh Debian server would have; nothing of the caller's environment leaks into a machine.
PLAIN_ENV: dict[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}

# Moves itself into the control groups named before "--", then becomes the command after it. A group is left before
# the first instruction of the command runs, which no parent could do from outside; and Python's own hook for this
# is not safe in a program with threads.
_INTO_GROUPS = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        found = _stat(self.pid)
        return found is not None and found == (self.started, True)


def _stat(pid: int) -> tuple[int, bool] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may itself hold brackets and spaces: everything after the last one is well formed.
    fields = text.rpartition(")")[2].split()
    return int(fields[19]), fields[0] not in {"Z", "X"}


def identify(pid: int) -> ProcessId | None:
    """The process with this number now, or None."""
    found = _stat(pid)
    return ProcessId(pid, found[0]) if found is not None else None


def myself() -> ProcessId:
    """This process."""
    me = identify(os.getpid())
    assert me is not None  # noqa: S101 - a process can always read its own entry
    return me


def within_groups(groups: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """``argv``, started as a member of these control groups."""
    return ["/bin/sh", "-c", _INTO_GROUPS, "sh", *map(str, groups), "--", *argv]


def call(
    argv: Sequence[str],
    *,
    check: bool = True,
    timeout: float = 60,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    where: str = "host",
) -> Result:
    """Run a short command on the host, wait for it and return what it said."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=dict(env) if env is not None else None,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(where, argv, None) from late
    except FileNotFoundError as missing:
        raise CommandFailed(where, argv, 127, stderr=str(missing)) from missing
    if check and done.returncode != 0:
        raise CommandFailed(where, argv, done.returncode, done.stdout, done.stderr)
    return Result(tuple(argv), done.returncode, done.stdout, done.stderr)
