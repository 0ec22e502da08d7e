"""Backups: whole, taken while others write, put back into either database; and what a restore leaves behind."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import world
from world import MS1, MS2, Follower

from roost.domain.cluster import Node
from roost.domain.desired import Table
from roost.domain.errors import AlreadyExists, BadSetting, NotFound, RoostError, Unavailable
from roost.domain.move import Move, State
from roost.ports.store import CHECK, EPOCH, SETTINGS, JoinToken, Key, Position, Report, Step, Writer
from roost.store import open_backups, open_store
from roost.store.backup import AHEAD
from roost.store.store import SqlStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@contextmanager
def opened(url: str) -> Iterator[SqlStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def filled(store: SqlStore) -> None:
    """Something of everything; revision 17."""
    world.found(store)
    world.add(store, "john", "jörg", "mary@example.org")
    world.add(store, "anne", home=MS2)
    with store.write("me") as tx:
        tx.put_alias(world.alias("sales", "john", "mary@example.org"), "alias added")
        tx.put_mailboxes([world.box(1, "john", MS2)], "mailbox changed")
        tx.remove_mailbox(world.address("anne"))
    store.put_key(Key("k1", "root", "a" * 64, NOW, None), "me")
    store.put_token(JoinToken("t1", MS1, "b" * 64, NOW + timedelta(hours=1), None), "me")
    store.put_positions([Position(MS1, "accounts", 5, NOW)])
    store.put_report(Report(MS1, "drift", NOW, "{}"))
    store.put_value(CHECK, "3")


def seen(store: SqlStore) -> dict[str, object]:
    with store.read() as view:
        return world.everything(view)


@pytest.mark.parametrize("other_kind", ["sqlite", "postgresql"])
def test_both_ways(store: SqlStore, new_url: Callable[[str], str], other_kind: str, tmp_path: Path) -> None:
    """What one store had, another has, whichever their databases; only the restore itself is new."""
    filled(store)
    before = seen(store)
    path = str(tmp_path / "backup.db")
    open_backups("", store).save(path)
    with opened(new_url(other_kind)) as other:
        world.found(other)
        world.add(other, "somebody-else")
        said = open_backups("", other, tmp_path).load(path, "admin")
        after = seen(other)
        with other.read() as view:
            assert view.revision() > AHEAD
            assert view.events(after=17)[0].verb == "controller restored"
        assert after.pop("events")[:-1] == before.pop("events")  # type: ignore[index]
        assert after == before
        assert list(other.verify_audit()) == []
        assert "3 mailboxes" in said[0]
        assert world.add(other, "new") > AHEAD
        assert list(other.verify_audit()) == []


def test_a_backup_is_a_store(store: SqlStore, tmp_path: Path) -> None:
    """One file, its owner's only, that can be opened as it is."""
    filled(store)
    path = tmp_path / "backup" / "backup.db"
    path.parent.mkdir()
    open_backups("", store).save(str(path))
    assert [found.name for found in path.parent.iterdir()] == ["backup.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with opened(f"sqlite:///{path}") as copy:
        assert seen(copy) == seen(store)
        assert list(copy.verify_audit()) == []
    with pytest.raises(AlreadyExists):
        open_backups("", store).save(str(path))
    with pytest.raises(Unavailable):
        open_backups("", store).save(str(tmp_path / "no" / "such" / "folder.db"))


def test_a_backup_while_others_write(store: SqlStore, tmp_path: Path) -> None:
    """It is one moment: nothing of it contradicts the rest, and the writers do not wait for it."""
    world.found(store)
    world.add(store, *(f"user{n}" for n in range(1000)))
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            n = len(written)
            with store.write("me") as tx:
                tx.put_mailboxes([world.box(n % 1000 + 1, f"user{n % 1000}", quota=n + 1)], "mailbox changed")
                tx.put_alias(world.alias(f"list{n}", f"user{n % 1000}"), "alias added")
            written.append(n)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(3):
            begun = len(written)
            open_backups("", store).save(str(tmp_path / f"{turn}.db"))
            assert len(written) > begun
    finally:
        stop.set()
        writer.join()
    for turn in range(3):
        with opened(f"sqlite:///{tmp_path}/{turn}.db") as copy, copy.read() as view:
            aliases = len(view.aliases(limit=100_000))
            assert view.revision() == 1007 + 2 * aliases
            assert len(Follower(world.Table.RECIPIENTS).catch_up(copy)) == 1000 + aliases
            assert list(copy.verify_audit()) == []


def test_nothing_is_given_twice(store: SqlStore, tmp_path: Path) -> None:
    """Neither revisions nor numbers nor checks of the time that is undone."""
    filled(store)
    backups = open_backups("", store, tmp_path)
    backups.save(str(tmp_path / "backup.db"))
    world.add(store, "late1", "late2")
    store.put_value(CHECK, "9")
    with store.read() as view:
        epoch, last = view.value(EPOCH), view.revision()
    backups.load(str(tmp_path / "backup.db"), "admin")
    with store.write("me") as tx:
        assert tx.value(EPOCH) != epoch
        assert int(tx.value(CHECK) or 0) > 9
        assert tx.revision() >= last + AHEAD
        assert tx.new_numbers(1)[0] > 6 + AHEAD - 1


def test_every_node_is_waited_for(store: SqlStore, tmp_path: Path) -> None:
    """The restore concerns every feed, and what nodes had said before is forgotten."""
    filled(store)
    backups = open_backups("", store, tmp_path)
    backups.save(str(tmp_path / "backup.db"))
    backups.load(str(tmp_path / "backup.db"), "admin")
    with store.read() as view:
        revision = view.revision()
        assert (view.positions(), view.reports("drift"), view.token("t1")) == ([], [], None)
        assert view.cluster().revision == revision
        concerned = {(concern.table, concern.scope) for concern in view.concerns(revision)}
        assert concerned == {*world.EVERYWHERE, (SETTINGS, "")}
        for table, scope in world.EVERYWHERE:
            assert view.head(table, scope) == revision
            page = view.page(table, scope, 17, 10)
            assert (list(page.rows), page.upto, page.more) == ([], revision, False)
    for table, scope in world.EVERYWHERE:
        follower = Follower(table, scope)
        rows = follower.catch_up(store, 1)
        assert follower.position == revision
        with store.read() as view:
            assert view.digests(table, scope) == world.digests(rows)


def test_keys_after_a_restore(store: SqlStore, tmp_path: Path) -> None:
    """Those of today stay, those of the backup come in, those removed in between do not come back."""
    filled(store)
    store.put_key(Key("k2", "removed later", "a" * 64, NOW, None), "me")
    backups = open_backups("", store, tmp_path)
    backups.save(str(tmp_path / "backup.db"))
    store.remove_key("k2", "me")
    store.put_key(Key("k3", "made later", "a" * 64, NOW, None), "me")
    backups.load(str(tmp_path / "backup.db"), "admin")
    with store.read() as view:
        kept = view.keys()
    assert [key.id for key in kept] == ["k1", "k3"]


def test_what_was_there_is_kept(store: SqlStore, tmp_path: Path) -> None:
    """In a file that is itself a backup, so that a restore can be taken back."""
    filled(store)
    aside = tmp_path / "aside"
    aside.mkdir()
    backups = open_backups("", store, aside)
    backups.save(str(tmp_path / "backup.db"))
    world.add(store, "late")
    with store.write("me") as tx:
        tx.put_node(Node.parse("ns2.example.net", ["dns"], ["192.0.2.77"]), "node added")
    before = seen(store)
    said = " ".join(backups.load(str(tmp_path / "backup.db"), "admin"))
    kept = next(aside.iterdir())
    assert str(kept) in said
    assert "ns2.example.net" in said
    with opened(f"sqlite:///{kept}") as copy:
        assert seen(copy) == before
    assert "came back: ns2.example.net" in " ".join(backups.load(str(kept), "admin"))
    after = seen(store)
    assert after["mailboxes"] == before["mailboxes"]
    assert after["rows"] == before["rows"]


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)


