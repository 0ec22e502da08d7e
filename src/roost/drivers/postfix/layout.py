"""Where Postfix and its data are on a machine. The defaults are production; tests move everything to a folder."""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import (
    FILTER_DOOR,
    IDENTITY_CERTIFICATE,
    IDENTITY_KEY,
    TLS_CA,
    TLS_CERTIFICATE,
    TLS_KEY,
    WAY_OUT,
)


@dataclass(frozen=True)
class Layout:
    """Paths, listening addresses and ports."""

    config: str = "/etc/postfix"
    """Folder of ``main.cf`` and ``master.cf``; Debian's ``dynamicmaps.cf`` stays as it is."""

    maps: str = "/var/lib/roost/postfix"
    """Folder of the three LMDB files."""

    queue: str = "/var/spool/postfix"
    state: str = "/var/lib/postfix"
    """Postfix's ``data_directory``: caches of TLS sessions."""

    log: str = "syslog"
    """``syslog`` or a file."""

    certificate: str = TLS_CERTIFICATE
    key: str = TLS_KEY
    ca: str = TLS_CA
    identity_certificate: str = IDENTITY_CERTIFICATE
    """By it a home is known to the MX hosts; so is its key, which Postfix reads before it gives up root."""

    identity_key: str = IDENTITY_KEY

    listen: str = ""
    """The one address on which Postfix listens; '' for all."""

    probe: str = "127.0.0.1"
    """The address that ``alive`` asks; one on which Postfix listens."""

    smtp: int = 25
    """Port on which Postfix listens, and on which a backup MX finds the primaries."""

    lmtp: int = 24
    """Port on which the homes take mail."""

    way_out: int = 10025
    """Port on which MX hosts take from the homes what users' rules send."""

    leaving: str = WAY_OUT
    """Where a home's Postfix takes it from Dovecot: address and port."""

    filter: str = FILTER_DOOR
    """Where the filter is asked: address and port."""

    @property
    def main(self) -> str:
        """Path of ``main.cf``."""
        return f"{self.config}/main.cf"

    @property
    def master(self) -> str:
        """Path of ``master.cf``."""
        return f"{self.config}/master.cf"

    @property
    def domains(self) -> str:
        """Path of the list of mail domains, a texthash(5) table."""
        return f"{self.config}/roost-domains"

    @property
    def waiting(self) -> str:
        """Path of the transports for what has no next hop (yet), a texthash table."""
        return f"{self.config}/roost-waiting"

    @property
    def replies(self) -> str:
        """Path of the rules for replies of homes and primaries, a regexp_table(5)."""
        return f"{self.config}/roost-replies"

    @property
    def commands(self) -> str:
        """Path of the rules for commands of clients, a regexp_table(5)."""
        return f"{self.config}/roost-commands"

    @property
    def judged(self) -> str:
        """Path of the clients whose mail has been judged already, a cidr_table(5)."""
        return f"{self.config}/roost-judged"

    @property
    def homes(self) -> str:
        """Path of the clients that may send through this MX, a cidr_table."""
        return f"{self.config}/roost-homes"

    @property
    def recipients(self) -> str:
        """Path of the aliases without ``.lmdb``, as Postfix names a table; so are the next two."""
        return f"{self.maps}/recipients"

    @property
    def hops(self) -> str:
        """Path of the next hops."""
        return f"{self.maps}/hops"

    @property
    def refusals(self) -> str:
        """Path of the refusals."""
        return f"{self.maps}/refusals"
