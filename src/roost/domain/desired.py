"""What every node should have: the pure heart of Roost.

Two kinds of state (ARCHITECTURE.md tells why):

* **settings**, small, one document for each node: ``settings_for``;
* **rows** of some **tables**, large, fed change by change: ``rows_of_mailbox``, ``rows_of_alias``,
  ``rows_of_node``. A row has a table, a scope ('' for all nodes that follow the table, else one node's name), a
  key that is unique in table and scope, and a value of plain JSON.

===========  ==============  ===========================  ====================================================
table        who follows it  key                          value
===========  ==============  ===========================  ====================================================
recipients   mx, backup-mx   address                      ``to`` (list of addresses: the alias), ``hop`` (home
                                                          of the personal hostname in ``to``; '' for an alias),
                                                          ``refuse`` ('', or an SMTP reply for RCPT)
names        dns             owner name ``/`` type        ``zone``, ``ttl``, ``data`` (list of RDATA texts)
accounts     storage,        address                      ``number``, ``hostname``, ``target``, ``password``,
             scope = node                                 ``quota`` (bytes, 0 none), ``login`` (bool),
                                                          ``deliver`` (bool), ``format``, ``place`` (``home``,
                                                          ``incoming``: a copy that is being made, closed;
                                                          ``moved``: passed on to ``peer``), ``peer`` (the
                                                          mailbox's home, where this node is not; else '')
moves        storage,        number of the move           see ``roost.domain.move.Order``
             scope = node
senders      mx, backup-mx   owner, a blank, sender       ``verdict`` (``allow`` or ``deny``)
===========  ==============  ===========================  ====================================================

No password hash is ever in a row of ``recipients`` or ``names``, and rows of ``accounts`` have the home's scope;
while a move is under way the other node's, too, without the hash where the mailbox has left. So what a node may know
follows from its roles by this file alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from roost.domain.cluster import PROBE_LABEL, Alias, Cluster, Domain, Mailbox, Node, Policy, Role, Suspended
from roost.domain.errors import NotFound

Scalar = str | int | bool | list[str]
Value = dict[str, Scalar]
"""A row's value: plain JSON, flat."""

APEX_TTL = 300
"""Seconds for which NS and SOA of our zones may be cached: short, so that a new or a lost server is known soon."""

BUCKETS = 256
"""Into how many buckets a table's rows fall when digests are compared."""


class Table(StrEnum):
    """The large tables."""

    RECIPIENTS = "recipients"
    NAMES = "names"
    ACCOUNTS = "accounts"
    MOVES = "moves"
    SENDERS = "senders"


FOLLOWERS: dict[Table, frozenset[Role]] = {
    Table.RECIPIENTS: frozenset({Role.MX, Role.BACKUP_MX}),
    Table.NAMES: frozenset({Role.DNS}),
    Table.ACCOUNTS: frozenset({Role.STORAGE}),
    Table.MOVES: frozenset({Role.STORAGE}),
    Table.SENDERS: frozenset({Role.MX, Role.BACKUP_MX}),
}
"""Which roles make a node follow a table."""


@dataclass(frozen=True)
class Row:
    """One row that should be on the nodes of its scope."""

    table: Table
    scope: str
    key: str
    value: Value

    @property
    def id(self) -> tuple[Table, str, str]:
        """Return what makes the row the same row when its value changes."""
        return (self.table, self.scope, self.key)


def bucket_of(key: str) -> int:
    """Return the bucket, 0 to 255, into which a key falls."""
    return hashlib.sha256(key.encode()).digest()[0]


