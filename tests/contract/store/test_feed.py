"""The change feed: rows after a revision, each node's scope, digests, and a snapshot while others write."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import world
from world import MS1, MS2, Follower

from roost.domain.cluster import Domain, Policy, Suspended
from roost.domain.desired import BUCKETS, Table, bucket_of, rows_of_alias, rows_of_mailbox
from roost.ports.store import SETTINGS, Concern
from roost.store.store import SqlStore

COM = Domain.parse("example.com")


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """Every test begins at revision 7."""
    world.found(store)


def test_rows_are_those_of_the_domain(store: SqlStore) -> None:
    """One mailbox and one alias give what ``domain.desired`` says, and nothing else."""
    world.add(store, "john")
    with store.write("me") as tx:
        tx.put_alias(world.alias("sales", "john", "x@elsewhere.test"), "alias added")
    rows = [
        *rows_of_mailbox(world.box(1, "john"), COM, Policy()),
        *rows_of_alias(world.alias("sales", "john", "x@elsewhere.test")),
    ]
    assert Follower(Table.RECIPIENTS).catch_up(store) == world.values(rows, Table.RECIPIENTS)
    assert Follower(Table.ACCOUNTS, MS1).catch_up(store) == world.values(rows, Table.ACCOUNTS, MS1)
    assert Follower(Table.ACCOUNTS, MS2).catch_up(store) == {}
    names = Follower(Table.NAMES).catch_up(store)
    assert {key: names[key] for key in names if "pop" in key} == world.values(rows, Table.NAMES)
    assert names["ms1.example.net/A"] == {"zone": "example.net", "ttl": 300, "data": ["192.0.2.3"]}
    assert len(names) == 5


def test_pages(store: SqlStore) -> None:
    """In order of revision, at most as many as asked for, none twice, none left out."""
    world.add(store, *(f"user{n}" for n in range(25)))
    with store.read() as view:
        first = view.page(Table.ACCOUNTS, MS1, 0, 10)
        assert [key for key, _ in first.rows] == [f"user{n}@example.com" for n in range(10)]
        assert first.more
        last = view.page(Table.ACCOUNTS, MS1, first.upto + 10, 10)
        assert [key for key, _ in last.rows] == [f"user{n}@example.com" for n in range(20, 25)]
        assert (last.more, last.upto) == (False, view.head(Table.ACCOUNTS, MS1))
        assert view.page(Table.ACCOUNTS, MS1, last.upto, 10).rows == []
    for limit in (1, 2, 7, 24, 25, 26):
        assert len(Follower(Table.ACCOUNTS, MS1).catch_up(store, limit)) == 25


def test_rows_of_one_revision_stay_together(store: SqlStore) -> None:
    """A change of the policy touches many rows in one revision: a page is longer rather than half a revision."""
    world.add(store, *(f"user{n}" for n in range(8)))
    names = Follower(Table.NAMES)
    names.catch_up(store)
    with store.write("me") as tx:
        revision = tx.set_cluster("example.net", Policy(ttl=30))
    with store.read() as view:
        page = view.page(Table.NAMES, "", names.position, 3)
        assert (len(page.rows), page.upto, page.more) == (8, revision, False)
        assert {value["ttl"] for _, value in page.rows if value} == {30}


def test_a_row_changed_twice_gives_its_last_state(store: SqlStore) -> None:
    """Once, at its last revision."""
    world.add(store, "john", "mary")
    follower = Follower(Table.ACCOUNTS, MS1)
    follower.catch_up(store)
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "john", password="{PLAIN}second")], "mailbox changed")
        last = tx.put_mailboxes([world.box(1, "john", password="{PLAIN}third")], "mailbox changed")
    with store.read() as view:
        page = view.page(Table.ACCOUNTS, MS1, follower.position, 10)
    assert [(key, (value or {})["password"]) for key, value in page.rows] == [("john@example.com", "{PLAIN}third")]
    assert page.upto == last


def test_a_removed_row_is_told(store: SqlStore) -> None:
    """To who had it and to who did not; one that comes back is a row again."""
    world.add(store, "john", "mary")
    follower = Follower(Table.RECIPIENTS)
    follower.catch_up(store)
    with store.write("me") as tx:
        tx.remove_mailbox(world.address("john"))
    with store.read() as view:
        assert view.page(Table.RECIPIENTS, "", follower.position, 10).rows == [("john@example.com", None)]
    assert set(follower.catch_up(store)) == {"mary@example.com"}
    world.add(store, "john", home=MS2)
    assert follower.catch_up(store)["john@example.com"]["hop"] == MS2


def test_a_change_touches_what_it_should(store: SqlStore) -> None:
    """Each revision's concerns, and the rows that its followers are given."""
    world.add(store, "john")
    old = world.box(1, "john")
    cases = [
        (replace(old, password="{PLAIN}new"), {("accounts", MS1)}),
        (replace(old, password="{PLAIN}new", quota=5), {("accounts", MS1)}),
        (replace(old, password="{PLAIN}new", quota=5, suspended=True), {("accounts", MS1)}),
        (
            replace(old, password="{PLAIN}new", quota=5, suspended=True, home=MS2),
            {("accounts", MS1), ("accounts", MS2), ("names", ""), ("recipients", "")},
        ),
    ]
    with store.read() as view:
        positions = {feed: view.head(*feed) for feed in world.EVERYWHERE}
    for mailbox, expected in cases:
        with store.write("me") as tx:
            revision = tx.put_mailboxes([mailbox], "mailbox changed")
        with store.read() as view:
            assert set(view.concerns(revision)) == {Concern(*where) for where in expected}
            for (table, scope), position in positions.items():
                page = view.page(table, scope, position, 10)
                assert bool(page.rows) == ((table, scope) in expected)
                positions[table, scope] = page.upto
    assert Follower(Table.ACCOUNTS, MS1).catch_up(store) == {}


