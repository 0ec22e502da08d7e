"""A copy of this machine's file system in which anything may be installed, with a network of its own, loopback only.

It is an overlay in a mount namespace of its own, so nothing of it is seen outside. Nothing is left either: namespaces
and all processes in them end with the process that holds them, and that one ends when its standard input is closed,
which is also what happens if the test is killed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_HOLD = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mount -t tmpfs tmpfs /mnt/root/run
ip link set lo up
echo ready
cat >/dev/null
"""
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class CopyOfHost:
    """Use it as a context."""

    def __enter__(self) -> Self:
        namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        self._holder = subprocess.Popen(
            [*namespaces, "sh", "-c", _HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != "ready\n":
            raise AssertionError(self._holder.stderr.read())
        parent = self._holder.pid
        self._pid = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.communicate("", timeout=30)

    def argv(self, *argv: str) -> list[str]:
        """What to run on this machine so that ``argv`` runs in the copy."""
        return ["nsenter", f"--target={self._pid}", "--mount", "--net", "--pid", "chroot", "/mnt/root", *argv]

    def run(self, *argv: str, stdin: str = "", environment: dict[str, str] | None = None) -> str:
        """Run a command in the copy and return what it said; it has to succeed."""
        done = subprocess.run(
            self.argv(*argv),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            env={**_ENVIRONMENT, **(environment or {})},
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}"
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command in the copy that goes on; it ends with the copy at the latest."""
        return subprocess.Popen(
            self.argv(*argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_ENVIRONMENT
        )

    def put(self, path: str, source: Path) -> None:
        """Copy a file of this machine into the copy."""
        subprocess.run(self.argv("tee", path), input=source.read_bytes(), stdout=subprocess.DEVNULL, check=True)

    def write(self, path: str, content: str, *, append: bool = False) -> None:
        """Write a file in the copy."""
        self.run("tee", *(["-a"] if append else []), path, stdin=content)
