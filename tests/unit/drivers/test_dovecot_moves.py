"""Dovecot's side of a move, as far as no Dovecot is needed: orders, holds, fences."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roost.domain.desired import Value
from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot import copying, fence
from roost.drivers.dovecot.accounts import Accounts
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.holds import Holds
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.lost import find_again
from roost.drivers.dovecot.moves import Moves
from roost.drivers.dovecot.sessions import Sessions
from roost.host.machine import Machine
from roost.ports.driver import Batch
from roost.ports.mailstore import Stand

ADDRESS = "john@example.test"
PORTS = {"imap": 1, "pop3": 2, "lmtp": 3, "sieve": 4}
ORDER: Value = {
    "part": "source",
    "address": ADDRESS,
    "number": 1,
    "hostname": "john.pop.example.test",
    "peer": "ms2.cluster.test",
    "wanted": "hand-over",
    "attempt": 1,
    "bandwidth": 0,
    "hold": 5,
    "deep": False,
    "kept": 0,
}
ACCOUNT: Value = {
    "number": 1,
    "hostname": "john.pop.example.test",
    "target": "john@john.pop.example.test",
    "password": "{PLAIN}x",
    "quota": 0,
    "login": True,
    "deliver": True,
    "format": "mdbox",
    "place": "home",
    "peer": "",
}


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)


class Source:
    """A storage node without Dovecot."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(
            accounts=str(folder / "db"),
            mail=str(folder / "mail"),
            run=str(folder / "run"),
            auth_group="root" if os.geteuid() == 0 else str(os.getgid()),
            uid=os.getuid(),
        )
        host = Machine()
        self.database = Database(self.layout, host)
        sessions = Sessions(self.database, self.layout, host, Clock())
        self.accounts = Accounts(self.database, sessions, Clock())
        self.moves = Moves(self.database)
        self.holds = Holds(self.database, self.layout, host)
        self.home = folder / "mail/example.test/john.1"
        self.apart = self.home.with_name("john.1.moving")
        self.order = Order.of_row("7", ORDER)

    def put(self, **changes: object) -> None:
        position = self.accounts.position()
        self.accounts.apply(Batch([(ADDRESS, {**ACCOUNT, **changes})], position + 1, position))  # type: ignore[dict-item]

    def order_is(self, value: Value | None) -> None:
        position = self.moves.position()
        self.moves.apply(Batch([("7", value)], position + 1, position))

    def stand(self) -> str:
        with self.database.read() as connection:
            return str(connection.execute("SELECT stand FROM door WHERE name = ?", (ADDRESS,)).fetchone()[0])


@pytest.fixture
def source(tmp_path: Path) -> Source:
    if os.geteuid() != 0:
        pytest.skip("files are given to other users")
    made = Source(tmp_path)
    (tmp_path / "db").mkdir()
    made.put()
    made.order_is(ORDER)
    made.home.mkdir(parents=True)
    (made.home / "mail").write_text("precious")
    return made


