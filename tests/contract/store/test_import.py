"""Many mailboxes at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import world

from roost.domain.desired import Table
from roost.domain.errors import AlreadyExists
from roost.store import open_backups, open_store
from roost.store.store import SqlStore


def test_a_batch_longer_than_a_statement(store: SqlStore) -> None:
    """5,000 in one transaction: each its revision, each its rows; a fault at the end undoes all."""
    world.found(store)
    world.add(store, *(f"user{n}" for n in range(5000)))
    with store.read() as view:
        assert view.revision() == 5007
        assert view.count_mailboxes() == len(view.mailboxes(limit=6000)) == 5000
        assert view.events(after=5006)[0].subject == "user4999@example.com"
        assert sum(count for count, _ in view.digests(Table.RECIPIENTS, "")) == 5000
    with pytest.raises(AlreadyExists):
        world.add(store, *(f"more{n}" for n in range(4000)), "user1")
    with store.read() as view:
        assert (view.revision(), view.count_mailboxes()) == (5007, 5000)


@pytest.mark.long
@pytest.mark.parametrize("kind_", ["sqlite", "postgresql"])
def test_a_hundred_thousand(
    new_url: Callable[[str], str], kind_: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Measured, and told with ``-s`` or in a JUnit report; what is asserted is that it is all there."""
    store, seconds = open_store(new_url(kind_)), {}
    world.found(store)

    def measured(name: str, work: Callable[[], object]) -> None:
        begun = time.monotonic()
        work()
        seconds[name] = round(time.monotonic() - begun, 2)

    follower = world.Follower(Table.RECIPIENTS)
    path = str(tmp_path / "backup.db")
    measured("import", lambda: world.add(store, *(f"user{n}" for n in range(100_000))))
    measured("one more", lambda: world.add(store, "one-more"))
    measured("snapshot", lambda: follower.catch_up(store, 1000))
    measured("backup", lambda: open_backups("", store).save(path))
    measured("restore", lambda: open_backups("", store, tmp_path).load(path, "admin"))
    with store.read() as view:
        measured("digests", lambda: view.digests(Table.RECIPIENTS, ""))
        assert view.count_mailboxes() == len(follower.rows) == 100_001
        assert view.digests(Table.RECIPIENTS, "") == world.digests(follower.rows)
    measured("audit", lambda: list(store.verify_audit()))
    record_property("seconds", json.dumps(seconds))
    print(f"\n{kind_}: {seconds}")
    store.close()
