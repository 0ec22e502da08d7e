"""From growing files to rows: nothing is lost or doubled, whatever is cut, moved, compressed or said twice."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mail_log import MailLog

from roost.domain.errors import StillInUse, StoreBusy
from roost.domain.trace import Fate, Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector


class Cut(Exception):
    """The machine dies here."""


@pytest.fixture
def log(tmp_path: Path) -> MailLog:
    return MailLog(tmp_path / "logs")


@contextmanager
def collector(log: MailLog, into: str = "traces", **options: Any) -> Iterator[Collector]:
    """A collector of the log's files."""
    options.setdefault("clock", lambda: 1 << 60)
    with closing(Collector(log.folder, log.folder.parent / into, **options)) as found:
        yield found


def collect(log: MailLog, into: str = "traces", **options: Any) -> int:
    """Read what there is, and end."""
    with collector(log, into, **options) as found:
        return found.round()


def rows(log: MailLog, into: str = "traces") -> list[Any]:
    """Return every row of every day."""
    found = []
    for path in sorted((log.folder.parent / into).glob("2*.db")):
        with closing(sqlite3.connect(path)) as file:
            for table in ("passage", "word", "onward", "login"):
                found += [(path.name, table, *row) for row in file.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608
    return found


def expected(log: MailLog) -> list[Any]:
    """Return the rows when all was read at once."""
    collect(log, "at-once")
    return rows(log, "at-once")


def replay(log: MailLog, name: str) -> MailLog:
    """Return an empty log beside."""
    return MailLog(log.folder.parent / name / "logs")


def test_everything(log: MailLog) -> None:
    log.everything()
    collect(log)
    with closing(Answers(log.folder.parent / "traces")) as answers:
        found = answers.trace(Question()).passages
    assert [(p.node.partition(".")[0], p.recipient, p.fate, p.attempts, p.folder) for p in found] == [
        ("mx1", "john@example.test", Fate.DELIVERED, 1, "INBOX"),
        ("mx1", "nobody@example.test", Fate.REFUSED, 0, ""),
        ("mx2", "john@example.test", Fate.DELIVERED, 3, "Lists/Postfix"),
        ("mx1", "", Fate.ARRIVED, 0, ""),
    ]
    assert found[0].earlier[0].node == "mx-backup.cluster.test"


def test_a_second_reading_finds_nothing(log: MailLog) -> None:
    log.everything()
    assert collect(log) == len(log.lines)
    before = rows(log)
    assert collect(log) == 0
    assert rows(log) == before


def test_line_by_line_with_a_restart_after_each(log: MailLog) -> None:
    """What is under way survives: rows are the same as when all is read at once, also where a line came in halves."""
    log.everything()
    parts = replay(log, "parts")
    for node, line in log.lines:
        path = parts.folder / f"{node}.log"
        for half in (line[:40], line[40:]):
            with path.open("a") as file:
                file.write(half)
            collect(parts)
    assert rows(parts) == expected(log)


@pytest.mark.parametrize("order", [sorted, lambda names: sorted(names, reverse=True)])
def test_nodes_that_come_late(log: MailLog, order: Callable[[set[str]], list[str]]) -> None:
    """A node's lines may come long after those of others, in any order."""
    log.everything()
    late = replay(log, "late")
    for node in order({node for node, _ in log.lines}):
        (late.folder / f"{node}.log").write_text("".join(line for name, line in log.lines if name == node))
        collect(late)
    assert rows(late) == expected(log)


def test_cut_at_every_step(log: MailLog) -> None:
    """The machine may die before or after each writing: of the first day, of the second, of the state."""
    log.everything()
    half = len(log.lines) // 2
    steps: list[str] = []
    for cut in range(1, 20):
        again = replay(log, f"cut{cut}")
        done = [0]

        def halt(step: str, cut: int = cut, done: list[int] = done) -> None:
            steps.append(step)
            done[0] += 1
            if done[0] == cut:
                raise Cut

        died = False
        for lines in (log.lines[:half], log.lines[half:]):
            for node, line in lines:
                with (again.folder / f"{node}.log").open("a") as file:
                    file.write(line)
            try:
                collect(again, halt=halt)
            except Cut:
                died = True
                collect(again)
        assert rows(again) == expected(log), steps
        if not died:
            break
    else:
        raise AssertionError("there was always another step")
    assert len({step for step in steps if step.startswith("day")}) == 2


def test_a_file_that_was_renamed_or_compressed_is_the_same(log: MailLog) -> None:
    log.everything()
    collect(log)
    before = rows(log)
    path = log.folder / "mx1.cluster.test.log"
    path.rename(log.folder / "mx1.cluster.test.log.1")
    assert collect(log) == 0
    (log.folder / "old").mkdir()
    with gzip.open(log.folder / "old/mx1-2026-11-25.log.gz", "wb") as file:
        file.write((log.folder / "mx1.cluster.test.log.1").read_bytes())
    assert collect(log) == 0
    (log.folder / "mx1.cluster.test.log.1").unlink()
    assert collect(log) == 0
    assert rows(log) == before


def test_the_end_of_a_file_that_was_compressed_before_it_was_read(log: MailLog) -> None:
    log.everything()
    text = "".join(line for node, line in log.lines if node == "mx1.cluster.test").encode()
    path = log.folder / "mx1.cluster.test.log"
    path.write_bytes(text[: len(text) // 2])
    collect(log)
    path.unlink()
    with gzip.open(f"{path}.gz", "wb") as file:
        file.write(text)
    assert collect(log) > 0
    path.write_bytes(text)
    assert rows(log) == expected(log)


def test_a_file_that_was_emptied_begins_anew(log: MailLog) -> None:
    log.refused("mx1")
    collect(log)
    (log.folder / "mx1.cluster.test.log").write_bytes(b"")
    log.refused("mx1", "another")
    collect(log)
    assert len([row for row in rows(log) if row[1] == "passage"]) == 2


def test_the_same_lines_under_another_first_line_make_the_same_rows(log: MailLog) -> None:
    """Even a file that is not known again doubles nothing."""
    log.everything()
    collect(log)
    before = rows(log)
    for node in {node for node, _ in log.lines}:
        text = (log.folder / f"{node}.log").read_text()
        (log.folder / f"copy-{node}.log").write_text(f"2026-11-25T23:00:00.000000+00:00 {node} cron[1]: copy\n{text}")
    assert collect(log) > 0
    assert [row for row in rows(log) if row[1] != "passage"] == [row for row in before if row[1] != "passage"]
    assert len(rows(log)) == len(before)


def test_bytes_that_are_no_text_and_lines_without_end(log: MailLog) -> None:
    log.refused("mx1", "first")
    with (log.folder / "mx1.cluster.test.log").open("ab") as file:
        file.write(b"\xff\xfe\x00 \xe2\x80\xa8 x\n" + b"y" * 3_000_000 + b"\n")
    log.refused("mx1", "last")
    collect(log)
    assert len([row for row in rows(log) if row[1] == "passage"]) == 2


def test_one_writer_only(log: MailLog) -> None:
    with collector(log), pytest.raises(StillInUse):
        collect(log)


def test_old_days_are_deleted_and_stay_so(log: MailLog) -> None:
    log.everything()
    folder = log.folder.parent / "traces"
    collect(log)
    assert [path.name for path in sorted(folder.glob("2*.db"))] == ["2026-11-25.db", "2026-11-26.db"]
    with collector(log, keep_days=1) as kept:
        log.login()
        kept.round()
        # Of the first day, but told only now.
        log.say("ms1", "dovecot", "lmtp(john@example.test)<7><late>: msgid=<x>: saved mail to INBOX")
        kept.round()
    assert [path.name for path in sorted(folder.glob("2*.db*"))] == ["2026-11-26.db"]


def test_a_clock_that_is_wrong_deletes_nothing(log: MailLog) -> None:
    """A node may say any time."""
    log.everything()
    collect(log)
    with (log.folder / "wrong.log").open("w") as file:
        file.write("2999-01-01T00:00:00.000000+00:00 ms9.cluster.test cron[1]: x\n")
    with collector(log, keep_days=2, clock=lambda: int(log.now.timestamp() * 1e6)) as reading:
        reading.round()
    assert len(list((log.folder.parent / "traces").glob("2*.db"))) == 2


def test_a_file_that_cannot_be_read_is_passed_over(log: MailLog) -> None:
    log.everything()
    (log.folder / "broken.log.gz").write_bytes(b"no gzip")
    packed = gzip.compress(b"".join(b"2026-11-25T23:00:00.000000+00:00 ms9 cron[%d]: x\n" % n for n in range(99_999)))
    (log.folder / "cut.log.gz").write_bytes(packed[: len(packed) // 2])
    (log.folder / "empty.log").write_bytes(b"")
    with collector(log) as reading:
        reading.round()
        assert reading.round() == 0
    log.refused("mx1", "later")
    assert collect(log) == 1


def test_a_disk_that_is_full_loses_nothing(log: MailLog) -> None:
    """What was read and not written is written later, and nothing more is read before."""
    log.everything()
    full = [True]

    def halt(step: str) -> None:
        if full and step.startswith("day"):
            raise StoreBusy("The disk is full.")

    with collector(log, halt=halt) as reading:
        for _ in range(3):
            with pytest.raises(StoreBusy):
                reading.round()
        log.refused("mx1", "later")
        with pytest.raises(StoreBusy):
            reading.round()
        full.clear()
        assert reading.round() == 1
    assert rows(log) == expected(log)


def test_what_waits_for_its_other_half_is_given_up(log: MailLog) -> None:
    """A home that sends no log keeps nothing open."""
    log.taken("mx1", "A1111")
    log.say(
        "mx1",
        "postfix/lmtp",
        "A1111: to=<j@j.pop.example.test>, orig_to=<j@example.test>, relay=ms9.cluster.test[10.0.0.1]:24, delay=1, "
        "delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 <j@j.pop.example.test> no-such-session Saved)",
    )
    log.say("mx1", "postfix/qmgr", "A1111: removed")
    with collector(log) as reading:
        reading.round()
        book = reading._book
        assert book.awaited  # noqa: PGH005
        log.say("mx1", "postfix/smtpd", "connect from x", after=3600)
        log.refused("mx1")
        reading.round()
        assert not book.awaited
        assert not book.messages["mx1.cluster.test"]
