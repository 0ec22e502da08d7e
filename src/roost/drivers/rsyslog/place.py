"""Where the files of the logs are on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, LOGS, TLS_CA, TLS_CERTIFICATE, TLS_KEY


@dataclass(frozen=True)
class Place:
    """Paths, and the address on which a log node listens. Tests give a temporary folder and a loopback address."""

    conf: str = "/etc/roost/logs"
    """Folder of our configuration of rsyslogd; Debian's own, ``/etc/rsyslog.conf``, is not ours."""

    units: str = "/etc/systemd/system"
    journald: str = "/etc/systemd/journald.conf.d/roost.conf"
    state: str = "/var/lib/roost/logs"
    """How far each sender is in the journal."""

    logs: str = LOGS
    """On a log node: a folder for each day, in it a file for each node."""

    room: int = 64 << 20
    """Bytes that must be free there for the collector to start. While they are not, the nodes keep their lines."""

    room_to_warn: int = 1 << 30
    """Bytes below which the log node warns, or a twentieth of the disk where that is less."""

    group: str = "adm"
    """Group that may read the logs, as with Debian's own."""

    listen: str = ""
    """Address on which a log node listens; '' means all."""

    ca: str = TLS_CA
    certificate: str = TLS_CERTIFICATE
    key: str = TLS_KEY
    identity: str = IDENTITY_CERTIFICATE
    identity_key: str = IDENTITY_KEY

    @property
    def collector(self) -> str:
        """The collector's configuration."""
        return f"{self.conf}/collector.conf"

    def sender(self, log_node: str) -> str:
        """Return the configuration of the sender to a log node."""
        return f"{self.conf}/to-{log_node}.conf"
