"""What nodes are told: by the feed, after any history, exactly what ``domain.desired`` computes from scratch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import world
from hypothesis import given, settings
from world import MS1, MS2, MX1, NS1

from roost.control import aliases, domains, drift, mailboxes, node_lives, nodes, policy
from roost.control.feed import Feed
from roost.control.followers import Followers
from roost.control.mailboxes import Wanted
from roost.control.receipts import Line, receipt
from roost.domain.cluster import Role, Suspended
from roost.domain.desired import (
    FOLLOWERS,
    NodeSettings,
    Table,
    Value,
    bucket_of,
    rows_of_alias,
    rows_of_mailbox,
    rows_of_node,
    settings_for,
    tables_of,
)
from roost.domain.errors import BadSetting, Forbidden, NotFound, Refused
from roost.ports.store import Reader
from roost.store import open_backups, open_store
from roost.store.store import SqlStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HASH = "{SHA512-CRYPT}$6$abcdefgh$0123456789"


@dataclass
class AgentOf:
    """A node as the feed sees it: it asks, applies what it is told, and asks again."""

    name: str
    epoch: str = ""
    settings: NodeSettings | None = None
    positions: dict[str, int] = field(default_factory=dict)
    rows: dict[Table, dict[str, Value]] = field(default_factory=dict)

    def ask(self, feed: Feed) -> bool:
        """One request; True where there was news."""
        held = -1 if self.settings is None else self.settings.revision
        news = feed.answer(self.name, self.epoch, self.positions, held=held)
        if news.settings is not None:
            self.settings = news.settings
            tables = {table for table, roles in FOLLOWERS.items() if roles & set(news.settings.roles)}
            self.rows = {table: self.rows.get(table, {}) for table in tables}
            self.positions = {table: self.positions.get(table, 0) for table in tables}
        if news.epoch != self.epoch:
            if self.epoch:
                self._resync(feed)
            self.epoch = news.epoch
            return True
        for table, page in news.pages.items():
            for key, value in page.rows:
                if value is None:
                    self.rows[table].pop(key, None)
                else:
                    self.rows[table][key] = value
            self.positions[table] = page.upto
        return bool(news.settings or news.pages)

    def _resync(self, feed: Feed) -> None:
        for table, rows in self.rows.items():
            differ, head = feed.differing(self.name, table, 2**62, world.digests(rows))
            for bucket in differ or []:
                kept = {key: value for key, value in rows.items() if bucket_of(key) != bucket}
                rows.clear()
                rows.update(kept, **dict(feed.bucket(self.name, table, 2**62, bucket) or []))
            self.positions[table] = head

    def settle(self, feed: Feed) -> None:
        """Ask until there is nothing new."""
        for _ in range(1000):
            if not self.ask(feed):
                return
        raise AssertionError("the feed never ends")


def expected(view: Reader, name: str) -> tuple[NodeSettings, dict[Table, dict[str, Value]]]:
    """Compute from scratch what a node should have."""
    cluster = view.cluster()
    node = next(n for n in cluster.nodes if n.name == name)
    by_name = {domain.name: domain for domain in cluster.domains}
    rows = [row for n in cluster.nodes for row in rows_of_node(n, cluster.domain)]
    for mailbox in view.mailboxes(limit=10_000):
        rows += rows_of_mailbox(mailbox, by_name[mailbox.address.domain], cluster.policy)
    rows += [row for alias in view.aliases(limit=10_000) for row in rows_of_alias(alias)]
    tables = {table: world.values(rows, table, scope) for table, scope in tables_of(node)}
    return settings_for(cluster, name), tables


def agree(store: SqlStore, agent: AgentOf) -> None:
    with store.read() as view:
        wanted_settings, wanted_rows = expected(view, agent.name)
    assert agent.settings == wanted_settings
    assert agent.rows == wanted_rows


def move(store: SqlStore, address: str, home: str) -> int:
    """Change the one field that a move changes."""
    with store.write("me") as tx:
        mailbox = replace(mailboxes.find(tx, address), home=home)
        return tx.put_mailboxes([mailbox], "mailbox moved")


def test_a_move_changes_exactly_what_it_should(store: SqlStore) -> None:
    """The next hop, the CNAME, and the account that leaves one node and comes to another."""
    world.add(store, "john", "mary")
    feed = Feed(store, 100)
    agents = {name: AgentOf(name) for name in (MX1, NS1, MS1, MS2)}
    for agent in agents.values():
        agent.settle(feed)
        agree(store, agent)
    with store.read() as view:
        epoch = view.value("epoch") or ""
    move(store, "john@example.com", MS2)
    told = {name: feed.answer(name, epoch, agent.positions, held=7).pages for name, agent in agents.items()}
    account = agents[MS1].rows[Table.ACCOUNTS]["john@example.com"]
    hop: dict[str, Any] = {"to": ["john@john.pop.example.com"], "hop": MS2, "refuse": ""}
    cname: dict[str, Any] = {"zone": "pop.example.com", "ttl": 60, "data": [f"{MS2}."]}
    assert {name: {t: list(page.rows) for t, page in pages.items()} for name, pages in told.items()} == {
        MX1: {Table.RECIPIENTS: [("john@example.com", hop)]},
        NS1: {Table.NAMES: [("john.pop.example.com/CNAME", cname)]},
        MS1: {Table.ACCOUNTS: [("john@example.com", None)]},
        MS2: {Table.ACCOUNTS: [("john@example.com", account)]},
    }


def test_a_node_gets_what_its_roles_need(store: SqlStore) -> None:
    """Of accounts its own alone; no password outside of them; nothing of a role that it has lost."""
    world.add(store, "john")
    world.add(store, "mary", home=MS2)
    feed = Feed(store, 100)
    agents = {name: AgentOf(name) for name in (MX1, NS1, MS1, MS2)}
    for agent in agents.values():
        agent.settle(feed)
        agree(store, agent)
    assert set(agents[MS1].rows[Table.ACCOUNTS]) == {"john@example.com"}
    assert "secret" not in repr((agents[MX1], agents[NS1]))
    with pytest.raises(Forbidden):
        feed.differing(MX1, "accounts", 0, [(0, 0)] * 256)
    with pytest.raises(Forbidden):
        feed.bucket(MX1, "accounts", 0, 0)
    with pytest.raises(BadSetting):
        feed.differing(MX1, "recipients", 2**62, [(0, 0)])
    with store.write("me") as tx:
        old = next(node for node in tx.cluster().nodes if node.name == MX1)
        tx.put_node(replace(old, roles=frozenset({Role.LOG})), "node changed")
    world.add(store, "late")
    agents[MX1].settle(feed)
    assert agents[MX1].rows == {}
    with pytest.raises(Forbidden):
        feed.bucket(MX1, "recipients", 2**62, 0)


def test_strangers_are_told_nothing(store: SqlStore) -> None:
    """Who is unknown, has not joined, or was removed, from the next answer on."""
    feed = Feed(store, 100)
    nodes.add(store, "me", "ms3.example.net", ["storage"], ["192.0.2.30"])
    assert feed.answer(MS2, "", {}, held=-1).settings is not None
    node_lives.retire(store, "me", MS2, NOW, give_up=True)
    for name in ("nobody.example.net", "ms3.example.net", MS2, ""):
        with pytest.raises(Forbidden):
            feed.answer(name, "", {}, held=-1)
        with pytest.raises(Forbidden):
            feed.node(name)


def test_a_table_that_moves_is_not_compared(store: SqlStore) -> None:
    """The node asks again when it is where the store is."""
    world.add(store, "john")
    feed = Feed(store, 100)
    agent = AgentOf(MX1)
    agent.settle(feed)
    digests = world.digests(agent.rows[Table.RECIPIENTS])
    position = agent.positions[Table.RECIPIENTS]
    assert feed.differing(MX1, "recipients", position, digests) == ([], position)
    del agent.rows[Table.RECIPIENTS]["john@example.com"]
    differ, _ = feed.differing(MX1, "recipients", position, world.digests(agent.rows[Table.RECIPIENTS]))
    assert differ == [bucket_of("john@example.com")]
    assert [key for key, _ in feed.bucket(MX1, "recipients", position, differ[0]) or []] == ["john@example.com"]
    world.add(store, "mary")
    assert feed.differing(MX1, "recipients", position, digests)[0] is None
    assert feed.bucket(MX1, "recipients", position, differ[0]) is None


def test_a_receipt(store: SqlStore) -> None:
    """Each node that the change concerns, with what it has applied; the store remembers for the next controller."""
    john = world.add(store, "john")
    followers = Followers()
    assert [(line.node, line.table) for line in receipt(store, followers, john, NOW).lines] == [
        (MS1, "accounts"),
        (MX1, "recipients"),
        (NS1, "names"),
    ]
    for name, table in ((MX1, "recipients"), (NS1, "names")):
        followers.note(name, {table: john}, {}, 0, NOW)
    followers.note(MS1, {"accounts": john - 1}, {}, 0, NOW)
    late = receipt(store, followers, john, NOW + timedelta(seconds=1))
    assert not late.done
    assert late.lines[0] == Line(MS1, "accounts", applied=False, position=7, at=None, connected=True)
    followers.note(MS1, {"accounts": john}, {}, 0, NOW)
    assert receipt(store, followers, john, NOW).done
    store.put_positions(followers.changed())
    with store.read() as view:
        assert receipt(store, Followers(view.positions()), john, NOW).done
    with pytest.raises(Refused):
        receipt(store, followers, john + 1, NOW)


def test_a_receipt_of_nodes_that_another_controller_hears(store: SqlStore) -> None:
    """By way of the store; what a controller has heard itself later is not taken back."""
    john = world.add(store, "john")
    here, there = Followers(), Followers()
    for name, table in ((MX1, "recipients"), (NS1, "names"), (MS1, "accounts")):
        there.note(name, {table: john - 1}, {}, 0, NOW)
    store.put_positions(there.changed())
    assert not receipt(store, here, john, NOW).done
    here.note(MX1, {"recipients": john}, {}, 0, NOW + timedelta(seconds=2))
    for name, table in ((MX1, "recipients"), (NS1, "names"), (MS1, "accounts")):
        there.note(name, {table: john - (name == MX1)}, {}, 0, NOW + timedelta(seconds=1))
    store.put_positions(there.changed())
    assert receipt(store, here, john, NOW).done


def test_a_restore_is_followed(store: SqlStore, tmp_path: Path) -> None:
    """No row is given before the node has compared its tables; then its receipt is complete."""
    world.add(store, "john", "mary")
    backups = open_backups("", store, tmp_path)
    backups.save(str(tmp_path / "backup.db"))
    feed = Feed(store, 100)
    agents = [AgentOf(name) for name in (MX1, NS1, MS1, MS2)]
    mailboxes.remove(store, "me", "mary@example.com")
    world.add(store, "late", home=MS2)
    domains.add(store, "me", "late.example", None)
    for agent in agents:
        agent.settle(feed)
    backups.load(str(tmp_path / "backup.db"), "me")
    for agent in agents:
        news = feed.answer(agent.name, agent.epoch, agent.positions, held=10)
        assert (news.pages, news.settings is None) == ({}, False)
        agent.settle(feed)
        agree(store, agent)
    followers = Followers()
    for agent in agents:
        assert agent.settings is not None
        followers.note(agent.name, agent.positions | {"settings": agent.settings.revision}, {}, 0, NOW)
    with store.read() as view:
        assert receipt(store, followers, view.revision(), NOW).done


LOCALS = st.sampled_from(["anna", "ben.b", "cleo", "dora"])
DOMAINS = st.sampled_from(["example.com", "example.org", "example.edu"])
ADDRESSES = st.builds(lambda local, domain: f"{local}@{domain}", LOCALS, DOMAINS)
HOMES = st.sampled_from([MS1, MS2])
STEPS = st.one_of(
    st.tuples(st.just("add"), ADDRESSES, HOMES | st.none()),
    st.tuples(st.just("change"), ADDRESSES, st.integers(0, 3), st.booleans()),
    st.tuples(st.just("move"), ADDRESSES, HOMES),
    st.tuples(st.just("remove"), ADDRESSES),
    st.tuples(st.just("alias"), ADDRESSES, st.lists(ADDRESSES, min_size=1, max_size=3), st.booleans()),
    st.tuples(st.just("remove alias"), ADDRESSES),
    st.tuples(st.just("domain"), DOMAINS, st.integers(0, 3), st.sampled_from(list(Suspended))),
    st.tuples(st.just("remove domain"), DOMAINS),
    st.tuples(st.just("ttl"), st.integers(58, 60)),
    st.tuples(st.just("ask"), st.integers(0, 3)),
)


def do(store: SqlStore, step: tuple[Any, ...]) -> None:
    """Do one step of a history, as an administrator; what is refused changes nothing."""
    match step:
        case ("add", address, home):
            mailboxes.add(store, "me", Wanted(address, password_hash=HASH, home=home))
        case ("change", address, quota, suspended):
            mailboxes.change(store, "me", address, quota=quota, suspended=suspended)
        case ("move", address, home):
            move(store, address, home)
        case ("remove", address):
            mailboxes.remove(store, "me", address)
        case ("alias", address, targets, exists):
            aliases.put(store, "me", address, targets, exists=exists)
        case ("remove alias", address):
            aliases.remove(store, "me", address)
        case ("domain", name, quota, suspended):
            with store.read() as view:
                known = name in {domain.name for domain in view.cluster().domains}
            if known:
                domains.change(store, "me", name, quota=quota, suspended=suspended)
            else:
                domains.add(store, "me", name, None, quota=quota, suspended=suspended)
        case ("remove domain", name):
            domains.remove(store, "me", name)
        case ("ttl", ttl):
            policy.change(store, "me", {"ttl": ttl})


@settings(max_examples=30, deadline=None, database=None)
@given(history=st.lists(STEPS, max_size=40), rows=st.integers(1, 5))
def test_after_any_history(history: list[tuple[Any, ...]], rows: int) -> None:
    """Nodes that asked at any moments on the way, and nodes that come new, all have what there should be."""
    with tempfile.TemporaryDirectory(prefix="roost-history-") as folder:
        store = open_store(f"sqlite:///{folder}/roost.db")
        try:
            world.found(store)
            feed = Feed(store, rows)
            agents = [AgentOf(name) for name in (MX1, NS1, MS1, MS2)]
            for step in history:
                if step[0] == "ask":
                    agents[step[1]].ask(feed)
                    continue
                with store.read() as view:
                    before = view.revision()
                try:
                    do(store, step)
                except Refused:
                    with store.read() as view:
                        assert view.revision() == before
            for agent in (*agents, *(AgentOf(agent.name) for agent in agents)):
                agent.settle(feed)
                agree(store, agent)
            assert list(store.verify_audit()) == []
        finally:
            store.close()


def test_the_brake_is_lifted_for_one_check_on_named_nodes(store: SqlStore) -> None:
    """The next check begins with the brake on again."""
    feed = Feed(store, 100)

    def lifted(name: str) -> bool:
        return feed.answer(name, "", {}, held=-1).lifted

    assert not lifted(MS1)
    drift.ask(store, [MS1])
    assert lifted(MS1)
    assert not lifted(MS2)
    drift.ask(store)
    assert not lifted(MS1)
    with pytest.raises(NotFound):
        drift.ask(store, ["ms99.example.net"])
