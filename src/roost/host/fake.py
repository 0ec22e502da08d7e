"""Twins of the machine for tests: files in memory, commands that do nothing and are remembered.

>>> host = FakeHost()
>>> host.answers["postconf -n"] = Ran((), 0, "", "")
>>> host.write(File("/etc/x", "y"))
>>> host.files["/etc/x"].content
'y'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roost.domain.errors import DaemonFailed
from roost.ports.host import File, Ran


class FakeHost:
    """A ``Host`` in memory. ``answers`` maps a command line (joined by spaces) or its first word to a result.

    ``replies`` maps the path of a socket to what the daemon there says; with none nobody listens.
    """

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.folders: dict[str, tuple[int, str]] = {}
        self.commands: list[tuple[str, ...]] = []
        self.answers: dict[str, Ran] = {}
        self.asked: list[tuple[str, str]] = []
        self.replies: dict[str, bytes] = {}

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        """Remember the command; answer what was registered, else success with no words."""
        del stdin, seconds
        self.commands.append(tuple(argv))
        ran = self.answers.get(" ".join(argv)) or self.answers.get(argv[0]) or Ran(tuple(argv), 0, "", "")
        if check and ran.code != 0:
            raise DaemonFailed(f"'{argv[0]}' ended with {ran.code}: {ran.err}")
        return ran

    def read(self, path: str) -> File | None:
        """Return the file."""
        return self.files.get(path)

    def write(self, file: File) -> None:
        """Keep the file."""
        self.files[file.path] = file

    def remove(self, path: str) -> None:
        """Forget the file."""
        self.files.pop(path, None)

    def ask(self, socket: str, said: str, answered: Callable[[bytearray], bool], *, seconds: float = 10.0) -> bytes:
        """Remember what was said; answer what ``replies`` has for the socket, if that is an answer."""
        del seconds
        self.asked.append((socket, said))
        reply = self.replies.get(socket)
        if reply is None or not answered(bytearray(reply)):
            raise DaemonFailed(f"{socket} cannot be asked.")
        return reply

    def make_folder(self, path: str, mode: int = 0o755, owner: str = "root:root") -> None:
        """Remember the folder."""
        self.folders[path] = (mode, owner)


class FakeServices:
    """``Services`` in memory: the set of active units, and every call in ``calls``."""

    def __init__(self) -> None:
        self.active: set[str] = set()
        self.packages: set[str] = set()
        self.calls: list[tuple[str, str]] = []

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        """Install at once."""
        missing = tuple(name for name in names if name not in self.packages)
        self.packages.update(missing)
        return missing

    def enable(self, unit: str) -> None:
        """Start."""
        self.calls.append(("enable", unit))
        self.active.add(unit)

    def disable(self, unit: str) -> None:
        """Stop."""
        self.calls.append(("disable", unit))
        self.active.discard(unit)

    def reload(self, unit: str) -> None:
        """Reload or start."""
        self.calls.append(("reload", unit))
        self.active.add(unit)

    def restart(self, unit: str) -> None:
        """Restart."""
        self.calls.append(("restart", unit))
        self.active.add(unit)

    def is_active(self, unit: str) -> bool:
        """Say whether it was started."""
        return unit in self.active
