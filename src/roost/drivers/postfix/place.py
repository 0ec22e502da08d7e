"""Where Postfix and its tables are on this machine. The defaults are Debian's; tests move everything to a folder."""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import TLS_CA, TLS_CERTIFICATE, TLS_KEY


@dataclass(frozen=True)
class Place:
    """Paths, ports and names."""

    etc: str = "/etc/postfix"
    tables: str = "/var/lib/roost/postfix"
    """Folder of the LMDB files, which only the agent writes and every Postfix process reads."""

    queue: str = "/var/spool/postfix"
    data: str = "/var/lib/postfix"
    certificate: str = TLS_CERTIFICATE
    key: str = TLS_KEY
    authority: str = TLS_CA
    listen: str = "all"
    """``inet_interfaces``."""

    probe: str = "127.0.0.1"
    """The address at which ``alive`` asks for the greeting."""

    port: int = 25
    home_port: int = 24
    """Where the homes take LMTP."""

    log: str = ""
    """``maillog_file``; nothing means syslog."""

    unit: str = "postfix.service"

    @property
    def main(self) -> str:
        """Return the path of main.cf."""
        return f"{self.etc}/main.cf"

    @property
    def master(self) -> str:
        """Return the path of master.cf."""
        return f"{self.etc}/master.cf"

    @property
    def recipients(self) -> str:
        """Return the path of the aliases, as Postfix names it (without ``.lmdb``)."""
        return f"{self.tables}/recipients"

    @property
    def hops(self) -> str:
        """Return the path of the next hops of personal hostnames."""
        return f"{self.tables}/hops"

    @property
    def refusals(self) -> str:
        """Return the path of what is said to mail for suspended mailboxes."""
        return f"{self.tables}/refusals"
