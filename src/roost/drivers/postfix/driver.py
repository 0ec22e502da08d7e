"""The driver of Postfix on MX hosts, backup MX and homes: implements ``roost.ports.driver.Driver``.

A changed file means a reload, which ends no session. ``master.cf`` changes only with a new release of Roost, with the
node's roles, or when an administrator's own Postfix is taken over: then a restart, since a reload does not move
listening sockets. What a node's Postfix is there for follows from its files: ``master.cf`` names its doors, and only
an MX has a list of mail domains.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from roost.domain.cluster import Role
from roost.domain.desired import FOLLOWERS, NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.domain.figures import Figure
from roost.drivers.postfix import queue, render
from roost.drivers.postfix.layout import Layout
from roost.drivers.postfix.mapfile import require_liblmdb
from roost.drivers.postfix.recipients import Recipients
from roost.drivers.postfix.watch import Hold, Target, Watch
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_UNIT = "postfix.service"
"""In Debian 12 it is only the handle of ``postfix@-.service`` and always active, so ``alive`` trusts the greeting."""

_NOBODY = "roost-probe@invalid"  # RFC 2606: no recipient can have it
_NOT_FOUND = 1

# A home that does not answer for 5 s has mail put off (lmtp_connect_timeout), so less than that must be noticed. A
# primary counts what asks it too often as junk (smtpd_junk_command_limit), and its outages are long.
_QUIET_HOME = 2.0
_QUIET_PRIMARY = 30.0


class Postfix:
    """One machine's Postfix.

    ``probe(address, port)`` returns the first line that a server says, '' where it says none
    (``roost.host.probe.greeting``); ``hold`` stays connected to a server (``roost.host.line.hold``).
    """

    name = "postfix"
    roles = frozenset({Role.MX, Role.BACKUP_MX, Role.STORAGE})
    waits_for_table: Table | None = Table.RECIPIENTS
    """A home that is no MX has no recipients to know."""

    def __init__(self, probe: Callable[[str, int], str], hold: Hold, layout: Layout | None = None) -> None:
        self._probe = probe
        self._layout = layout or Layout()
        self._recipients = Recipients(self._layout)
        self._watch = Watch(hold)

    def packages(self) -> tuple[str, ...]:
        """Return Debian's packages; the second has the tables in LMDB."""
        return ("postfix", "postfix-lmdb")

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return Postfix's files; see ``render.py``."""
        return render.render(settings, facts, self._layout)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folder of the tables: all may read it, since Postfix's processes have several users."""
        return ((self._layout.maps, 0o755, "root:root"),)

    def check(self, host: Host) -> None:
        """Have Postfix read the files; a warning of ``postconf`` or ``postmap`` counts as a failure."""
        where = self._layout
        self._age(host)
        if self._is_mx(host):
            require_liblmdb()
        for show in ("-n", "-M"):
            ran = host.run(["postconf", "-c", where.config, show], check=False)
            if ran.code != 0 or ran.err.strip():
                raise DaemonFailed(f"postconf: {ran.err.strip() or ran.code}")
        self._ask_table(host, f"regexp:{where.replies}")
        if self._is_mx(host):
            for kind, path in (
                ("texthash", where.domains),
                ("texthash", where.waiting),
                ("regexp", where.commands),
                ("cidr", where.judged),
                ("cidr", where.homes),
            ):
                # Only a primary has homes that send.
                if path != where.homes or host.read(path) is not None:
                    self._ask_table(host, f"{kind}:{path}")
        # Its warnings are about files of the distribution, which are not ours to judge.
        ran = host.run(["postfix", "-c", where.config, "check"], check=False)
        if ran.code != 0:
            raise DaemonFailed(f"postfix check: {ran.err.strip() or ran.out.strip() or ran.code}")
        self._try_door(host)

    def _age(self, host: Host) -> None:
        """Set back the time of what each program of Postfix reads anew until it is two seconds old.

        So they see to it that nobody is still writing (main.cf and texthash tables). Ours come whole, by a rename.
        """
        there = [path for path in (self._layout.main, self._layout.domains, self._layout.waiting) if host.read(path)]
        host.run(["touch", "--no-create", "--date=5 seconds ago", "--", *there])

    def _try_door(self, host: Host) -> None:
        """Have an smtpd(8) that is nobody's greet us (sendmail(1), -bs): only it reads every value of its own."""
        config = self._layout.config
        sendmail = host.run(["postconf", "-c", config, "-h", "sendmail_path"]).out.strip()
        ran = host.run([sendmail, "-C", config, "-bs"], stdin="QUIT\r\n", check=False)
        if not ran.out.startswith("220 "):
            words = ran.err.strip() or ran.out.strip() or "see its log"
            raise DaemonFailed(f"Postfix's SMTP server does not come up with these files: {words}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Start, reload, or restart what hangs. Missing tables are made by the agent's rows only."""
        active = services.is_active(_UNIT)
        if changed or not active:
            services.enable(_UNIT)
        if not active:
            return
        if self._layout.master in changed or self._silent(host):
            services.restart(_UNIT)
        elif changed:
            services.reload(_UNIT)

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless Postfix greets and its tables can be read."""
        if not services.is_active(_UNIT):
            raise DaemonFailed(f"{_UNIT} is not active.")
        if silent := self._silent(host):
            raise DaemonFailed(silent)
        if self._is_mx(host):
            for path in (self._layout.recipients, self._layout.hops, self._layout.refusals):
                self._ask_table(host, f"lmdb:{path}")

    def stop(self, services: Services) -> None:
        """Stop and disable Postfix; queue and tables stay."""
        services.disable(_UNIT)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the table ``recipients``; none on a home that is no MX."""
        del host
        if not self._follows(settings):
            return ()
        require_liblmdb()
        self._recipients.settle()
        return (self._recipients,)

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Flush the queue where a server that mail waits for has come back; try mail whose mailbox has moved."""
        if self._follows(settings):
            self._recipients.settle()
            self._recipients.moved.hurry(host, self._layout.config)
        backup = Role.BACKUP_MX in settings.roles
        if self._watch.look(self._next_hops(settings), _QUIET_PRIMARY if backup else _QUIET_HOME):
            # It also ends the pause that the queue manager gives a dead destination (postqueue(1)).
            host.run(["postqueue", "-c", self._layout.config, "-f"], check=False)

    def figures(self, settings: NodeSettings, host: Host) -> tuple[Figure, ...]:
        """Return how much mail waits for which home, and for how long; see ``queue.py``."""
        homes = frozenset(peer.name for peer in settings.having(Role.STORAGE))
        return queue.figures(host, self._layout.config, homes, self._recipients.homes_of, time.time())

    def is_well(self, settings: NodeSettings, name: str) -> bool:
        """Say whether a home (on a backup MX: a primary) greeted when it was asked last."""
        addresses = {peer.addresses[0] for peer in settings.peers if peer.name == name and peer.addresses}
        return any(self._watch.is_well(target) for target in self._next_hops(settings) if target[0] in addresses)

    def close(self) -> None:
        """Let go of the lines and of the tables' files."""
        self._watch.close()
        self._recipients.close()

    def _next_hops(self, settings: NodeSettings) -> list[Target]:
        """Return to whom a line is held: none on a home, of which there may be many for each MX."""
        if not self._follows(settings):
            return []
        backup = Role.BACKUP_MX in settings.roles
        port = self._layout.smtp if backup else self._layout.lmtp
        peers = settings.serving(Role.MX) if backup else settings.having(Role.STORAGE)
        return [(peer.addresses[0], port) for peer in peers if peer.addresses]

    @staticmethod
    def _follows(settings: NodeSettings) -> bool:
        return not FOLLOWERS[Table.RECIPIENTS].isdisjoint(settings.roles)

    def _is_mx(self, host: Host) -> bool:
        """Say whether the files that stand there are those of an MX or a backup MX."""
        return host.read(self._layout.domains) is not None

    def _silent(self, host: Host) -> str:
        """Return what is wrong with a door that ``master.cf`` names; '' where all greet."""
        for address, port in self._doors(host):
            line = self._probe(address, port)
            if not line.startswith("220 "):
                return f"Postfix says {line!r} on port {port} where a greeting was expected."
        return ""

    def _doors(self, host: Host) -> list[Target]:
        """Return address and port of every service that listens on the network (master(5))."""
        file = host.read(self._layout.master)
        lines = [line.split() for line in file.content.splitlines()] if file else []
        names = [words[0] for words in lines if words[1:2] == ["inet"]]
        if not names:
            raise DaemonFailed(f"{self._layout.master} names no service that listens.")
        doors = [name.rpartition(":") for name in names]
        return [(address or self._layout.probe, int(port)) for address, _, port in doors]

    def _ask_table(self, host: Host, table: str) -> None:
        """Raise ``DaemonFailed`` unless Postfix can read the table, which cannot hold what is asked for."""
        ran = host.run(["postmap", "-c", self._layout.config, "-q", _NOBODY, table], check=False)
        if ran.code != _NOT_FOUND or ran.err.strip():
            raise DaemonFailed(f"Postfix cannot read {table}: {ran.err.strip() or ran.out.strip() or ran.code}")
