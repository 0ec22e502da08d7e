"""A small cluster in a store, and followers that read its feeds as agents do."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from roost.domain.cluster import Alias, Domain, Mailbox, Node, Policy
from roost.domain.desired import BUCKETS, Row, Table, Value, bucket_of, digest_of, tables_of
from roost.domain.names import Address
from roost.ports.store import Reader, Store

MS1, MS2, MX1, NS1 = "ms1.example.net", "ms2.example.net", "mx1.example.net", "ns1.example.net"
EVERYWHERE = [(Table.RECIPIENTS, ""), (Table.NAMES, ""), (Table.ACCOUNTS, MS1), (Table.ACCOUNTS, MS2)]


def found(store: Store) -> None:
    """Found a cluster with four nodes and two domains: revisions 1 to 7."""
    with store.write("founder") as tx:
        tx.set_cluster("example.net", Policy())
        for index, (name, role) in enumerate([(MX1, "mx"), (NS1, "dns"), (MS1, "storage"), (MS2, "storage")], 1):
            node = Node.parse(name, [role], [f"192.0.2.{index}"])
            tx.put_node(Node(node.name, node.roles, node.addresses, joined=True), "node added")
        for domain in ("example.com", "example.org"):
            tx.put_domain(Domain.parse(domain), "domain added")


@functools.cache
def address(text: str) -> Address:
    """Return an address; ``john`` alone is in example.com."""
    return Address.parse(text if "@" in text else f"{text}@example.com")


def box(number: int, text: str, home: str = MS1, **more: Any) -> Mailbox:
    """Return a mailbox whose label is its local part."""
    own = address(text)
    return Mailbox(number, own, more.pop("label", own.local), home, more.pop("password", "{PLAIN}secret"), **more)


def add(store: Store, *texts: str, home: str = MS1) -> int:
    """Add mailboxes; returns the last revision."""
    with store.write("tester") as tx:
        numbers = tx.new_numbers(len(texts))
        return tx.put_mailboxes([box(n, text, home) for n, text in zip(numbers, texts, strict=True)], "mailbox added")


def alias(text: str, *targets: str) -> Alias:
    """Return an alias."""
    return Alias(address(text), tuple(map(address, targets)))


@dataclass
class Follower:
    """Follows one feed. What it holds after ``catch_up`` is what a node would have."""

    table: Table
    scope: str = ""
    position: int = 0
    rows: dict[str, Value] = field(default_factory=dict)

    def step(self, view: Reader, limit: int) -> bool:
        """Take one page; True where there are more."""
        page = view.page(self.table, self.scope, self.position, limit)
        assert page.upto >= self.position
        assert not page.more or page.upto > self.position
        keys = [key for key, _ in page.rows]
        assert len(keys) == len(set(keys)), "a key may occur once in a page"
        for key, value in page.rows:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.position = page.upto
        return page.more

    def catch_up(self, store: Store, limit: int = 1000) -> dict[str, Value]:
        """Take all pages, each in a transaction of its own; returns what there is."""
        more = True
        while more:
            with store.read() as view:
                more = self.step(view, limit)
        return self.rows

    def resync(self, view: Reader) -> None:
        """Compare digests and take the buckets that differ, as after a restore."""
        theirs = view.digests(self.table, self.scope)
        for bucket, pair in enumerate(digests(self.rows)):
            if pair != theirs[bucket]:
                self.rows = {key: value for key, value in self.rows.items() if bucket_of(key) != bucket}
                self.rows.update(view.bucket(self.table, self.scope, bucket))
        self.position = view.head(self.table, self.scope)


def followers_of(nodes: Iterable[Node]) -> list[Follower]:
    """Return one follower for each feed that any of the nodes follows."""
    return [Follower(*feed) for feed in sorted({feed for node in nodes for feed in tables_of(node)})]


def values(rows: Iterable[Row], table: Table, scope: str = "") -> dict[str, Value]:
    """Return the rows of a table and scope by key."""
    return {row.key: row.value for row in rows if (row.table, row.scope) == (table, scope)}


def digests(rows: dict[str, Value]) -> list[tuple[int, int]]:
    """Return the digests that a node computes of what it has."""
    counts, sums = [0] * BUCKETS, [0] * BUCKETS
    for key, value in rows.items():
        counts[bucket_of(key)] += 1
        sums[bucket_of(key)] += digest_of(key, value)
    return list(zip(counts, sums, strict=True))


def everything(view: Reader) -> dict[str, Any]:
    """Return all that a store holds, as far as its readers tell, to compare two."""
    cluster = view.cluster()
    return {
        "cluster": (cluster.domain, cluster.nodes, cluster.domains, cluster.policy),
        "mailboxes": view.mailboxes(limit=1_000_000),
        "aliases": view.aliases(limit=1_000_000),
        "keys": view.keys(),
        "homes": view.homes(),
        "rows": {feed: view.page(*feed, 0, 10_000_000).rows for feed in EVERYWHERE},
        "digests": {feed: view.digests(*feed) for feed in EVERYWHERE},
        "events": view.events(limit=1_000_000),
    }