def digest_of(key: str, value: Value) -> int:
    """Return a 32-bit digest of a row: small enough that a bucket's sum fits the store's integers.

    Digests find accidents (a damaged file, a lost change), not forgeries: the node that computes them is trusted
    to report on itself.
    """
    text = json.dumps([key, value], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def tables_of(node: Node) -> tuple[tuple[Table, str], ...]:
    """Return the tables that a node follows, each with its scope."""
    return tuple(
        (table, node.name if table in {Table.ACCOUNTS, Table.MOVES} else "")
        for table, roles in FOLLOWERS.items()
        if roles & node.roles
    )


class Place(StrEnum):
    """What a mailbox on a storage node is there."""

    HOME = "home"
    INCOMING = "incoming"
    MOVED = "moved"


@dataclass(frozen=True)
class Guest:
    """A second node that has the mailbox's account while a move is under way: which, as what, in which format."""

    node: str
    place: Place
    format: str


def rows_of_mailbox(mailbox: Mailbox, domain: Domain, policy: Policy, guest: Guest | None = None) -> tuple[Row, ...]:
    """Return the rows that one mailbox gives: alias with next hop, CNAME, account. All follow from ``home``."""
    address, hostname = str(mailbox.address), mailbox.hostname(domain)
    refuse = ""
    if mailbox.suspended and domain.suspended is Suspended.REFUSE:
        refuse = "550 5.2.1 This mailbox is suspended"
    if mailbox.suspended and domain.suspended is Suspended.DEFER:
        refuse = "450 4.2.1 This mailbox is suspended for now"
    return (
        Row(
            Table.RECIPIENTS,
            "",
            address,
            {"to": [mailbox.target(domain)], "hop": mailbox.home, "refuse": refuse},
        ),
        Row(
            Table.NAMES,
            "",
            f"{hostname}/CNAME",
            {"zone": domain.access_zone, "ttl": policy.ttl, "data": [f"{mailbox.home}."]},
        ),
        *_accounts(mailbox, domain, guest),
    )


def _accounts(mailbox: Mailbox, domain: Domain, guest: Guest | None) -> tuple[Row, ...]:
    """Return the account on the home and, during a move, the one on the other node."""
    here: Value = {
        "number": mailbox.number,
        "hostname": mailbox.hostname(domain),
        "target": mailbox.target(domain),
        "password": mailbox.password,
        "quota": mailbox.quota or domain.quota,
        "login": not mailbox.suspended,
        "deliver": not (mailbox.suspended and domain.suspended is not Suspended.ACCEPT),
        "format": mailbox.format,
        "place": str(Place.HOME),
        "peer": "",
    }
    rows = [Row(Table.ACCOUNTS, mailbox.home, str(mailbox.address), here)]
    if guest:
        there: Value = {**here, "format": guest.format, "place": str(guest.place), "peer": mailbox.home}
        if guest.place is Place.MOVED:
            # Whoever still comes there is passed on, and the home looks at his password.
            there["password"] = ""
        rows.append(Row(Table.ACCOUNTS, guest.node, str(mailbox.address), there))
    return tuple(rows)


def rows_of_alias(alias: Alias) -> tuple[Row, ...]:
    """Return the row that an alias gives; targets keep their order."""
    to = [str(target) for target in alias.targets]
    return (Row(Table.RECIPIENTS, "", str(alias.address), {"to": list(to), "hop": "", "refuse": ""}),)


def rows_of_node(node: Node, cluster_domain: str) -> tuple[Row, ...]:
    """Return the address records of a node in the cluster's own zone; none where its name lies outside it."""
    if not node.name.endswith(f".{cluster_domain}"):
        return ()
    rows = []
    for kind, version in (("A", "."), ("AAAA", ":")):
        data = [address for address in node.addresses if version in address]
        if data:
            rows.append(
                Row(Table.NAMES, "", f"{node.name}/{kind}", {"zone": cluster_domain, "ttl": 300, "data": data})
            )
    return tuple(rows)


@dataclass(frozen=True)
class Peer:
    """What a node knows of another: its name, addresses and roles; ``leaving``: it is to be counted on no longer."""

    name: str
    addresses: tuple[str, ...]
    roles: tuple[Role, ...]
    leaving: bool = False


@dataclass(frozen=True)
class MailDomain:
    """What a node knows of a mail domain. ``refuses``: mail for its suspended mailboxes is refused or put off."""

    name: str
    access_zone: str
    refuses: bool = False


@dataclass(frozen=True)
class NodeSettings:
    """One node's whole settings: everything that its drivers render files from. JSON on the wire and on disk.

    ``peers`` holds every node, this one too. ``service_names`` are the DNS names that its service certificate
    carries. Contains no secret: keys are made on the node and never leave it.
    """

    node: str
    roles: tuple[Role, ...]
    addresses: tuple[str, ...]
    cluster_domain: str
    revision: int
    peers: tuple[Peer, ...]
    domains: tuple[MailDomain, ...]
    service_names: tuple[str, ...]
    policy: Policy

    def having(self, role: Role) -> tuple[Peer, ...]:
        """Return the peers with a role, sorted by name."""
        return tuple(sorted((p for p in self.peers if role in p.roles), key=lambda p: p.name))

    def serving(self, role: Role) -> tuple[Peer, ...]:
        """Return those of them that are not leaving; all of them where there is no other."""
        found = self.having(role)
        return tuple(peer for peer in found if not peer.leaving) or found

    @property
    def probe_domain(self) -> str:
        """Return the domain of the test mailboxes, '' while there are none."""
        name = f"{PROBE_LABEL}.{self.cluster_domain}"
        return name if any(domain.name == name for domain in self.domains) else ""


def service_names(cluster: Cluster, node: Node) -> tuple[str, ...]:
    """Return the names that a node's service certificate carries.

    Its own name first; on a storage node also the wildcard of every access zone, so that each personal hostname
    that leads there verifies (RFC 6125 section 6.4.3).
    """
    if Role.STORAGE not in node.roles:
        return (node.name,)
    return (node.name, *sorted(f"*.{domain.access_zone}" for domain in _mail_domains(cluster)))


def _mail_domains(cluster: Cluster) -> tuple[Domain, ...]:
    """Return the domains for which mail is taken: the customers', and that of the test mailboxes; sorted by name."""
    probed = cluster.probe_domain
    return tuple(sorted((*cluster.domains, *((probed,) if probed else ())), key=lambda domain: domain.name))


def settings_for(cluster: Cluster, name: str) -> NodeSettings:
    """Return the settings that the node of this name should have; raises ``NotFound``.

    Domains are told to every role: the MX hosts accept for them, DNS serves their access zones, storage nodes
    and resolvers need the zones' names. The revision is that of the last change to any setting of the cluster.
    """
    node = next((n for n in cluster.nodes if n.name == name), None)
    if node is None:
        raise NotFound(f"There is no node {name}.", field="node", remedy="See 'roost node list'.")
    peers = sorted(cluster.nodes, key=lambda n: n.name)
    return NodeSettings(
        node=node.name,
        roles=tuple(sorted(node.roles)),
        addresses=node.addresses,
        cluster_domain=cluster.domain,
        revision=cluster.revision,
        peers=tuple(Peer(n.name, n.addresses, tuple(sorted(n.roles)), n.life.leaving) for n in peers),
        domains=tuple(
            MailDomain(d.name, d.access_zone, d.suspended is not Suspended.ACCEPT) for d in _mail_domains(cluster)
        ),
        service_names=service_names(cluster, node),
        policy=cluster.policy,
    )
