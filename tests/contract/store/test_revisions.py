"""Revisions: without a gap, in the order of the commits, whoever writes at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import world

from roost.domain.errors import AlreadyExists, NotFound, StoreBusy
from roost.domain.names import Address
from roost.store import open_store
from roost.store.store import SqlStore

WRITER = Path(__file__).parent / "writer_process.py"


def revisions(store: SqlStore) -> list[int]:
    with store.read() as view:
        return [event.revision for event in view.events(limit=1_000_000)]


def gapless(store: SqlStore) -> bool:
    found = revisions(store)
    with store.read() as view:
        return found == list(range(1, view.revision() + 1))


def test_each_change_is_one_revision(store: SqlStore) -> None:
    """Also where many are made in one transaction, and the transaction sees its own."""
    with store.write("me") as tx:
        assert tx.revision() == 0
        tx.set_cluster("example.net", world.Policy())
        assert tx.put_domain(world.Domain.parse("example.com"), "domain added") == 2
        assert tx.revision() == 2
        assert tx.cluster().domains == (world.Domain.parse("example.com"),)
    assert revisions(store) == [1, 2]


def test_a_transaction_that_fails_takes_no_revision(store: SqlStore) -> None:
    """Neither a whole one, nor a step in one that goes on."""
    world.found(store)

    def half() -> None:
        with store.write("me") as tx:
            tx.put_mailboxes([world.box(1, "john")], "mailbox added")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "john")], "mailbox added")
        with pytest.raises(AlreadyExists):
            tx.put_mailboxes([world.box(2, "mary"), world.box(3, "john")], "mailbox added")
        with pytest.raises(NotFound):
            tx.remove_mailbox(world.address("nobody"))
        tx.put_mailboxes([world.box(2, "anne")], "mailbox added")
    with store.read() as view:
        assert [str(m.address) for m in view.mailboxes()] == ["anne@example.com", "john@example.com"]
        assert view.revision() == 9
    assert gapless(store)
    assert list(store.verify_audit()) == []
    assert set(world.Follower(world.Table.ACCOUNTS, world.MS1).catch_up(store)) == {
        "anne@example.com",
        "john@example.com",
    }


def test_threads(store: SqlStore) -> None:
    """Every thread's revisions are its own, and no thread is left waiting for ever."""
    world.found(store)

    def write(thread: int) -> list[int]:
        return [world.add(store, f"user{thread}-{turn}") for turn in range(10)]

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(write, range(8)))
    assert sorted(r for one in taken for r in one) == list(range(8, 88))
    assert all(one == sorted(one) for one in taken)
    assert gapless(store)
    with store.read() as view:
        assert view.count_mailboxes() == 80
        assert sorted(m.number for m in view.mailboxes(limit=100)) == list(range(1, 81))


def test_processes(store: SqlStore, url: str) -> None:
    """Two controllers on one store, and this one."""
    world.found(store)
    argv = [sys.executable, str(WRITER), url]
    others = [subprocess.Popen([*argv, name, "25"], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    for turn in range(25):
        world.add(store, f"c{turn}")
    said = [other.communicate(timeout=60)[0].split() for other in others]
    assert [other.returncode for other in others] == [0, 0]
    assert [len(lines) for lines in said] == [25, 25]
    assert gapless(store)
    with store.read() as view:
        assert view.revision() == 7 + 75
        for name, lines in zip("ab", said, strict=True):
            assert [int(line.split(":")[1]) for line in lines] == sorted(int(line.split(":")[1]) for line in lines)
            assert view.mailbox(Address(f"{name}24", "example.com")) is not None
    assert list(store.verify_audit()) == []


def test_a_view_stays_at_its_revision(store: SqlStore) -> None:
    """What is committed while it is open is not in it, and it holds up nobody."""
    world.found(store)
    with store.read() as view:
        world.add(store, "john")
        assert view.revision() == 7
        assert view.mailboxes() == []
        assert view.page(world.Table.ACCOUNTS, world.MS1, 0, 10).rows == ()
    with store.read() as view:
        assert view.revision() == 8


def test_waiting_too_long_is_busy(store: SqlStore, url: str) -> None:
    """A second controller does not wait for ever for the first one's transaction."""
    world.found(store)
    other = open_store(url, busy_seconds=0.3)
    with store.write("me"), pytest.raises(StoreBusy), other.write("another"):
        pass
    assert world.add(other, "john") == 8
    other.close()


def test_waiting_too_long_in_a_process_is_busy(new_url: world.Any, kind: str) -> None:
    """Likewise for the threads of one controller."""
    store = open_store(new_url(kind), busy_seconds=0.3)
    world.found(store)
    refused = []

    def attempt() -> None:
        try:
            world.add(store, "john")
        except StoreBusy as error:
            refused.append(error)

    with store.write("me"):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(30)
    assert len(refused) == 1
    store.close()