def other_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE something (a)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("harm", "kind_of_error"),
    [
        (lambda path: path.unlink(), NotFound),
        (lambda path: path.write_text("hello"), BadSetting),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), BadSetting),
        (damaged, BadSetting),
        (other_database, BadSetting),
    ],
    ids=["absent", "foreign", "cut", "damaged", "another database"],
)
def test_what_is_no_backup_changes_nothing(
    store: SqlStore, tmp_path: Path, harm: Callable[[Path], None], kind_of_error: type[RoostError]
) -> None:
    """Not even a file is left."""
    filled(store)
    before = seen(store)
    aside, path = tmp_path / "aside", tmp_path / "backup.db"
    aside.mkdir()
    backups = open_backups("", store, aside)
    backups.save(str(path))
    harm(path)
    with pytest.raises(kind_of_error):
        backups.load(str(path), "admin")
    assert seen(store) == before
    assert list(aside.iterdir()) == []


def test_a_failure_in_the_middle_changes_nothing(store: SqlStore, tmp_path: Path) -> None:
    """The backup itself is at fault here: a mailbox whose home is nowhere."""
    filled(store)
    before = seen(store)
    aside, path = tmp_path / "aside", tmp_path / "backup.db"
    aside.mkdir()
    backups = open_backups("", store, aside)
    backups.save(str(path))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE mailbox SET home = 'gone.example.net' WHERE number = 2")
    connection.commit()
    connection.close()
    with pytest.raises(NotFound):
        backups.load(str(path), "admin")
    assert seen(store) == before
    assert list(aside.iterdir()) == []


