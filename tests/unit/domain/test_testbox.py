"""Test mailboxes follow from their node and a secret, and are nobody's who does not know it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from roost.domain.cluster import Cluster, Domain, Node, Role
from roost.domain.desired import Table, settings_for
from roost.domain.names import is_label
from roost.domain.testbox import of_node, password_of, rows_with_node

MS1 = Node("ms1.cluster.test", frozenset({Role.STORAGE}), ("192.0.2.31",), joined=True)
MX1 = Node("mx1.cluster.test", frozenset({Role.MX}), ("192.0.2.11",), joined=True)
PLAIN = Cluster("cluster.test", 1, (MS1, MX1), (Domain.parse("example.test"),))
PROBED = replace(PLAIN, probe="s3cret", probe_since=7)
OTHER = replace(PLAIN, probe="another", probe_since=8)


def _box(cluster: Cluster = PROBED, node: Node = MS1):  # type: ignore[no-untyped-def]
    assert cluster.probe_domain is not None
    return of_node(node, cluster.probe_domain, cluster.probe)


def test_without_a_secret_there_is_nothing() -> None:
    assert {row.table for row in rows_with_node(PLAIN, MS1)} == {Table.NAMES}
    assert [domain.name for domain in settings_for(PLAIN, MS1.name).domains] == ["example.test"]
    assert settings_for(PLAIN, MS1.name).probe_domain == ""


def test_a_storage_node_that_has_joined_gives_rows_like_any_mailbox() -> None:
    by_table = {(row.table, row.scope): row for row in rows_with_node(PROBED, MS1)}
    account = by_table[Table.ACCOUNTS, MS1.name]
    assert account.key == str(_box().address)
    password = password_of(MS1.name, "s3cret")
    digest = base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()
    assert account.value["password"] == f"{{SHA256}}{digest}"
    assert account.value["quota"] == 1 << 20
    assert by_table[Table.RECIPIENTS, ""].value["hop"] == MS1.name
    names = {row.key: row.value["data"] for row in rows_with_node(PROBED, MS1) if row.table is Table.NAMES}
    assert names[f"{_box().label}.pop.roost-probe.cluster.test/CNAME"] == ["ms1.cluster.test."]
    for none in (MX1, replace(MS1, joined=False)):
        assert {row.table for row in rows_with_node(PROBED, none)} == {Table.NAMES}


def test_everything_changes_with_the_secret_and_nothing_tells_of_it() -> None:
    before, after = _box(), _box(OTHER)
    assert before.label != after.label
    assert before.number != after.number
    assert before.password != after.password
    assert is_label(before.label)
    text = repr((PROBED, rows_with_node(PROBED, MS1), settings_for(PROBED, MS1.name)))
    assert "s3cret" not in text
    assert password_of(MS1.name, "s3cret") not in text


def test_nodes_of_one_first_label_have_mailboxes_of_their_own() -> None:
    east, west = (replace(MS1, name=f"ms1.{zone}.cluster.test") for zone in ("east", "west"))
    assert _box(node=east).label != _box(node=west).label
    long = _box(node=replace(MS1, name=f"{'a' * 63}.cluster.test"))
    assert is_label(long.label)


def test_settings_know_the_domain_and_the_certificate_its_zone() -> None:
    settings = settings_for(PROBED, MS1.name)
    assert [domain.name for domain in settings.domains] == ["example.test", "roost-probe.cluster.test"]
    assert "*.pop.roost-probe.cluster.test" in settings.service_names
    assert settings.probe_domain == "roost-probe.cluster.test"
