"""Ties of mailboxes and classes of nodes: kept, found by index, told in the audit log, and in no row of any node."""

from __future__ import annotations

from dataclasses import replace

import pytest
import world
from sqlalchemy import text
from world import MS1, MS2, Follower

from roost.domain.desired import Table, settings_for
from roost.domain.errors import NotFound, StillInUse
from roost.domain.ties import Ties
from roost.store import schema
from roost.store.engine import Mode
from roost.store.store import SqlStore

SMITH = Ties(together="smith")


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """Three of a family, two postmasters, one of whom is pinned and gold, and one who is free."""
    world.found(store)
    ties = {
        "anna": SMITH,
        "ben": SMITH,
        "cleo": replace(SMITH, apart="copies"),
        "dora": Ties(apart="postmasters"),
        "emil": Ties(apart="postmasters", pin=MS2, service_class="gold"),
        "free": Ties(),
    }
    with store.write("me") as tx:
        boxes = [world.box(n, name, ties=some) for n, (name, some) in enumerate(ties.items(), 1)]
        tx.put_mailboxes(boxes, "mailbox added")
        tx.put_node(replace(tx.cluster().nodes[1], classes=("bulk", "gold")), "node changed")


def test_they_are_kept_and_found(store: SqlStore) -> None:
    with store.read() as view:
        assert view.mailbox(world.address("emil")) == world.box(
            5, "emil", ties=Ties(apart="postmasters", pin=MS2, service_class="gold")
        )
        assert view.cluster().nodes[1].classes == ("bulk", "gold")
        assert [box.number for box in view.mailboxes(ties=SMITH)] == [1, 2, 3]
        assert [box.number for box in view.mailboxes(ties=SMITH, after="anna@example.com", limit=1)] == [2]
        assert [box.number for box in view.mailboxes(home=MS1, ties=Ties(apart="copies", together="smith"))] == [3]
        assert view.count_mailboxes(ties=Ties(pin=MS2)) == 1
        assert view.count_mailboxes(domain="example.org", ties=SMITH) == 0
        found = view.grouped(together=["smith", "nobody"], apart=["postmasters", "copies"])
        assert sorted(box.number for box in found) == [1, 2, 3, 4, 5]
        assert [row[2:6] for part in view.load_rows() for row in part][4:] == [
            (None, "postmasters", MS2, "gold"),
            (None,) * 4,
        ]


def test_a_change_is_told_and_touches_no_node(store: SqlStore) -> None:
    with store.write("me") as tx:
        revision = tx.put_mailboxes([world.box(1, "anna", ties=Ties(service_class="gold"))], "mailbox changed")
    with store.read() as view:
        assert view.events(after=revision - 1)[0].detail == {"together": "smith -> none", "class": "none -> gold"}
        assert view.concerns(revision) == ()
        assert view.events_of(view.cluster().nodes[1].name)[-1].detail == {"classes": "none -> bulk, gold"}
        assert "gold" not in repr(settings_for(view.cluster(), MS1))
    rows = Follower(Table.ACCOUNTS, MS1).catch_up(store)
    assert not {"smith", "postmasters", "gold", MS2} & {str(value) for row in rows.values() for value in row.values()}


def test_a_pin_is_a_node_that_there_is_and_stays(store: SqlStore) -> None:
    with store.write("me") as tx:
        with pytest.raises(NotFound) as caught:
            tx.put_mailboxes([world.box(6, "free", ties=Ties(pin="ms9.example.net"))], "mailbox changed")
        assert caught.value.field == "pin"
        with pytest.raises(StillInUse, match="pinned"):
            tx.remove_node(MS2)


@pytest.mark.parametrize("tie", ["together", "apart", "pin", "service_class"])
def test_they_are_found_by_index(store: SqlStore, kind: str, tie: str) -> None:
    """Of ten million, only those that have the tie are in it."""
    with store.database.begin(Mode.READ) as connection:
        if kind == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
        column = schema.mailbox.c[tie]
        asked = schema.mailbox.select().where(column == "x").order_by(schema.mailbox.c.address).limit(9)
        compiled = asked.compile(connection, compile_kwargs={"literal_binds": True})
        said = connection.exec_driver_sql(explain + str(compiled)).all()
    assert f"ix_mailbox_{tie}_address" in str(said)