def test_a_hold_puts_the_fence_up_and_a_lift_takes_it_down(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    assert source.stand() == "held"
    assert fence.is_fence(source.home)
    assert (source.apart / "mail").read_text() == "precious"
    source.holds.hold(source.order, 10, PORTS)
    source.holds.lift(7)
    source.holds.lift(7)
    assert source.stand() == "home"
    assert (source.home / "mail").read_text() == "precious"


def test_at_neither_name_there_is_nothing_even_for_a_moment(source: Source) -> None:
    """A delivery that comes just then would make a new mailbox there, and its mail would be in neither afterwards."""
    fence.close(source.layout, "example.test/john.1")
    made: list[Path] = []
    done = threading.Event()

    def deliver() -> None:
        while not done.is_set():
            for path in (source.home, source.apart):
                with suppress(FileExistsError):
                    path.mkdir()
                    made.append(path)

    delivery = threading.Thread(target=deliver)
    delivery.start()
    try:
        for _ in range(1000):
            fence.open_again(source.layout, "example.test/john.1")
            fence.close(source.layout, "example.test/john.1")
    finally:
        done.set()
        delivery.join()
    assert not made
    assert (source.apart / "mail").read_text() == "precious"


def test_who_does_not_go_keeps_nobody_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hold is over, and something is kept open below the mail: it is served where it is."""
    source.holds.hold(source.order, 10, PORTS)

    def stays(*asked: object) -> None:
        raise DaemonFailed("Files are kept open.")

    with monkeypatch.context() as patch:
        patch.setattr("roost.drivers.dovecot.holds.empty", stays)
        with pytest.raises(DaemonFailed):
            source.holds.lift(7)
    assert source.stand() == "home"
    assert (source.apart / "mail").read_text() == "precious"
    source.holds.recover(all_=False)
    assert source.holds.standings() == []
    assert (source.home / "mail").read_text() == "precious"


def test_a_fence_that_somebody_removed_is_put_up_again(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    source.home.rmdir()
    source.holds.hold(source.order, 10, PORTS)
    assert fence.is_fence(source.home)
    source.holds.lift(7)
    assert (source.home / "mail").read_text() == "precious"


def test_given_away_is_for_good(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    assert source.holds.give_away(7, "proof")
    assert source.holds.give_away(7, "proof")
    source.holds.lift(7)
    source.holds.recover(all_=True)
    (standing,) = source.holds.standings()
    assert (standing.stand, standing.evidence, standing.left) == (Stand.MOVED, "proof", 0)
    assert source.stand() == "moved"
    with pytest.raises(DaemonFailed, match="given away already"):
        source.holds.hold(source.order, 10, PORTS)


def test_too_late_is_too_late(source: Source) -> None:
    source.holds.hold(source.order, 0.2, PORTS)
    with source.database.write() as connection:
        connection.execute("UPDATE standing SET until = until - 1")
    assert not source.holds.give_away(7, "proof")
    assert source.stand() == "home"
    source.holds.recover(all_=False)
    assert source.holds.standings() == []
    assert (source.home / "mail").read_text() == "precious"


def _killed_before_the_rename(source: Source) -> None:
    fence.open_again(source.layout, "example.test/john.1")


def _somebody_removed_the_fence(source: Source) -> None:
    source.home.rmdir()


def _killed_before_it_was_noted(source: Source) -> None:
    del source


@pytest.mark.parametrize(
    "cut",
    [_killed_before_the_rename, _somebody_removed_the_fence, _killed_before_it_was_noted],
    ids=lambda f: f.__name__,
)
def test_killed_in_a_hold_it_is_closed_until_somebody_looks(source: Source, cut: Callable[[Source], None]) -> None:
    source.holds.hold(source.order, 10, PORTS)
    with source.database.write() as connection:
        connection.execute("UPDATE standing SET fenced = 0, until = until - 60")
    cut(source)
    assert source.stand() == "between"
    source.holds.recover(all_=True)
    assert source.stand() == "home"
    assert (source.home / "mail").read_text() == "precious"


def test_what_was_given_away_stays_so_until_the_controller_knows(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    source.holds.give_away(7, "proof")
    source.accounts.clear()
    source.moves.clear()
    source.put()
    source.moves.complete()
    assert source.stand() == "moved", "the tables were loaded from a store that does not know yet"
    source.order_is(None)
    assert source.stand() == "moved"
    source.put(place="moved", peer="ms2.cluster.test", password="")
    source.order_is(ORDER)
    assert source.holds.standings() != []
    source.order_is(None)
    assert source.holds.standings() == []
    assert source.stand() == "moved"
    source.put(place="incoming", peer="ms2.cluster.test")
    assert source.stand() == "incoming"


def _lose(source: Source) -> None:
    """The accounts file is damaged; the feed brings all tables again."""
    source.database.rebuild()
    source.put()
    source.order_is(ORDER)


@pytest.mark.parametrize("cut", [_somebody_removed_the_fence, _killed_before_it_was_noted], ids=lambda f: f.__name__)
def test_a_hold_of_which_no_row_knows_is_lifted(source: Source, cut: Callable[[Source], None]) -> None:
    source.holds.hold(source.order, 10, PORTS)
    cut(source)
    _lose(source)
    find_again(source.database, source.layout, source.moves.orders())
    assert source.stand() == "home"
    assert (source.home / "mail").read_text() == "precious"
    assert source.holds.standings() == []


def test_a_mark_of_a_mailbox_that_stays_is_taken_back(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent dies between the mark and the commit that would have given the mailbox away."""
    source.holds.hold(source.order, 10, PORTS)
    monkeypatch.setattr("roost.drivers.dovecot.holds._GIVE", "SELECT nothing")
    with pytest.raises(DaemonFailed):
        source.holds.give_away(7, "proof")
    assert copying.mark_of(source.apart) == copying.Mark(7, "proof")
    source.holds.recover(all_=True)
    assert source.stand() == "home"
    assert copying.mark_of(source.home) is None
    assert (source.home / "mail").read_text() == "precious"


def test_too_late_leaves_no_mark(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    with source.database.write() as connection:
        connection.execute("UPDATE standing SET until = until - 60")
    assert not source.holds.give_away(7, "proof")
    assert copying.mark_of(source.apart) is None


def test_what_was_given_away_is_found_again(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    source.holds.give_away(7, "proof")
    _lose(source)
    assert source.stand() == "home", "so it would be open, but for the fence"
    for _ in range(2):
        find_again(source.database, source.layout, source.moves.orders())
        (standing,) = source.holds.standings()
        assert (standing.stand, standing.move, standing.evidence) == (Stand.MOVED, 7, "proof")
        assert standing.peer == "ms2.cluster.test"
    assert source.stand() == "moved"
    assert fence.is_fence(source.home)


def test_a_kept_copy_is_left_alone(source: Source) -> None:
    """The mailbox has moved, and the controller knows."""
    source.holds.hold(source.order, 10, PORTS)
    source.holds.give_away(7, "proof")
    _lose(source)
    source.put(place="moved", peer="ms2.cluster.test", password="")
    find_again(source.database, source.layout, source.moves.orders())
    assert source.holds.standings() == []
    assert source.stand() == "moved"
    assert fence.is_fence(source.home)


def test_what_comes_back_is_not_led_away_by_the_move_before(source: Source) -> None:
    source.holds.hold(source.order, 10, PORTS)
    source.holds.give_away(7, "proof")
    source.put(place="incoming", peer="ms2.cluster.test")
    assert source.holds.standings() == []
    source.put()
    assert source.stand() == "home"


def test_orders_that_are_none_are_found(source: Source) -> None:
    assert dict(source.moves.rows()) == {"7": ORDER}
    assert source.moves.orders() == [source.order]
    with pytest.raises(DaemonFailed, match="cannot be taken"):
        source.moves.apply(Batch([("8", {"part": "source"})], 1, None))
    with source.database.write() as connection:
        connection.execute("UPDATE orders SET value = '[]'")
    assert [key for key, _ in source.moves.rows()] == ["!order/7"]
    source.moves.apply(Batch([("!order/7", None)], 1, None))
    assert list(source.moves.rows()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "mbox"}, "format"),
        ({"place": "away"}, "place"),
        ({"place": "moved"}, "peer"),
        ({"peer": "x"}, "peer"),
    ],
)
def test_impossible_accounts(source: Source, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DaemonFailed, match=words):
        source.put(**changes)
