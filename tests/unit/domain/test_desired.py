"""What nodes may know follows from their roles."""

from __future__ import annotations

import json

from roost.domain.cluster import Alias, Cluster, Domain, Mailbox, Node, Policy, Role, Suspended
from roost.domain.desired import Table, rows_of_alias, rows_of_mailbox, rows_of_node, settings_for, tables_of
from roost.domain.names import Address

DOMAIN = Domain.parse("example.test")
JOHN = Mailbox(7, Address("john", "example.test"), "john", "ms1.cluster.test", "{ARGON2ID}secret", 0)


def node(name: str, *roles: Role) -> Node:
    return Node(f"{name}.cluster.test", frozenset(roles), ("198.18.0.9",), joined=True)


def test_alias_cname_and_account_follow_from_the_home() -> None:
    """The literal alias, the next hop, the CNAME and the account's scope are one field."""
    recipients, names, accounts = rows_of_mailbox(JOHN, DOMAIN, Policy())
    assert recipients.key == "john@example.test"
    assert recipients.value["to"] == ["john@john.pop.example.test"]
    assert recipients.value["hop"] == JOHN.home
    assert names.key == "john.pop.example.test/CNAME"
    assert names.value["data"] == ["ms1.cluster.test."]
    assert accounts.scope == JOHN.home


def test_no_hash_outside_the_home() -> None:
    """Neither an MX nor a DNS server is ever told a password hash, nor any store but the home."""
    for row in rows_of_mailbox(JOHN, DOMAIN, Policy()):
        told = "secret" in json.dumps(row.value)
        assert told == (row.table is Table.ACCOUNTS and row.scope == JOHN.home)


def test_roles_decide_tables() -> None:
    """A node follows what its roles need; of accounts and moves, its own."""
    assert tables_of(node("mx1", Role.MX)) == ((Table.RECIPIENTS, ""), (Table.SENDERS, ""))
    assert tables_of(node("ns1", Role.DNS)) == ((Table.NAMES, ""),)
    own = [(table, "ms1.cluster.test") for table in (Table.ACCOUNTS, Table.MOVES)]
    assert list(tables_of(node("ms1", Role.STORAGE))) == own
    assert tables_of(node("log", Role.LOG, Role.CONTROL)) == (), "a log node is told nothing of users"
    assert len(tables_of(node("all", Role.MX, Role.DNS, Role.STORAGE))) == 5


def test_suspension_follows_the_domains_policy() -> None:
    """Login is refused in any case; mail is taken, deferred or refused."""
    import dataclasses

    box = dataclasses.replace(JOHN, suspended=True)
    for policy, refuse, deliver in (
        (Suspended.ACCEPT, "", True),
        (Suspended.DEFER, "450", False),
        (Suspended.REFUSE, "550", False),
    ):
        recipients, _, accounts = rows_of_mailbox(box, dataclasses.replace(DOMAIN, suspended=policy), Policy())
        assert str(recipients.value["refuse"])[:3] == refuse
        assert accounts.value["login"] is False
        assert accounts.value["deliver"] is deliver


def test_service_names_hold_every_access_zone_on_stores_only() -> None:
    """One wildcard for each domain on a storage node; a node's own name elsewhere."""
    ms1, mx1 = node("ms1", Role.STORAGE), node("mx1", Role.MX)
    cluster = Cluster("cluster.test", 3, (ms1, mx1), (DOMAIN,))
    assert settings_for(cluster, ms1.name).service_names == (ms1.name, "*.pop.example.test")
    assert settings_for(cluster, mx1.name).service_names == (mx1.name,)


def test_aliases_and_nodes() -> None:
    """Targets keep their order; a node outside the cluster's domain has no records of ours."""
    alias = Alias(Address("sales", "example.test"), (Address("b", "x.test"), Address("a", "x.test")))
    assert rows_of_alias(alias)[0].value["to"] == ["b@x.test", "a@x.test"]
    both = Node.parse("ms1.cluster.test", ["storage"], ["2001:db8::1", "198.18.0.31"])
    assert [row.key for row in rows_of_node(both, "cluster.test")] == ["ms1.cluster.test/A", "ms1.cluster.test/AAAA"]
    assert rows_of_node(both, "other.test") == ()
