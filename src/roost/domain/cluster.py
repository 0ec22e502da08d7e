"""The nouns: nodes and their roles, domains, mailboxes, aliases. Frozen values, one picture of everything small.

Mailboxes and aliases are many (up to ten million), so they are never held all at once: functions take one at a
time. Nodes, domains and the policy are few; ``Cluster`` holds them together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from roost.domain.errors import BadName, BadSetting
from roost.domain.names import Address, host_name, personal_address, personal_hostname
from roost.domain.node_life import Life
from roost.domain.ties import FREE, Ties


class Role(StrEnum):
    """What a node does; a node may hold several."""

    MX = "mx"
    BACKUP_MX = "backup-mx"
    DNS = "dns"
    STORAGE = "storage"
    LOG = "log"
    CONTROL = "control"


FORMATS = ("mdbox", "sdbox", "maildir")
"""Formats in which Dovecot may keep a mailbox; the first is the default (docs/explanation/moves.md says why)."""


FORBIDDEN_ATTACHMENTS = (
    *("bat", "chm", "cmd", "com", "cpl", "exe", "hta", "iso", "jar", "js", "jse", "lnk", "msi", "pif", "ps1"),
    *("reg", "scr", "vbe", "vbs", "vhd", "wsf"),
)
"""Endings of names of files that a computer may run when they are opened: what the policy forbids at first."""


class Suspended(StrEnum):
    """What happens to mail for a suspended mailbox, whose login is always refused."""

    ACCEPT = "accept"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Node:
    """One machine. ``name`` is its full host name, ``addresses`` its IP addresses as text (IPv4 first)."""

    name: str
    roles: frozenset[Role]
    addresses: tuple[str, ...]
    joined: bool = False
    declared: Mapping[str, float] = field(default_factory=dict, hash=False)
    """How strong it is, where an administrator has said so: see ``roost.domain.node_load.Strength``."""

    life: Life = Life.ACTIVE
    since: datetime | None = None
    """When it came into this state of its life; None for one that was never drained."""

    batch: str = ""
    """The batch of moves that empties it, '' where it is not drained or is no storage node."""

    classes: tuple[str, ...] = ()
    """The classes of service that it offers, sorted. Mailboxes without a class live there as well."""

    @classmethod
    def parse(cls, name: str, roles: list[str], addresses: list[str]) -> Node:
        """Check what an administrator gave; raises ``BadName`` or ``BadSetting`` naming the field."""
        known = ", ".join(Role)
        parsed = set()
        for role in roles:
            try:
                parsed.add(Role(role.strip().lower()))
            except ValueError as error:
                raise BadSetting(
                    f"There is no role {role!r}.", field="roles", remedy=f"The roles are: {known}."
                ) from error
        if not parsed:
            raise BadSetting("A node needs at least one role.", field="roles", remedy=f"The roles are: {known}.")
        if {Role.MX, Role.BACKUP_MX} <= parsed:
            raise BadSetting(
                "A node is either mx or backup-mx: both would queue mail for each other on one machine.",
                field="roles",
                remedy="Give the backup a machine of its own.",
            )
        if not addresses:
            raise BadSetting("A node needs an IP address.", field="address", remedy="Give --address 192.0.2.10.")
        checked = []
        for text in addresses:
            try:
                checked.append(ipaddress.ip_address(text.strip()))
            except ValueError as error:
                raise BadName(f"{text!r} is not an IP address.", field="address") from error
        ordered = tuple(str(ip) for ip in sorted(set(checked), key=lambda ip: (ip.version, int(ip))))
        return cls(host_name(name), frozenset(parsed), ordered)


@dataclass(frozen=True)
class Domain:
    """A mail domain. ``access_zone`` is where its personal hostnames live, by default ``pop.<name>``."""

    name: str
    access_zone: str
    quota: int = 0
    """Default quota of its mailboxes in bytes; 0 means none."""

    suspended: Suspended = Suspended.ACCEPT
    """What happens to mail for its suspended mailboxes."""

    @classmethod
    def parse(cls, name: str, access_zone: str | None = None) -> Domain:
        """Check a domain's names; raises ``BadName``."""
        domain = host_name(name, field="domain")
        zone = host_name(access_zone, field="access_zone") if access_zone else f"pop.{domain}"
        if zone == domain:
            raise BadName(
                f"The access zone cannot be {domain} itself: personal hostnames would meet its own names.",
                field="access_zone",
                remedy=f"Use a zone of its own, for example pop.{domain}.",
            )
        return cls(domain, zone)


