"""Where rspamd and its data are on a machine. The defaults are Debian's; tests move everything to a folder."""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import FILTER_DOOR, FILTER_MEMORY


@dataclass(frozen=True)
class Layout:
    """Paths, sockets and the port of the milter."""

    conf: str = "/etc/rspamd/rspamd.conf"
    lua: str = "/etc/rspamd/roost.lua"
    """Roost's own rules."""

    unit: str = "/etc/systemd/system/rspamd.service.d/roost.conf"
    """What is added to Debian's unit."""

    run: str = "/run/rspamd"
    """Folder of sockets; the unit makes it."""

    data: str = "/var/lib/rspamd"
    milter: str = FILTER_DOOR
    """Where Postfix asks: address and port."""

    memory: str = FILTER_MEMORY
    """Redis's socket."""

    resolver: str = "127.0.0.1"
    """The machine's own resolver, the only one that is asked."""

    clamd: str = "/run/clamav/clamd.ctl"
    """Socket of Debian's clamd, where an administrator has installed it."""

    log: str = "syslog"
    """``syslog`` or a file."""

    local: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Clients that are the machine itself: they have no SPF."""

    @property
    def controller(self) -> str:
        """Path of the socket at which rspamd is taught; its owner and root may open it."""
        return f"{self.run}/controller.sock"

    @property
    def in_force(self) -> str:
        """Beginning of the paths of the files in which each worker says by which settings it works."""
        return f"{self.run}/in-force"
