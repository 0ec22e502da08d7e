"""The real machine: commands, files. With ``systemd.py`` and ``probe.py`` the only room that touches it.

Files are put in place like a surgeon would: written under a temporary name in the same folder, given their owner and
mode, fsynced, renamed, and the folder fsynced, so that after a power cut there is the old file or the new one. A
reader never sees a half. A symbolic link at the path is replaced by the file.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket as sockets
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.host.command import ENVIRONMENT, Command
from roost.ports.host import File, Ran, Running

_WORDS_MAX = 2000
_CHUNK = 1 << 18


class Machine:
    """Implements ``roost.ports.host.Host``."""

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        """Run a command and wait for it; see the port."""
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                env=ENVIRONMENT,
            )
        except subprocess.TimeoutExpired as error:
            raise DaemonFailed(f"'{argv[0]}' did not end within {seconds:.0f} s.") from error
        except OSError as error:
            raise DaemonFailed(f"'{argv[0]}' could not be run: {error.strerror}.") from error
        ran = Ran(tuple(argv), done.returncode, done.stdout, done.stderr)
        if check and ran.code != 0:
            words = (ran.err.strip() or ran.out.strip())[-_WORDS_MAX:]
            raise DaemonFailed(f"'{' '.join(argv[:3])}' ended with {ran.code}: {words}")
        return ran

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command; see the port."""
        return Command(argv)

    def read(self, path: str) -> File | None:
        """Return a file as it is; a symbolic link counts as none, since ours are plain files."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if Path(path).is_symlink():
                return None
            raise DaemonFailed(f"{path} cannot be read: {error.strerror}.") from error
        with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            status = os.fstat(stream.fileno())
            return File(path, stream.read(), stat.S_IMODE(status.st_mode), _owner_text(status))

    def write(self, file: File) -> None:
        """Put a file in place atomically; see the port."""
        path = Path(file.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                    stream.write(file.content)
                    stream.flush()
                    os.fchown(stream.fileno(), *_owner_ids(file.owner))
                    os.fchmod(stream.fileno(), file.mode)
                    os.fsync(stream.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except OSError as error:
            raise DaemonFailed(f"{file.path} cannot be written: {error.strerror}.") from error

    def remove(self, path: str) -> None:
        """Remove a file; see the port."""
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise DaemonFailed(f"{path} cannot be removed: {error.strerror}.") from error

    def ask(self, socket: str, said: str, answered: Callable[[bytearray], bool], *, seconds: float = 10.0) -> bytes:
        """Talk to a daemon at its UNIX socket; see the port."""
        found = bytearray()
        try:
            with sockets.socket(sockets.AF_UNIX) as line:
                line.settimeout(seconds)
                line.connect(socket)
                line.sendall(said.encode())
                while not answered(found):
                    more = line.recv(_CHUNK)
                    if not more:
                        raise DaemonFailed(f"{socket} hung up after {bytes(found[-200:])!r}.")
                    found += more
        except OSError as error:
            raise DaemonFailed(f"{socket} cannot be asked: {error.strerror or error}.") from error
        return bytes(found)

    def make_folder(self, path: str, mode: int = 0o755, owner: str = "root:root") -> None:
        """Make a folder or correct the one that is there; see the port."""
        try:
            folder = Path(path)
            folder.mkdir(parents=True, exist_ok=True)
            status = folder.stat()
            ids = _owner_ids(owner)
            if (status.st_uid, status.st_gid) != ids:
                os.chown(path, *ids)
            if stat.S_IMODE(status.st_mode) != mode:
                folder.chmod(mode)
        except OSError as error:
            raise DaemonFailed(f"The folder {path} cannot be made: {error.strerror}.") from error


def _owner_ids(owner: str) -> tuple[int, int]:
    """Return the numbers of ``user:group``; either may be a number already."""
    user, _, group = owner.partition(":")
    try:
        uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        gid = int(group) if group.isdigit() else grp.getgrnam(group or user).gr_gid
    except KeyError as error:
        raise DaemonFailed(f"There is no user or group {owner} on this machine.") from error
    return uid, gid


def _owner_text(status: os.stat_result) -> str:
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"{user}:{group}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
