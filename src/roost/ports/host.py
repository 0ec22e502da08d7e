"""The machine, as drivers and the agent see it. Real: ``roost.host``; for tests: ``roost.host.fake``.

Commands are argv lists, never shell lines. Everything that can fail on the machine raises ``DaemonFailed`` with
the command's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class File:
    """A file that should be: its whole content. ``owner`` is ``user:group``, ``mode`` the permission bits."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root:root"


class Running(Protocol):
    """A command that runs, with pipes to its standard input and from its standard output and error.

    Whoever started it owns the two file descriptors and closes them.
    """

    stdin: int
    stdout: int

    def wait(self, seconds: float) -> tuple[int, str]:
        """Wait for its end; returns its status and what it said on standard error. Raises ``DaemonFailed``."""

    def kill(self) -> None:
        """End it at once; no error where it has ended."""


class Host(Protocol):
    """What Roost may do to the machine that it runs on."""

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        """Run a command; raises ``DaemonFailed`` on a time-out, and on a status other than 0 if ``check``."""

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and return at once; raises ``DaemonFailed`` where it cannot be."""

    def read(self, path: str) -> File | None:
        """Return a text file as it is on disk, or None where there is none."""

    def write(self, file: File) -> None:
        """Put a file in place atomically (temporary name, fsync, rename), making folders above it."""

    def remove(self, path: str) -> None:
        """Remove a file; no error where there is none."""

    def ask(self, socket: str, said: str, answered: Callable[[bytearray], bool], *, seconds: float = 10.0) -> bytes:
        """Say something to a daemon at its UNIX socket and return what it says until ``answered`` holds.

        ``answered`` is given all that has come so far. Raises ``DaemonFailed`` where nobody listens, the daemon
        hangs up before, or is silent for so many seconds.
        """

    def make_folder(self, path: str, mode: int = 0o755, owner: str = "root:root") -> None:
        """Make a folder, or set the mode and owner of the one that is there."""


class Services(Protocol):
    """The machine's units and packages (systemd and apt on Debian)."""

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        """Install the packages that are missing and return their names; their daemons are not started by it."""

    def enable(self, unit: str) -> None:
        """Start a unit now and at each boot."""

    def disable(self, unit: str) -> None:
        """Stop a unit now and at each boot; no error where there is none."""

    def reload(self, unit: str) -> None:
        """Make a unit read its configuration again; starts it where it does not run."""

    def restart(self, unit: str) -> None:
        """Stop and start a unit."""

    def is_active(self, unit: str) -> bool:
        """Say whether the unit runs."""


@dataclass(frozen=True)
class Facts:
    """What is true of this machine and cannot be read from the settings; rendering stays pure by being given it.

    ``release`` is Debian's major version (12 or 13). ``versions`` maps a daemon's name to its version
    (``postfix`` to ``3.7.11``), for the daemons that are installed. ``certificate`` is the SHA-256 fingerprint of
    the service certificate: a driver that writes it into a comment of its file is reloaded when it is renewed.
    """

    release: int
    versions: Mapping[str, str]
    certificate: str = ""
    memory_mb: int = 1024
    processors: int = 1


@dataclass(frozen=True)
class Volume:
    """A file system: its size and what is free of it in bytes, and the share of its files (inodes) that is free."""

    path: str
    size: int
    free: int
    inodes_free: float


@dataclass(frozen=True)
class Load:
    """How busy this machine is: load average of a minute for each processor, memory in bytes, file systems."""

    ratio: float
    memory: int
    available: int
    volumes: tuple[Volume, ...]


TLS_CERTIFICATE = "/etc/roost/tls/service.crt"
"""The node's service certificate with its chain, PEM, readable by all."""

TLS_KEY = "/etc/roost/tls/service.key"
"""Its key, PEM, root only: daemons open it before they drop root."""

TLS_CA = "/etc/roost/tls/ca.crt"
"""The cluster's CA certificate, PEM."""

FILTER_MEMORY = "/run/redis/redis-server.sock"
"""The socket of the MX's own Redis, which two drivers share: one runs it, the filter's uses it."""

FILTER_DOOR = "127.0.0.1:11332"
"""Where the MX's own filter takes questions of Postfix: address and port, shared by two drivers as well."""

WAY_OUT = "127.0.0.1:10026"
"""Where a home's Dovecot hands over what users' rules send (address and port), and the home's Postfix takes it."""

LESSONS = "/var/spool/roost/learn"
"""Folder on a home of what users have moved into Junk or out of it: Dovecot's program puts it into ``new``, the agent
fetches it there; ``counts`` holds how much each user gave in an hour."""

MARK = "X-Spam"
"""The header by which the filter marks a message (``X-Spam: Yes``) and the homes know it."""

IDENTITY_CERTIFICATE = "/etc/roost/agent/identity.crt"
"""The certificate by which the node is known as a client, PEM: to the controller, to other homes, to log nodes."""

IDENTITY_KEY = "/etc/roost/agent/identity.key"
"""Its key, PEM, root only."""

LOGS = "/var/log/roost"
"""Folder on a log node of what all nodes have sent; one daemon writes it, the agent reads it."""

TRACES = "/var/lib/roost/traces"
"""Folder on a log node of what the agent has found in there."""
