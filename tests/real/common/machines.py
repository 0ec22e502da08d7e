"""The machine whose daemons are tried: this one, and another release of Debian in a folder.

``ROOST_TEST_ROOT`` may name the root folder of another Debian that has the daemons installed: each test is then run
once more, with the daemon and its tools run there by chroot, and the test's folder mounted under its own path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from roost.host.machine import Machine
from roost.ports.host import Ran

ROOTS = ["", *filter(None, [os.environ.get("ROOST_TEST_ROOT")])]
"""Root folders of the machines that are tried; '' is this one."""


def name_of(root: str) -> str:
    """Return a root's name among the parameters of a test."""
    return "other" if root else "here"


class Rooted(Machine):
    """This machine, with commands run below another root folder."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return what to run here so that ``argv`` runs there."""
        return ["chroot", self.root, *argv] if self.root else list(argv)

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        return super().run(self.argv(argv), stdin=stdin, check=check, seconds=seconds)


@contextmanager
def seen_below(root: str, folder: Path) -> Iterator[None]:
    """Let a folder have the same path below another root."""
    if not root:
        yield
        return
    inside = Path(f"{root}{folder}")
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(folder), str(inside)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(inside)], check=True)


@contextmanager
def short_folder(root: str, prefix: str) -> Iterator[Path]:
    """A folder with a short name (a socket's path may have 107 bytes), seen by both machines, gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o755)
    try:
        with seen_below(root, folder):
            yield folder
    finally:
        shutil.rmtree(folder)
