"""What mailboxes are used: replaced in place, believed of the home only, and no change of what should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import world
from world import MS1, MS2

from roost.domain.node_life import Life
from roost.domain.node_load import NodeLoad
from roost.domain.usage import Load, Size
from roost.store.store import SqlStore

_LOAD = Load(1, 100, 200, (1, 2, 3, 4, 5, 6), (11, 12, 13, 14, 15, 16), Size(2048, 3), "0123456789" * 2 + "0123")
_MINUTE = NodeLoad(60.0, cpu=1.5, disk=1e12, disk_free=5e11, logins=2.0)


def _always(told: Load, known: Load | None) -> Load | None:
    return told


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """A small cluster with a mailbox on each of two homes."""
    world.found(store)
    world.add(store, "john", "ann")
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(2, "ann", MS2)], "mailbox changed")


def test_what_was_told_is_read_and_replaced(store: SqlStore) -> None:
    with store.read() as view:
        revision = view.revision()
        assert view.load(1) is None
    assert store.put_loads(MS1, [_LOAD], _always) == [_LOAD]
    later = _LOAD._replace(at=300, hour=(9,) * 6, size=None, pattern="")
    store.put_loads(MS1, [later], _always)
    with store.read() as view:
        assert view.load(1) == later
        assert view.revision() == revision, "no revision, so no node is told"


def test_of_others_mailboxes_nothing_is_taken(store: SqlStore) -> None:
    told = [_LOAD._replace(number=number) for number in (1, 2, 99)]
    assert store.put_loads(MS1, told, _always) == [told[0]]
    with store.read() as view:
        assert view.load(2) is None


def test_who_merges_sees_what_is_known_and_decides(store: SqlStore) -> None:
    store.put_loads(MS1, [_LOAD], _always)
    seen = []

    def never(told: Load, known: Load | None) -> Load | None:
        seen.append((told, known))
        return None

    other = _LOAD._replace(since=150)
    assert store.put_loads(MS1, [other], never) == [other]
    assert seen == [(other, _LOAD)]
    with store.read() as view:
        assert view.load(1) == _LOAD


def test_a_mailbox_that_is_removed_takes_it_along_and_one_that_changes_does_not(store: SqlStore) -> None:
    store.put_loads(MS1, [_LOAD], _always)
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "john", quota=5)], "mailbox changed")
    with store.read() as view:
        assert view.load(1) == _LOAD
    with store.write("me") as tx:
        tx.remove_mailbox(world.address("john"))
    with store.read() as view:
        assert view.load(1) is None


def test_all_rows_come_in_chunks_with_their_homes(store: SqlStore) -> None:
    store.put_loads(MS1, [_LOAD], _always)
    with store.read() as view:
        chunks = list(view.load_rows(chunk=1))
    assert chunks == [
        [(1, MS1, *[None] * 4, 100, 200, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 2048, 3, _LOAD.pattern)],
        [(2, MS2, *[None] * 21)],
    ]


def test_many_are_taken_at_once(store: SqlStore) -> None:
    world.add(store, *[f"user{number}" for number in range(2500)])
    with store.read() as view:
        numbers = [row[0] for chunk in view.load_rows() for row in chunk if row[1] == MS1]
    told = [_LOAD._replace(number=number) for number in numbers]
    assert store.put_loads(MS1, told, _always) == told
    with store.read() as view:
        assert view.load(numbers[-1]) == told[-1]


def test_minutes_of_a_node_are_kept_for_a_while_and_go_with_it(store: SqlStore) -> None:
    for at in (100, 101, 102):
        store.put_node_load(MS2, at, replace(_MINUTE, cpu=at / 100), forget=0)
    store.put_node_load(MS2, 102, _MINUTE, forget=101)
    with store.read() as view:
        assert view.node_minutes(MS2, 0) == [(101, replace(_MINUTE, cpu=1.01)), (102, _MINUTE)]
        assert view.node_minutes(MS2, 102) == [(102, _MINUTE)]
        assert view.node_minutes(MS1, 0) == []
    with store.write("me") as tx:
        tx.remove_mailbox(world.address("ann"))
        tx.remove_node(MS2)
    with store.read() as view:
        assert view.node_minutes(MS2, 0) == []


def test_what_is_declared_of_a_node_is_kept_and_is_in_the_audit_log(store: SqlStore) -> None:
    with store.read() as view:
        node = next(node for node in view.cluster().nodes if node.name == MS1)
    declared = replace(node, declared={"cpu": 8.0, "disk": 4e12})
    with store.write("me") as tx:
        tx.put_node(declared, "node changed")
    with store.read() as view:
        assert declared in view.cluster().nodes
        assert "cpu 8, disk 4e+12" in view.events_of(MS1)[-1].detail["declared"]


def test_the_size_of_a_home_is_that_of_its_mailboxes(store: SqlStore) -> None:
    with store.read() as view:
        assert view.bytes_at(MS1) == 0
    store.put_loads(MS1, [_LOAD], _always)
    with store.read() as view:
        assert (view.bytes_at(MS1), view.bytes_at(MS2)) == (2048, 0)


def test_a_node_keeps_its_life(store: SqlStore) -> None:
    with store.read() as view:
        node = next(node for node in view.cluster().nodes if node.name == MS1)
    leaving = replace(node, life=Life.DRAINING, since=datetime(2026, 11, 27, tzinfo=UTC), batch="drain-1")
    with store.write("me") as tx:
        revision = tx.put_node(leaving, "node draining")
    with store.read() as view:
        assert leaving in view.cluster().nodes
        assert view.cluster().revision == revision, "so every node is told"
        assert view.events_of(MS1)[-1].detail == {"life": "active -> draining"}