@dataclass(frozen=True)
class Mailbox:
    """One user's mail. ``home`` is the name of the storage node that holds it.

    ``number`` is unique for ever in the cluster and part of the directory's name, so a mailbox that is removed
    and added again never finds the mail of its predecessor. ``password`` is a hash with Dovecot's scheme prefix.
    """

    number: int
    address: Address
    label: str
    home: str
    password: str = field(repr=False)
    quota: int = 0
    """Bytes; 0 means the domain's default."""

    suspended: bool = False
    format: str = "mdbox"
    """Of the folder that holds it: one of ``FORMATS``."""

    ties: Ties = FREE
    """Where it may live."""

    def hostname(self, domain: Domain) -> str:
        """Return the personal hostname, ``john.pop.example.com``."""
        return personal_hostname(self.label, domain.access_zone)

    def target(self, domain: Domain) -> str:
        """Return where the literal alias leads, ``john@john.pop.example.com``."""
        return personal_address(self.address, self.label, domain.access_zone)


@dataclass(frozen=True)
class Alias:
    """An address that leads to one or more others, inside or outside."""

    address: Address
    targets: tuple[Address, ...]


@dataclass(frozen=True)
class Policy:
    """The cluster's settings that are not about one node or domain. Every field is a setting of ``roost policy``."""

    ttl: int = 60
    """Seconds that a personal hostname may be cached (CNAME TTL)."""

    message_size: int = 52_428_800
    """Largest message that the MX hosts take, in bytes."""

    over_quota: str = "defer"
    """What LMTP answers for a full mailbox: ``defer`` (4xx, mail waits) or ``refuse`` (5xx)."""

    forwarders: tuple[str, ...] = ()
    """IP addresses of recursive resolvers for names outside the cluster; none means full recursion."""

    keep_days: int = 7
    """Days for which the mail of a removed mailbox stays on its last home."""

    login_processes: str = "performance"
    """``performance``: a login process serves many connections; ``security``: a process for each."""

    notify_secondaries: tuple[str, ...] = ()
    """IP addresses of foreign secondaries, which may transfer the zones by TSIG and are notified."""

    mailbox_format: str = "mdbox"
    """Format of new mailboxes: ``mdbox``, ``sdbox`` or ``maildir``."""

    hold_seconds: int = 5
    """Longest time for which a move may close a mailbox; then its home opens it again by itself."""

    moves: int = 32
    """Most moves under way in the whole cluster."""

    moves_per_node: int = 8
    """Most moves under way that one node has a part in."""

    moves_per_pair: int = 4
    """Most moves under way from one node to another."""

    move_bandwidth: int = 0
    """Bytes a second for each move; 0 means no limit."""

    move_hours: str = ""
    """Hours of the day, UTC, in which moves begin: ``22-6``; '' means at any time."""

    balance_auto: str = "off"
    """Whether plans that spread the load are applied without being asked for: ``on`` or ``off``; within
    ``move_hours`` and these limits."""

    balance_every: int = 24
    """Hours from one such plan to the next."""

    balance_moves: int = 100
    """Most mailboxes that one such plan moves,"""

    balance_bytes: int = 50 * 2**30
    """most bytes that it copies,"""

    balance_pauses: int = 60
    """and most seconds for which it closes mailboxes, added up."""

    balance_rest_days: int = 14
    """Days for which a mailbox that was moved is not moved again for balance, by any plan."""

    filter: str = "on"
    """Whether mail from outside is judged: ``on`` or ``off``."""

    filter_down: str = "defer"
    """What happens to mail while the filter does not answer: ``defer`` (4xx, mail waits) or ``accept`` (unjudged)."""

    spam_score: int = 6
    """From so many points on, mail is marked and goes to Junk."""

    reject_score: int = 15
    """From so many points on, mail is refused."""

    greylist_score: int = 0
    """From so many points on, an unknown sender is asked to come again; 0 means never."""

    dmarc: str = "honour"
    """Mail that fails DMARC: ``honour`` what its domain asks for, ``quarantine`` it whatever that is, or ``off``."""

    forbidden_attachments: tuple[str, ...] = FORBIDDEN_ATTACHMENTS
    """Endings of file names, also inside archives, with which mail is refused."""

    client_rate: int = 0
    """Most messages an hour from one IP address; 0 means no limit."""

    sender_rate: int = 0
    """Most messages an hour from one sender's address; 0 means no limit."""

    backscatter: str = "refuse"
    """Bounces that are none, from ``<>`` to several recipients: ``refuse`` or ``accept``."""

    dns_lists: tuple[str, ...] = ()
    """Zones of DNS lists of bad clients that the filter asks."""

    clamav: str = "off"
    """Whether an administrator's own clamd on each MX is asked: ``on`` or ``off``."""

    redirects_per_message: int = 4
    """Most addresses to which a user's rules may send one message on; 0: nobody may redirect."""

    vacation_min_days: int = 1
    """Fewest days between two answers of a user's rules to one sender."""

    sieve_script_size: int = 262_144
    """Largest script of rules that a user may store, in bytes,"""

    sieve_scripts: int = 32
    """and how many of them."""

    rules_rate: int = 10_000
    """Most messages an hour that one MX takes from one home's rules; 0 means no limit."""

    logs_keep_days: int = 30
    """Days for which log nodes keep what they were sent."""

    logs_compress_after_days: int = 3
    """Days after which log nodes compress it."""

    logs_journal_size: int = 4 * 2**30
    """Most bytes that each machine's journal may have: what it holds while a log node is away."""

    logs_local_copy: str = "off"
    """Whether each machine also writes Debian's own files, ``/var/log/mail.log`` and others, besides its journal."""

    metrics_from: tuple[str, ...] = ()
    """Networks from which figures may be asked for, besides the controllers."""

    probe_seconds: int = 60
    """Seconds from one round of test mail and test logins to the next; 0 means none."""


