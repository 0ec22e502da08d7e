"""Where Redis and its data are on a machine. The defaults are Debian's; tests move everything to a folder."""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import FILTER_MEMORY


@dataclass(frozen=True)
class Layout:
    """Paths and owner."""

    conf: str = "/etc/redis/redis.conf"
    socket: str = FILTER_MEMORY
    """The only place where it listens."""

    data: str = "/var/lib/redis"
    pid_file: str = "/run/redis/redis-server.pid"
    group: str = "redis"
    """Group that may read the configuration: Debian's unit starts Redis as its own user."""

    log: str = ""
    """A file; '' for the journal."""
