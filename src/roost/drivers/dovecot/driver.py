"""The driver of Dovecot on storage nodes: implements ``roost.ports.driver.Driver``.

A changed file means a reload: Dovecot starts new processes with the new settings and lets sessions that are under
way end in peace (``shutdown_clients = no``). A restart, which ends them, is made only where the daemon runs and
does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.domain.figures import Figure
from roost.drivers.dovecot import departed, peers, render
from roost.drivers.dovecot.accounts import Accounts
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.doveadm import Doveadm, fields
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.mailstore import DovecotMailstore
from roost.drivers.dovecot.moves import Moves
from roost.drivers.dovecot.sessions import Sessions, visitors
from roost.drivers.dovecot.usage import UsageFile
from roost.ports.clock import Clock
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services
from roost.ports.mailstore import Mailstore
from roost.ports.usage import Teller

_UNIT = "dovecot.service"
_PURGE = "roost-purge.timer"
_RELOAD_SECONDS = 5.0
_WHO_SECONDS = 20.0
_PROTOCOLS = ("imap", "pop3")
_SIEVE = ("-P", "sieve_imapsieve", "-P", "sieve_extprograms", "-x", "+imapsieve +vnd.dovecot.pipe")


def _translated(path: str) -> str:
    return path.removesuffix(".sieve") + ".svbin"


@dataclass(frozen=True)
class _Parts:
    """What works on one host's accounts and mailboxes."""

    host: Host
    database: Database
    sessions: Sessions
    accounts: Accounts
    moves: Moves
    mailstore: DovecotMailstore
    usage: UsageFile

    @classmethod
    def of(cls, layout: Layout, host: Host, clock: Clock) -> _Parts:
        """Put them together."""
        database = Database(layout, host)
        sessions = Sessions(database, layout, host, clock)
        mailstore = DovecotMailstore(database, layout, host)
        accounts, usage = Accounts(database, sessions, clock), UsageFile(database, layout, host, clock)
        return cls(host, database, sessions, accounts, Moves(database), mailstore, usage)


