"""Any history: what every follower has at its end is what ``domain.desired`` computes from a model in memory."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import hypothesis.strategies as st
import pytest
import world
from cluster_model import Model
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from world import Follower

from roost.domain.cluster import Alias, Domain, Mailbox, Node, Policy, Suspended
from roost.domain.errors import Refused
from roost.domain.move import NEXT, Move, State
from roost.domain.ties import Ties
from roost.ports.store import Step, Writer
from roost.store import open_backups, open_store

T = TypeVar("T")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LOCALS = st.sampled_from(["anna", "ben", "cleo", "dora"])
DOMAINS = st.sampled_from(["a.example", "b.example"])
ADDRESSES = st.builds(lambda local, domain: world.address(f"{local}@{domain}"), LOCALS, DOMAINS)
HOMES = st.sampled_from(["ms1.example.net", "ms2.example.net", "ms3.example.net"])
TIES = st.builds(Ties, together=st.sampled_from(["", "smith"]), pin=st.sampled_from(["", "ms2.example.net"]))
ZONES = st.sampled_from(["pop.a.example", "pop.b.example", "in.a.example"])
TARGETS = st.lists(ADDRESSES, min_size=1, max_size=3, unique=True).map(tuple)
SMALL = st.integers(0, 3)


class History(RuleBasedStateMachine):
    """Every rule does one thing to the store and to the model, and both must agree whether it can be done."""

    url: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="roost-model-"))
        self.store = open_store(self.url())
        self.backups = open_backups("", self.store, self.folder)
        self.model = Model()
        self.followers: dict[tuple[world.Table, str], Follower] = {}
        self.saved: list[tuple[Path, Model]] = []
        self.names = itertools.count()
        with self.store.write("founder") as tx:
            tx.set_cluster(self.model.domain, self.model.policy)
            for index, name in enumerate(["ms1.example.net", "ms2.example.net"], 1):
                self._put_node(tx, Node.parse(name, ["storage"], [f"192.0.2.{index}"]))
            tx.put_domain(Domain.parse("a.example"), "domain added")
            self.model.put_domain(Domain.parse("a.example"))

    def _put_node(self, tx: Writer, node: Node) -> None:
        self.model.nodes[node.name] = node
        tx.put_node(node, "node put")

    @contextmanager
    def _writing(self, *, keep: bool = True) -> Iterator[tuple[Writer, Model]]:
        """A transaction on both; one that either refuses must be refused by the other too, and is undone."""
        before, refused = deepcopy(self.model), False
        try:
            with self.store.write("hypothesis") as tx:
                try:
                    yield tx, self.model
                except _ModelRefusedError:
                    refused = True
                if refused or not keep:
                    raise _UndoneError
        except _UndoneError:
            self.model = before

    def _both(self, on_model: Callable[[], object], on_store: Callable[[], object]) -> None:
        try:
            on_model()
        except Refused:
            with pytest.raises(Refused):
                on_store()
            raise _ModelRefusedError from None
        on_store()

    @rule(
        batch=st.lists(st.tuples(ADDRESSES, HOMES, LOCALS, SMALL, st.booleans(), TIES), min_size=1, max_size=3),
        keep=st.sampled_from([True, True, False]),
    )
    def put_mailboxes(self, batch: list[tuple[world.Address, str, str, int, bool, Ties]], keep: bool) -> None:
        """Add and change in one call; the label is any."""
        batch = list({one[0]: one for one in batch}.values())
        with self._writing(keep=keep) as (tx, model):
            boxes = []
            for address, home, label, small, suspended, ties in batch:
                old = model.mailboxes.get(address)
                number = old.number if old else tx.new_numbers(1)[0]
                more = {"quota": small, "suspended": suspended, "password": f"{{PLAIN}}{small}", "ties": ties}
                if old:
                    more["format"] = old.format
                boxes.append(Mailbox(number, address, old.label if old else label, home, **more))  # type: ignore[arg-type]
            self._both(
                lambda: [model.put_mailbox(box) for box in boxes],
                lambda: tx.put_mailboxes(boxes, "mailboxes put"),
            )

    @rule(secret=st.sampled_from(["one", "two"]))
    def set_probe(self, secret: str) -> None:
        """Test mailboxes come, or come anew."""
        with self._writing() as (tx, model):
            model.probe = secret
            tx.set_probe(secret)

    @rule(address=ADDRESSES)
    def remove_mailbox(self, address: world.Address) -> None:
        """Which may not be there."""
        with self._writing() as (tx, model):
            self._both(
                lambda: model.remove_mailbox(address),
                lambda: tx.remove_mailbox(address),
            )

    @precondition(lambda self: self.model.mailboxes)
    @rule(index=SMALL, home=HOMES, format=st.sampled_from(["", "sdbox"]))
    def ask_move(self, index: int, home: str, format: str) -> None:
        """To a node that may not be there, or be the home already, or while another move is open."""
        box = self._any(self.model.mailboxes, index)
        with self._writing() as (tx, model):
            [identity] = tx.new_move_ids(1)
            more = {"state": State.ASKED, "asked": NOW, "changed": NOW, "actor": "me", "format": format}
            move = Move(identity, box.address, box.number, box.home, home, **more)  # type: ignore[arg-type]
            self._both(lambda: model.ask_move(move), lambda: tx.put_moves([Step(None, move, "move asked")]))

    @precondition(lambda self: self.model.moves)
    @rule(index=SMALL, pick=st.integers(0, 9), paused=st.booleans(), attempts=SMALL)
    def step_move(self, index: int, pick: int, paused: bool, attempts: int) -> None:
        """Mostly along the table of states, sometimes against it."""
        of = self._any(self.model.moves, index)
        along = sorted(NEXT[of.state]) if pick < 8 else sorted(State)
        with self._writing() as (tx, model):
            old = tx.open_moves([of.number])[of.number]
            new = replace(old, state=along[pick % len(along)], paused=paused, attempts=attempts)
            self._both(lambda: model.step_move(new), lambda: tx.put_moves([Step(old, new, "move stepped")]))

    @staticmethod
    def _any(things: dict[world.Address, T], index: int) -> T:
        return things[sorted(things, key=str)[index % len(things)]]

    @rule(address=ADDRESSES, leads=TARGETS)
    def put_alias(self, address: world.Address, leads: tuple[world.Address, ...]) -> None:
        """To anywhere: loops are not the store's business."""
        alias = Alias(address, leads)
        with self._writing() as (tx, model):
            self._both(lambda: model.put_alias(alias), lambda: tx.put_alias(alias, "alias put"))

    @rule(address=ADDRESSES)
    def remove_alias(self, address: world.Address) -> None:
        """Which may not be there."""
        with self._writing() as (tx, model):
            self._both(
                lambda: model.remove_alias(address),
                lambda: tx.remove_alias(address),
            )

    @rule(name=DOMAINS, zone=ZONES, quota=SMALL, suspended=st.sampled_from(list(Suspended)))
    def put_domain(self, name: str, zone: str, quota: int, suspended: Suspended) -> None:
        """Any field, so that the rows of all its mailboxes follow."""
        domain = Domain(name, zone, quota, suspended)
        with self._writing() as (tx, model):
            self._both(lambda: model.put_domain(domain), lambda: tx.put_domain(domain, "domain put"))

    @rule(name=DOMAINS)
    def remove_domain(self, name: str) -> None:
        """Which may be in use."""
        with self._writing() as (tx, model):
            self._both(lambda: model.remove_domain(name), lambda: tx.remove_domain(name))

    @rule(name=HOMES, number=SMALL, joined=st.booleans())
    def put_node(self, name: str, number: int, joined: bool) -> None:
        """Its addresses are in the cluster's own zone."""
        node = Node.parse(name, ["storage"], [f"192.0.2.{number}", f"2001:db8::{number}"][: number + 1])
        with self._writing() as (tx, _):
            self._put_node(tx, replace(node, joined=joined))

    @rule(name=HOMES)
    def remove_node(self, name: str) -> None:
        """Which may be a home."""
        with self._writing() as (tx, model):
            self._both(lambda: model.remove_node(name), lambda: tx.remove_node(name))
        if name not in self.model.nodes:
            for table in (world.Table.ACCOUNTS, world.Table.MOVES):
                self.followers.pop((table, name), None)

    @rule(ttl=st.integers(59, 60), hold=st.integers(5, 6), domain=st.sampled_from(["example.net", "example.org"]))
    def set_cluster(self, ttl: int, hold: int, domain: str) -> None:
        """The policy's TTL is in every CNAME, its hold in every order, the domain in every node's records."""
        with self._writing() as (tx, model):
            model.policy, model.domain = Policy(ttl=ttl, hold_seconds=hold), domain
            tx.set_cluster(domain, model.policy)

    @rule(limit=st.integers(1, 5), index=st.integers(0, 10))
    def a_node_asks(self, limit: int, index: int) -> None:
        """One follower takes one page: it may be behind for any time."""
        feeds = self._feeds()
        feed = feeds[index % len(feeds)]
        follower = self.followers.setdefault(feed, Follower(*feed))
        with self.store.read() as view:
            follower.step(view, limit)

    @rule()
    def save(self) -> None:
        """Keep a backup with the model of its time."""
        path = self.folder / f"{next(self.names)}.db"
        self.backups.save(str(path))
        self.saved.append((path, deepcopy(self.model)))

    @precondition(lambda self: self.saved)
    @rule()
    def load(self) -> None:
        """Go back to the last backup; nodes compare their tables, as agents do."""
        path, then = self.saved.pop()
        self.model = self.model.restored(then)
        self.backups.load(str(path), "hypothesis")
        self.followers = {feed: one for feed, one in self.followers.items() if feed in self._feeds()}
        for follower in self.followers.values():
            with self.store.read() as view:
                follower.resync(view)

    def _feeds(self) -> list[tuple[world.Table, str]]:
        tables = [(world.Table.RECIPIENTS, ""), (world.Table.NAMES, "")]
        tables += [(world.Table.MOVES, name) for name in sorted(self.model.nodes)]
        return tables + [(world.Table.ACCOUNTS, name) for name in sorted(self.model.nodes)]

    @invariant()
    def counts_agree(self) -> None:
        """Counts and lists."""
        with self.store.read() as view:
            boxes = sorted(self.model.mailboxes.values(), key=lambda box: str(box.address))
            assert view.mailboxes() == boxes
            homes = [box.home for box in boxes]
            assert view.homes() == {home: homes.count(home) for home in set(homes)}
            moves = view.open_moves(box.number for box in boxes)
            assert {move.address: move.state for move in moves.values()} == {
                address: move.state for address, move in self.model.moves.items()
            }
            assert view.cluster().domains == tuple(sorted(self.model.domains.values(), key=lambda d: d.name))

    def teardown(self) -> None:
        """Whoever followed all the time, and whoever comes new, has what there should be."""
        try:
            rows = self.model.rows()
            for feed in self._feeds():
                expected = world.values(rows, *feed)
                for follower in (self.followers.get(feed), Follower(*feed)):
                    if follower is not None:
                        assert follower.catch_up(self.store, 3) == expected
                with self.store.read() as view:
                    assert view.digests(*feed) == world.digests(expected)
            assert list(self.store.verify_audit()) == []
        finally:
            self.store.close()
            shutil.rmtree(self.folder)


class _UndoneError(Exception):
    """Ends a transaction."""


class _ModelRefusedError(Exception):
    """The model refused, and so did the store."""


@pytest.mark.parametrize(
    ("kind_", "examples"),
    [("sqlite", 12), ("postgresql", 5), pytest.param("sqlite", 300, marks=pytest.mark.long)],
)
def test_any_history(new_url: Callable[[str], str], kind_: str, examples: int) -> None:
    """Bounded; ``--long`` looks much further."""
    machine = type("Histories", (History,), {"url": staticmethod(lambda: new_url(kind_))})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
