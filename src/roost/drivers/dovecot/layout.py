"""Where Dovecot and its data are on a machine. The defaults are production; tests move everything to a folder.

``mail`` holds one folder for each mailbox, ``<domain>/<label>.<number>``. All mail belongs to one system user of
a fixed number, so that a spool carried to another node by hand has the right owner there.
"""

from __future__ import annotations

from dataclasses import dataclass

from roost.ports.host import LESSONS, TLS_CA, TLS_CERTIFICATE, TLS_KEY, WAY_OUT


@dataclass(frozen=True)
class Layout:
    """Paths, listening addresses and ports, owners."""

    config: str = "/etc/dovecot"
    """Folder of ``dovecot.conf``; the distribution's ``conf.d`` in it is not read."""

    accounts: str = "/var/lib/roost/dovecot"
    """Folder of ``accounts.db``, and of ``usage.log``."""

    mail: str = "/var/vmail"
    run: str = "/run/dovecot"
    """Dovecot's ``base_dir``: sockets and ``master.pid``."""

    state: str = "/var/lib/dovecot"
    """Dovecot's ``state_dir``."""

    units: str = "/etc/systemd/system"
    """Folder of the units by which mail that was expunged is removed from the disk every night."""

    lessons: str = LESSONS
    """Folder of what the filter is to learn."""

    log: str = "syslog"
    """Dovecot's ``log_path``: ``syslog`` or a file."""

    certificate: str = TLS_CERTIFICATE
    key: str = TLS_KEY
    ca: str = TLS_CA
    """Certificate of the authority by which another storage node is known when it is passed on to."""

    listen: tuple[str, ...] = ("*", "::")
    probe: str = "127.0.0.1"
    """The address that ``alive`` asks; one on which Dovecot listens."""

    imap: int = 143
    imaps: int = 993
    pop3: int = 110
    pop3s: int = 995
    lmtp: int = 24
    sieve: int = 4190
    """ManageSieve (RFC 5804)."""

    way_out: str = WAY_OUT
    """Where what users' rules send is handed over: address and port."""

    user: str = "vmail"
    uid: int = 5000
    """Number of the user and of the group that own all mail."""

    auth_group: str = "dovecot"
    """Group whose members may read the accounts: Dovecot's auth worker (a name or a number)."""

    @property
    def conf(self) -> str:
        """Path of the main configuration file."""
        return f"{self.config}/dovecot.conf"

    @property
    def sql(self) -> str:
        """Path of the SQL configuration, which only Dovecot 2.3 has."""
        return f"{self.config}/dovecot-sql.conf.ext"

    @property
    def lua(self) -> str:
        """Path of the script that verifies passwords."""
        return f"{self.config}/roost-password.lua"

    @property
    def programs(self) -> str:
        """Folder of the programs that Sieve scripts may call."""
        return f"{self.config}/roost-programs"

    @property
    def scripts(self) -> tuple[str, ...]:
        """Paths of the Sieve scripts for all users: what is marked, what goes into Junk, what comes out of it."""
        return tuple(f"{self.config}/roost-{name}.sieve" for name in ("junk", "learn-spam", "learn-ham"))

    @property
    def sievec(self) -> str:
        """Path of the little that sievec(1) is to know."""
        return f"{self.config}/roost-sievec.conf"

    @property
    def database(self) -> str:
        """Path of the accounts."""
        return f"{self.accounts}/accounts.db"

    @property
    def usage(self) -> str:
        """Path of the file into which Dovecot writes what each mailbox is used."""
        return f"{self.accounts}/usage.log"

    @property
    def doveadm(self) -> str:
        """Path of the socket at which Dovecot's doveadm server listens."""
        return f"{self.run}/doveadm-server"

    @property
    def purge_service(self) -> str:
        """Path of the unit that removes expunged mail."""
        return f"{self.units}/roost-purge.service"

    @property
    def purge_timer(self) -> str:
        """Path of the unit that says when."""
        return f"{self.units}/roost-purge.timer"
