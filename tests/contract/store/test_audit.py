"""The audit log: an event for each change, without secrets, chained so that tampering shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import world
from sqlalchemy import event, text

from roost.domain.cluster import Policy
from roost.store.engine import Mode
from roost.store.reader import SqlReader
from roost.store.store import SqlStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """Some history: revisions 1 to 12."""
    world.found(store)
    world.add(store, "john", "mary", "anne")
    with store.write("admin") as tx:
        tx.put_mailboxes([world.box(1, "john", world.MS2, password="{PLAIN}very-new", quota=5)], "mailbox changed")
        tx.remove_mailbox(world.address("anne"))


def test_events_say_who_did_what(store: SqlStore) -> None:
    """In order, in pages, with what changed; of a password only that it did."""
    with store.read() as view:
        events = view.events(after=9, limit=2)
        assert [event.revision for event in events] == [10, 11]
        assert (events[1].actor, events[1].verb, events[1].subject) == (
            "admin",
            "mailbox changed",
            "john@example.com",
        )
        assert events[1].detail == {
            "home": f"{world.MS1} -> {world.MS2}",
            "password": "changed",
            "quota": "0 -> 5",
        }
        assert events[1].at.tzinfo is not None
        everything = repr(view.events(limit=1000))
    assert "very-new" not in everything
    assert "secret" not in everything


def test_the_events_of_one_subject(store: SqlStore) -> None:
    """The newest, the oldest first, within a time; nobody else's."""
    john = str(world.address("john"))
    with store.read() as view:
        everything = view.events_of(john)
        assert [(event.revision, event.verb) for event in everything] == [
            (event.revision, event.verb) for event in view.events(limit=1000) if event.subject == john
        ]
        added, changed = everything
        assert (added.verb, changed.verb, changed.actor) == ("mailbox added", "mailbox changed", "admin")
        assert view.events_of(john, limit=1) == [changed]
        assert view.events_of(john, since=changed.at) == [changed]
        assert view.events_of(john, until=added.at) == [added]
        assert view.events_of(john, since=changed.at + timedelta(microseconds=1)) == []
        assert view.events_of("nobody@example.com") == []


def test_the_events_of_one_subject_are_found_by_an_index(store: SqlStore) -> None:
    """However many others there are: the database itself says how it would look."""
    asked: list[tuple[str, object]] = []

    def note(connection: object, cursor: object, statement: str, parameters: object, *rest: object) -> None:
        del connection, cursor, rest
        asked.append((statement, parameters))

    with store.database.begin(Mode.READ) as connection:
        event.listen(connection, "before_cursor_execute", note)
        SqlReader(connection).events_of("john@example.com", since=NOW, until=NOW)
        [(statement, parameters)] = asked
        if connection.dialect.name == "postgresql":
            # What it would do in a large table: in this one it may well read all of it.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            explained = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        else:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = "\n".join(str(row) for row in explained)
    assert "ix_event_subject_revision" in plan
    # Neither all events, nor all that have a time.
    assert "seq scan" not in plan.lower()
    assert "scan event" not in plan.lower()


def test_an_honest_log_holds(store: SqlStore) -> None:
    """Whatever was done since."""
    with store.write("admin") as tx:
        tx.set_cluster("example.net", Policy(ttl=7))
    world.add(store, "late")
    assert list(store.verify_audit()) == []


TAMPERING: dict[str, tuple[str, int]] = {
    "actor": ("UPDATE event SET actor = 'somebody' WHERE revision = 9", 9),
    "time": ("UPDATE event SET at = '2020-01-01T00:00:00+00:00' WHERE revision = 5", 5),
    "verb": ("UPDATE event SET verb = 'mailbox added' WHERE revision = 11", 11),
    "detail": ("UPDATE event SET detail = '{}' WHERE revision = 11", 11),
    "concerns": ("UPDATE event SET concerns = '[]' WHERE revision = 8", 8),
    "hash": ("UPDATE event SET hash = 'abc' WHERE revision = 6", 6),
    "first": ("UPDATE event SET subject = 'example.edu' WHERE revision = 1", 1),
    "removed": ("DELETE FROM event WHERE revision = 7", 8),
    "the end": ("DELETE FROM event WHERE revision = 12", 12),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found(store: SqlStore, name: str) -> None:
    """The sentence names the place."""
    statement, place = TAMPERING[name]
    with store.database.begin(Mode.WRITE) as connection:
        connection.execute(text(statement))
    faults = list(store.verify_audit())
    assert faults
    assert str(place) in faults[0]


def test_an_event_put_in_between_is_found(store: SqlStore) -> None:
    """Also one that pretends to be a restore, which may leave a gap."""
    with store.database.begin(Mode.WRITE) as connection:
        connection.execute(text("DELETE FROM event WHERE revision = 9"))
        connection.execute(
            text(
                "INSERT INTO event SELECT 9, at, actor, 'controller restored', subject, detail, concerns, hash"
                " FROM event WHERE revision = 8"
            )
        )
    assert "Event 9" in next(store.verify_audit())