PROBE_LABEL = "roost-probe"
"""Below the cluster's own domain: the domain of the test mailboxes (``roost.domain.testbox``)."""

_PROBE_QUOTA = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """Everything small, at one revision: what settings are computed from."""

    domain: str
    """The cluster's own domain, below which the nodes' names lie."""

    revision: int
    """Revision of the last change to any of this."""

    nodes: tuple[Node, ...]
    domains: tuple[Domain, ...]
    policy: Policy = Policy()
    probe: str = field(default="", repr=False)
    """The secret from which the test mailboxes follow; '' while there are none."""

    probe_since: int = 0
    """The revision of that secret."""

    @property
    def probe_name(self) -> str:
        """Return the name under which nothing but test mailboxes may lie, whether there are any or not."""
        return f"{PROBE_LABEL}.{self.domain}"

    @property
    def probe_domain(self) -> Domain | None:
        """Return the domain of the test mailboxes; None while there are none."""
        if not (self.probe and self.domain):
            return None
        return Domain(self.probe_name, f"pop.{self.probe_name}", quota=_PROBE_QUOTA)

    def with_role(self, role: Role) -> tuple[Node, ...]:
        """Return the nodes that hold a role, sorted by name."""
        return tuple(sorted((n for n in self.nodes if role in n.roles), key=lambda n: n.name))

    def serving(self, role: Role) -> tuple[Node, ...]:
        """Return those of them on which the others may count: they are not on their way out."""
        return tuple(n for n in self.with_role(role) if not n.life.leaving)

    def offering(self, service_class: str) -> tuple[Node, ...]:
        """Return those storage nodes that offer a class of service and are not on their way out."""
        return tuple(n for n in self.serving(Role.STORAGE) if service_class in n.classes)