def test_a_forged_log_is_told(store: SqlStore, tmp_path: Path) -> None:
    """The backup is taken nevertheless: it may be the only one that there is."""
    filled(store)
    backups, path = open_backups("", store, tmp_path), tmp_path / "backup.db"
    backups.save(str(path))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE event SET actor = 'nobody' WHERE revision = 4")
    connection.commit()
    connection.close()
    assert "Event 4" in backups.load(str(path), "admin")[-1]


def test_where_mailboxes_are_does_not_go_back(store: SqlStore, tmp_path: Path) -> None:
    """Moves that were made since, and those under way, stay; so do the rows of both nodes."""
    world.found(store)
    world.add(store, "moved", "moving", "aborted", "still")
    with store.write("me") as tx:
        ids = tx.new_move_ids(4)
        boxes = [world.address(name) for name in ("moved", "moving", "aborted")]
        asked = [
            Move(identity, own, number, MS1, MS2, State.ASKED, NOW, NOW, "me", format="sdbox")
            for identity, number, own in zip(ids, (1, 2, 3), boxes, strict=False)
        ]
        tx.put_moves([Step(None, move, "move asked") for move in asked])
        step(tx, ids[2], State.PREPARING)
    path = str(tmp_path / "backup.db")
    open_backups("", store).save(path)
    with store.write("me") as tx:
        for state in (State.PREPARING, State.COPYING, State.SETTLING, State.DONE):
            step(tx, ids[0], state)
        step(tx, ids[1], State.PREPARING)
        step(tx, ids[2], State.UNDOING)
        step(tx, ids[2], State.UNDONE)
        tx.put_mailboxes([world.box(4, "still", quota=9)], "mailbox changed")
        before = tx.moves()
    rows = [Follower(table, node) for table in (Table.ACCOUNTS, Table.MOVES) for node in (MS1, MS2)]
    wanted = [dict(follower.catch_up(store)) for follower in rows]
    wanted[0][str(world.address("still"))]["quota"] = 0
    said = open_backups("", store, tmp_path).load(path, "admin")
    assert "3 mailboxes that were moved stay where they are today." in said
    with store.read() as view:
        assert view.moves() == before
        assert view.homes() == {MS1: 3, MS2: 1}
        found = view.mailbox(world.address("moved"))
        assert found
        assert (found.home, found.format) == (MS2, "sdbox")
        for follower, expected in zip(rows, wanted, strict=True):
            follower.resync(view)
            assert follower.rows == expected
    assert list(store.verify_audit()) == []


def step(tx: Writer, move: int, state: State) -> None:
    old = tx.move(move)
    assert old
    tx.put_moves([Step(old, replace(old, state=state), "move stepped")])