class Dovecot:
    """One storage node's Dovecot.

    ``probe(address, port)`` returns the first line that a server says, '' where it says none
    (``roost.host.probe.greeting``). ``clock`` dates the mail of accounts that go.
    """

    name = "dovecot"
    roles = frozenset({Role.STORAGE})
    waits_for_table: Table | None = Table.ACCOUNTS
    """With an empty table it would refuse everybody's password."""

    def __init__(self, clock: Clock, probe: Callable[[str, int], str], layout: Layout | None = None) -> None:
        self._clock = clock
        self._probe = probe
        self._layout = layout or Layout()
        self._parts: _Parts | None = None

    def packages(self) -> tuple[str, ...]:
        """Return Debian's packages of the daemon, its protocols, Sieve, SQLite and Lua."""
        return (
            "dovecot-core",
            "dovecot-imapd",
            "dovecot-pop3d",
            "dovecot-lmtpd",
            "dovecot-managesieved",
            "dovecot-sieve",
            "dovecot-sqlite",
            "dovecot-auth-lua",
        )

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return ``dovecot.conf`` and what goes with it; see ``render.py``."""
        return render.render(settings, facts, self._layout)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folders of the accounts and of all mail."""
        owner = self._layout.uid
        return (
            (self._layout.accounts, 0o750, f"root:{self._layout.auth_group}"),
            (self._layout.mail, 0o700, f"{owner}:{owner}"),
            (self._layout.lessons, 0o700, f"{owner}:{owner}"),
            *((f"{self._layout.lessons}/{name}", 0o700, f"{owner}:{owner}") for name in ("new", "counts")),
        )

    def check(self, host: Host) -> None:
        """Have ``doveconf`` read the files; a warning counts as a failure."""
        ran = host.run(["doveconf", "-n", "-c", self._layout.conf], check=False)
        if ran.code != 0 or ran.err.strip():
            raise DaemonFailed(f"doveconf: {ran.err.strip() or ran.out.strip()[-500:]}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Make sure of the user of all mail and of the accounts, then start, reload, or restart what hangs."""
        self._make_user(host)
        self._open(host).accounts.prepare()
        self._open(host).usage.prepare()
        self._translate(host, changed)
        units = {self._layout.purge_service, self._layout.purge_timer}
        if units & changed:
            host.run(["systemctl", "daemon-reload"])
        if units & changed or not services.is_active(_PURGE):
            services.enable(_PURGE)
        if not services.is_active(_UNIT):
            services.enable(_UNIT)
        elif changed - units:
            services.enable(_UNIT)
            services.reload(_UNIT)
        elif not changed:
            try:
                self.alive(host, services)
            except DaemonFailed:
                services.restart(_UNIT)

    def _translate(self, host: Host, changed: frozenset[str]) -> None:
        """Translate the scripts for all users: Dovecot's processes may not write beside them."""
        where = self._layout
        for path in where.scripts:
            made = _translated(path)
            if path in changed or host.run(["test", "-e", made], check=False).code:
                # With the main file it would want to be a user, who has a home.
                host.run(["sievec", "-c", where.sievec, *_SIEVE, path, made])
                host.run(["chmod", "644", made])

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless the running Dovecot has read its files and every protocol greets."""
        if not services.is_active(_UNIT):
            raise DaemonFailed("dovecot.service is not active.")
        self._require_files(host)
        where = self._layout
        for port, hello in (
            (where.imap, "* OK"),
            (where.pop3, "+OK"),
            (where.lmtp, "220 "),
            (where.sieve, '"IMPLEMENTATION"'),
        ):
            line = self._probe(where.probe, port)
            if not line.startswith(hello):
                raise DaemonFailed(f"Dovecot says {line!r} on port {port} where {hello!r} was expected.")

    def _require_files(self, host: Host) -> None:
        """Raise unless the running Dovecot can read the accounts and has read the files that stand there.

        A reload takes a moment. The answer comes from the same query as everybody's, so it is one about the accounts
        too.
        """
        where = self._layout
        found = (host.read(path) for path in (where.conf, where.sql))
        wanted = render.version_in(*(file.content for file in found if file))
        ask = ["doveadm", "-c", where.conf, "user", "-f", "home", render.PROBE]
        end = time.monotonic() + _RELOAD_SECONDS
        while (ran := host.run(ask, check=False, seconds=_RELOAD_SECONDS)).out.strip() != f"/{wanted}":
            if time.monotonic() > end:
                words = ran.err.strip() or ran.out.strip()
                raise DaemonFailed(
                    f"Dovecot cannot read its files or the accounts (doveadm user: {ran.code}): {words}"
                )
            time.sleep(0.05)

    def stop(self, services: Services) -> None:
        """Stop and disable Dovecot; mail and accounts stay."""
        services.disable(_PURGE)
        services.disable(_UNIT)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the tables ``accounts`` and ``moves``; both are in one file."""
        parts = self._open(host)
        parts.accounts.prepare()
        peers.keep(parts.database, settings)
        return (parts.accounts, parts.moves)

    def mailstore(self, settings: NodeSettings, host: Host) -> Mailstore:
        """Return this node's mailboxes; holds that a killed agent has left are lifted."""
        parts = self._open(host)
        parts.accounts.prepare()
        peers.keep(parts.database, settings)
        parts.mailstore.begin(settings.node)
        return parts.mailstore

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Tell Dovecot again what changed lately, and remove mail whose time is over."""
        parts = self._open(host)
        parts.accounts.prepare()
        peers.keep(parts.database, settings)
        parts.sessions.settle()
        parts.sessions.again()
        parts.mailstore.tidy()
        departed.purge(parts.database, self._layout, host, settings.policy.keep_days, self._clock.now())

    def figures(self, settings: NodeSettings, host: Host) -> tuple[Figure, ...]:
        """Return how many are logged in, by protocol: one question to Dovecot's list of sessions."""
        del settings
        connections, users = visitors(fields(Doveadm(self._layout, host).run("who", seconds=_WHO_SECONDS)))
        by_protocol = dict.fromkeys(_PROTOCOLS, 0) | connections
        return (
            *(Figure("roost_sessions", count, (protocol,)) for protocol, count in sorted(by_protocol.items())),
            Figure("roost_session_users", users),
        )

    def usage(self, host: Host) -> Teller:
        """Return what tells of each mailbox."""
        parts = self._open(host)
        parts.accounts.prepare()
        return parts.usage

    def _open(self, host: Host) -> _Parts:
        """Return the one set of objects for a host: they hold locks and a connection."""
        if self._parts is None or self._parts.host is not host:
            self._parts = _Parts.of(self._layout, host, self._clock)
        return self._parts

    def _make_user(self, host: Host) -> None:
        """Make the system user that owns all mail; raises ``DaemonFailed`` where name or number are taken."""
        name, number = self._layout.user, str(self._layout.uid)
        for database, add in (
            ("group", ["groupadd", "--system", "--gid", number, name]),
            ("passwd", ["useradd", "--system", "--uid", number, "--gid", number, "--no-create-home"]),
        ):
            by_name = host.run(["getent", database, name], check=False).out.split(":")
            by_number = host.run(["getent", database, number], check=False).out.split(":")
            if by_name[2:3] == [number]:
                continue
            if by_name[0] or by_number[0]:
                taken = ":".join((by_name if by_name[0] else by_number)[:3])
                raise DaemonFailed(
                    f"All mail is to belong to {name} with number {number}, but {database} has {taken}.",
                    remedy="Free the name and the number on this machine.",
                )
            if database == "passwd":
                add += ["--home-dir", self._layout.mail, "--shell", "/usr/sbin/nologin", name]
            host.run(add)
