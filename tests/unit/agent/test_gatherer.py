"""The book of mailboxes' use, and what the controller is told of it: once, little, and again after a fault."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roost.agent.figures.sources import of_usage
from roost.agent.usage.book import Book
from roost.agent.usage.gatherer import Gatherer
from roost.domain import usage
from roost.domain.errors import ControllerAway
from roost.domain.node_load import Counters, Look, Strength
from roost.domain.usage import HOUR, WEEK, Counts, Deed, Load, Size
from roost.ports.usage import Reading
from roost.wire.usage_messages import (
    PATTERNS,
    ROWS,
    UsageReply,
    UsageReport,
    load_of,
    loads_in,
    reply_of,
    row_of,
)

_NOW = 1_800_000_000.0
_LOGIN = Counts(logins=1, connected=1.0, cpu=0.002)
_COUNTERS = Counters(100.0, 1.0, 10, 10, 1000, 1000, {"io": 5.0})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent" / "usage.db"


@pytest.fixture
def book(path: Path) -> Iterator[Book]:
    found = Book(path)
    yield found
    found.close()


def _rates(load: Load, at: float = _NOW) -> tuple[Counts, Counts]:
    return load.rates(HOUR, at), load.rates(WEEK, at)


def test_what_was_done_is_told_once_and_again_when_it_has_changed_noticeably(book: Book) -> None:
    book.take([Deed(7, 60, _LOGIN), Deed(7, 60, _LOGIN), Deed(8, 60, _LOGIN)], 100, _NOW)
    loads = book.loads(_NOW, 10, 10)
    assert {load.number for load in loads} == {7, 8}
    book.told(loads, _NOW)
    assert book.loads(_NOW + 1000, 10, 10) == []
    for turn in range(10):
        book.take([Deed(8, 60, _LOGIN)], 100, _NOW + 60 * turn)
    assert book.loads(_NOW + 600, 10, 10) == [], "nobody more often than every half hour"
    (load,) = book.loads(_NOW + 2000, 10, 10)
    assert load.number == 8
    assert load.pattern == "", "a pattern goes once a day"


def test_who_goes_on_as_before_is_told_rarely(book: Book) -> None:
    at, told = _NOW, 0
    for turn in range(12 * 24):
        at = _NOW + 300 * turn
        book.take([Deed(7, 60, _LOGIN)], turn, at)
        loads = book.loads(at, 10, 10)
        book.told(loads, at)
        told += len(loads)
    assert told < 24 * 4


def test_what_was_not_told_is_told_later_whoever_was_told_of_longest_ago_first(book: Book) -> None:
    book.take([Deed(number, 60, _LOGIN) for number in range(1, 6)], 1, _NOW)
    for turn in range(5):
        loads = book.loads(_NOW, 1, 1)
        assert [load.number for load in loads] == [turn + 1]
        book.told(loads, _NOW + 60 * turn)
    later = _NOW + 3600
    book.take([Deed(4, 60, _LOGIN), Deed(2, 60, _LOGIN)], 2, later)
    book.told(book.loads(later, 1, 1), later)
    assert [load.number for load in book.loads(later, 1, 1)] == [4]


def test_the_book_survives_and_goes_on_from_its_place(path: Path, book: Book) -> None:
    book.take([Deed(7, 60, _LOGIN)], 4321, _NOW)
    again = Book(path)
    assert again.place == 4321
    (load,) = again.loads(_NOW, 10, 10)
    assert load.number == 7
    again.close()


def test_a_damaged_book_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and has never been one " * 100)
    found = Book(path)
    assert found.place == 0
    assert path.with_suffix(".damaged").exists()
    found.close()


def test_a_mailbox_that_moved_here_goes_on_from_what_the_cluster_knew(book: Book) -> None:
    before = usage.History(_NOW - 3 * WEEK, _NOW - 3 * WEEK)
    before = usage.added(before, 3 * WEEK, Counts(logins=3 * WEEK / 30), _NOW)
    prior = usage.load_of(7, before, _NOW)
    book.take([Deed(7, 60, _LOGIN)], 1, _NOW + 60)
    book.begin_anew([prior, prior._replace(number=99)])
    (load,) = book.loads(_NOW + 60, 10, 10)
    assert load.since == prior.since
    assert load.rates(WEEK, _NOW).logins == pytest.approx(1 / 30, rel=0.1)
    book.begin_anew([prior])
    assert book.loads(_NOW + 60, 10, 10) == [load], "what was known counts once"


def test_sizes_are_looked_at_only_where_something_was_done(book: Book) -> None:
    book.take([Deed(7, 60, _LOGIN), Deed(8, 60, _LOGIN)], 1, _NOW)
    assert book.to_look_at(10, _NOW) == [7, 8]
    book.looked({7: Size(10_000_000, 12), 8: None}, _NOW)
    assert book.to_look_at(10, _NOW + 1e6) == []
    book.take([Deed(7, 60, _LOGIN)], 1, _NOW + 60)
    assert book.to_look_at(10, _NOW - 3600) == []
    assert book.to_look_at(10, _NOW + 60) == [7]
    assert {load.number: load.size for load in book.loads(_NOW, 10, 10)} == {7: Size(10_000_000, 12), 8: None}


def test_the_cost_of_a_turn_does_not_grow_with_the_mailboxes_that_do_nothing(book: Book) -> None:
    book.take([Deed(number, 60, _LOGIN) for number in range(1, 5001)], 1, _NOW)
    while loads := book.loads(_NOW, ROWS, PATTERNS):
        book.told(loads, _NOW)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    book._file.set_progress_handler(count, 100)
    book.take([Deed(7, 60, _LOGIN)], 2, _NOW + 60)
    book.loads(_NOW + 60, ROWS, PATTERNS)
    book.to_look_at(20, _NOW - 3600)
    assert steps < 20, "hundreds of SQLite's steps, not thousands"


def _report(loads: list[Load], at: float) -> UsageReport:
    return UsageReport(
        at=int(at // 60),
        loads=[row_of(load) for load in loads],
        patterns={load.number: load.pattern for load in loads if load.pattern},
    )


def test_the_largest_report_is_below_a_megabyte() -> None:
    load = Load(9_999_999_999, 33_000_000, 33_000_000, (999,) * 6, (999,) * 6, Size(10**15, 10**8), "9" * 24)
    loads = [load._replace(number=load.number - n, pattern="9" * 24 if n < PATTERNS else "") for n in range(ROWS)]
    assert len(_report(loads, _NOW).model_dump_json()) < 1_000_000


def test_a_hundred_thousand_mailboxes_take_less_than_a_megabyte_a_minute_and_get_there() -> None:
    """Polls from every half minute to once a day, over an hour in which everybody keeps his habits."""
    chance = random.Random(5)
    every = [30 * (2880 ** (chance.random() ** 2)) for _ in range(500)]
    book = Book(Path("/dev/shm") / f"roost-usage-{chance.getrandbits(64)}.db")
    try:
        sizes = []
        at = _NOW - 6 * HOUR
        while at < _NOW:
            at += 300
            deeds = [
                Deed(n, 60, Counts(logins=polls, connected=polls, cpu=0.002 * polls))
                for n, seconds in enumerate(every, 1)
                if (
                    polls := sum(chance.random() < 300 / seconds for _ in range(1))
                    if seconds > 300
                    else 300 // seconds
                )
            ]
            book.take(deeds, 1, at)
            loads = book.loads(at, ROWS, PATTERNS)
            book.told(loads, at)
            sizes.append(len(_report(loads, at).model_dump_json()))
    finally:
        book.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{book._path}{suffix}").unlink(missing_ok=True)
    steady = sizes[len(sizes) // 2 :]
    a_minute = sum(steady) / len(steady) / 5 * (100_000 / len(every))
    assert a_minute < 1_000_000
    assert a_minute < ROWS * 70, "so all of it gets there"


def test_a_load_travels_as_it_is() -> None:
    load = Load(
        7, 29_000_000, 30_000_000, (1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12), Size(2048, 3), "0123456789" * 2 + "0123"
    )
    assert load_of(row_of(load), load.at, load.pattern) == load
    assert list(loads_in(_report([load, load._replace(number=8, size=None, pattern="")], load.at * 60))) == [
        load,
        load._replace(number=8, size=None, pattern=""),
    ]


# The gatherer


class _Teller:
    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.asked: list[int] = []
        self.sized: list[int] = []
        self.forgot: list[int] = []
        self.wipes = False

    def read(self, place: int) -> Reading:
        self.asked.append(place)
        return self.readings.pop(0) if self.readings else Reading(place, [], {}, more=False)

    def forget(self, place: int) -> int:
        self.forgot.append(place)
        return 0 if self.wipes else place

    def size(self, number: int) -> Size | None:
        self.sized.append(number)
        return Size(1000 * number, number)


class _Controller:
    def __init__(self) -> None:
        self.away = False
        self.reports: list[UsageReport] = []
        self.reply = UsageReply()

    def usage(self, report: UsageReport) -> UsageReply:
        if self.away:
            raise ControllerAway("It does not answer.")
        self.reports.append(report)
        return self.reply

    def close(self) -> None:
        pass


class _Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.teller, self.controller = _Teller(), _Controller()
        self.clock, self.passed, self.measured = _NOW, 1000.0, 0
        self.cpu = 100.0
        self.gatherer = self.made()

    def made(self) -> Gatherer:
        return Gatherer(
            lambda: self.teller,
            lambda: Book(self.path),
            lambda: self.controller,
            look=self._look,
            measure=self._measure,
            now=lambda: datetime.fromtimestamp(self.clock, UTC),
            passed=lambda: self.passed,
        )

    def _look(self) -> Look:
        return Look(replace(_COUNTERS, cpu=self.cpu), 3, 1000, 500, 2000, 1000, 0.01)

    def _measure(self) -> Strength:
        self.measured += 1
        return Strength(2.0, 100.0, 1e9, 1e12)

    def turn(self, *deeds: Deed, seconds: float = 60.0) -> None:
        self.clock += seconds
        self.passed += seconds
        self.cpu += seconds / 2
        if deeds:
            self.teller.readings.append(Reading(len(self.teller.asked) + 1, list(deeds), {}, more=False))
        self.gatherer.turn()


@pytest.fixture
def bench(path: Path) -> _Bench:
    return _Bench(path)


def test_a_turn_tells_what_was_done_and_how_busy_the_machine_was(bench: _Bench) -> None:
    bench.turn()
    bench.turn(Deed(7, 60, _LOGIN), Deed(8, 60, _LOGIN))
    first, second = bench.controller.reports
    assert first.node is None
    assert first.strength == Strength(2.0, 100.0, 1e9, 1e12)
    assert second.node is not None
    assert second.node.cpu == pytest.approx(0.5)
    assert second.node.logins == pytest.approx(2 / 60)
    assert second.node.disk_free == 1000
    assert {row[0] for row in second.loads} == {7, 8}
    assert bench.measured == 1
    bench.turn()
    assert bench.controller.reports[2].loads != second.loads
    assert {row[0]: row[-2:] for row in bench.controller.reports[2].loads} == {}, "sizes were looked at in the turn"
    assert bench.teller.sized == [7, 8]


def test_while_the_controller_is_away_nothing_is_lost(bench: _Bench) -> None:
    bench.controller.away = True
    bench.turn(Deed(7, 60, _LOGIN))
    bench.turn(Deed(8, 60, _LOGIN))
    bench.controller.away = False
    bench.turn()
    assert {row[0] for row in bench.controller.reports[0].loads} == {7, 8}


def test_an_agent_that_was_killed_goes_on_from_its_place(bench: _Bench) -> None:
    bench.turn(Deed(7, 60, _LOGIN))
    place = bench.teller.readings, bench.teller.asked[-1]
    bench.gatherer = bench.made()
    bench.turn()
    assert bench.teller.asked[-1] == 1, place
    assert bench.measured == 1, "how strong the machine is was kept"


def test_what_is_kept_is_wiped_out_where_it_was_told(bench: _Bench) -> None:
    bench.teller.wipes = True
    bench.turn(Deed(7, 60, _LOGIN))
    assert bench.teller.forgot[-1] > 0
    bench.turn()
    assert bench.teller.asked[-1] == 0


def test_rubbish_is_counted_and_the_machine_s_restart_is_no_minute(bench: _Bench) -> None:
    bench.turn()
    bench.teller.readings.append(Reading(5, [], {"negative": 2, "absurd": 1}, more=False))
    bench.turn()
    gatherer = bench.gatherer
    figures = {(one.name, one.labels): one.value for one in of_usage(gatherer.last, gatherer.refused)}
    assert figures["roost_usage_refused_total", ("negative",)] == 2
    assert figures["roost_usage_processor_ratio", ()] == 0
    bench.cpu = 0.0
    bench.turn()
    assert bench.controller.reports[-1].node is None


def test_a_clock_that_jumps_moves_no_rate(bench: _Bench) -> None:
    for _ in range(30):
        bench.turn(Deed(7, 60, _LOGIN))
    bench.clock += 1e7
    bench.turn(Deed(7, 60, _LOGIN))
    bench.clock -= 1e7
    bench.turn(Deed(7, 60, _LOGIN))
    loads = {load.number: load for report in bench.controller.reports for load in loads_in(report)}
    assert loads[7].rates(WEEK, loads[7].at * 60.0).logins > 0
    assert bench.gatherer.refused["clock"] == 1
    assert max(report.at for report in bench.controller.reports) < (_NOW + 3600) / 60


def test_what_is_foreign_is_forgotten_and_a_prior_is_gone_on_from(bench: _Bench) -> None:
    prior = Load(7, 29_900_000, int(_NOW // 60), (100,) * 6, (100,) * 6)
    bench.controller.reply = reply_of([8], [prior], 0)
    bench.turn(Deed(7, 60, _LOGIN), Deed(8, 60, _LOGIN))
    bench.controller.reply = UsageReply(measure=5)
    bench.turn()
    bench.turn()
    rows = [row for report in bench.controller.reports[1:] for row in report.loads]
    assert [(row[0], row[1]) for row in rows] == [(7, 29_900_000)]
    assert bench.controller.reports[-1].measured == 5
    assert bench.measured == 2