def test_nothing_changed_is_a_revision_without_rows(store: SqlStore) -> None:
    """It concerns nobody."""
    world.add(store, "john")
    with store.write("me") as tx:
        revision = tx.put_mailboxes([world.box(1, "john")], "mailbox changed")
    with store.read() as view:
        assert view.concerns(revision) == ()
        assert view.head(Table.ACCOUNTS, MS1) == revision - 1


def test_a_domain_carries_its_mailboxes_along(store: SqlStore) -> None:
    """Its quota and what it does with suspended mailboxes are in their rows, in one revision."""
    world.add(store, "john", "mary", "john@example.org")
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(2, "mary", suspended=True)], "mailbox changed")
        new = replace(COM, quota=1000, suspended=Suspended.REFUSE)
        revision = tx.put_domain(new, "domain changed")
    with store.read() as view:
        concerns = {(concern.table, concern.scope) for concern in view.concerns(revision)}
        assert concerns == {("accounts", MS1), ("recipients", ""), (SETTINGS, "")}
    accounts = Follower(Table.ACCOUNTS, MS1).catch_up(store)
    assert [accounts[f"{a}@example.com"]["quota"] for a in ("john", "mary")] == [1000, 1000]
    assert accounts["john@example.org"]["quota"] == 0
    refusals = {key: row["refuse"] for key, row in Follower(Table.RECIPIENTS).catch_up(store).items()}
    assert {key for key, refuse in refusals.items() if refuse} == {"mary@example.com"}


def test_digests(store: SqlStore) -> None:
    """A node that has everything computes the same, whatever was changed and removed on the way."""
    world.add(store, *(f"user{n}" for n in range(300)))
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(n, f"user{n - 1}", MS2) for n in range(1, 100)], "mailbox changed")
        for n in range(50, 150):
            tx.remove_mailbox(world.address(f"user{n}"))
    with store.read() as view:
        for table, scope in world.EVERYWHERE:
            follower = Follower(table, scope)
            rows = follower.catch_up(store, 37)
            assert view.digests(table, scope) == world.digests(rows)
            assert len(rows) == sum(count for count, _ in view.digests(table, scope))
            for bucket in (0, 1, BUCKETS - 1):
                wanted = sorted((key, value) for key, value in rows.items() if bucket_of(key) == bucket)
                assert view.bucket(table, scope, bucket) == wanted
        assert len(view.digests(Table.ACCOUNTS, "nobody.example.net")) == BUCKETS


def test_a_snapshot_while_others_write(store: SqlStore) -> None:
    """A new node reads page after page, each from another moment, and ends with what there is."""
    world.add(store, *(f"user{n}" for n in range(200)))
    done = threading.Event()

    def write() -> None:
        for n in range(40):
            world.add(store, f"late{n}")
            with store.write("me") as tx:
                tx.put_mailboxes([world.box(n + 1, f"user{n}", MS2)], "mailbox changed")
                tx.remove_mailbox(world.address(f"user{199 - n}"))
        done.set()

    writer = threading.Thread(target=write)
    followers = [Follower(table, scope) for table, scope in world.EVERYWHERE]
    writer.start()
    turns = 0
    while not done.is_set():
        turns += 1
        for follower in followers:
            with store.read() as view:
                follower.step(view, 9)
    writer.join()
    assert turns > 1
    with store.read() as view:
        for follower in followers:
            assert world.digests(follower.catch_up(store, 9)) == view.digests(follower.table, follower.scope)
        assert view.count_mailboxes(home=MS1) == len(followers[2].rows) == 160


def test_settings_have_a_head(store: SqlStore) -> None:
    """It moves with nodes, domains and the policy, not with mailboxes."""
    with store.read() as view:
        assert (view.head(SETTINGS, ""), view.cluster().revision) == (7, 7)
    world.add(store, "john")
    with store.read() as view:
        assert view.head(SETTINGS, "") == 7
    with store.write("me") as tx:
        tx.put_domain(Domain.parse("example.edu"), "domain added")
    with store.read() as view:
        assert (view.head(SETTINGS, ""), view.cluster().revision) == (9, 9)


def test_a_removed_node_leaves_no_feed(store: SqlStore) -> None:
    """One of the same name begins with nothing."""
    world.add(store, "john", home=MS2)
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "john", MS1)], "mailbox changed")
        tx.remove_node(MS2)
    with store.read() as view:
        assert view.head(Table.ACCOUNTS, MS2) == 0
        assert view.page(Table.ACCOUNTS, MS2, 0, 10).rows == ()
    assert "ms2.example.net/A" not in Follower(Table.NAMES).catch_up(store)
