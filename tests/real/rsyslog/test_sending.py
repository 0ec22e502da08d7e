"""Every line arrives, once, in the journal's order: whatever ends, and in whatever way."""

from __future__ import annotations

import itertools
import re

from roost.drivers.rsyslog.driver import COLLECTOR, JOURNALD, sender

from ..common.waiting import wait_until
from .conftest import AT, Pair
from .instance import LOG, LOG2, MX, Box, settings

_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 mx1\.cluster\.test postfix/smtpd\[42\]: connect from there$"
)
SENDER = sender(LOG)


def wait_all(pair: Pair, last: int) -> None:
    """Wait until the last numbered line is there, then demand all, once, in order."""
    wait_until(lambda: arrived(pair, last - 1), f"line {last} arrives", 60)
    assert pair.log.numbers(MX) == list(range(1, last + 1))


def arrived(pair: Pair, more_than: int) -> bool:
    """Say whether a later line than this has arrived; a sender that has ended is started as systemd does it."""
    pair.mx.services.as_systemd()
    return pair.log.numbers(MX)[-1:] > [more_than]


def test_a_line_has_the_form_that_readers_rely_on(pair: Pair) -> None:
    pair.mx.say(b"connect from there")
    assert _LINE.match(pair.log.wait_for(MX, "connect from there"))
    (file,) = pair.log.files(MX)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", file.parent.name)


def test_a_second_run_changes_nothing(pair: Pair) -> None:
    before = pair.mx.sent.pid, pair.log.collector.pid
    assert pair.mx.bring() == frozenset()
    assert pair.log.bring() == frozenset()
    assert (pair.mx.sent.pid, pair.log.collector.pid) == before


def test_the_log_node_keeps_its_own_log_too(pair: Pair) -> None:
    pair.log.say(b"of the log node itself")
    pair.log.wait_for(LOG, "of the log node itself")


def test_thousands_of_lines(pair: Pair) -> None:
    pair.mx.say_many(1, 10_000)
    wait_all(pair, 10_000)


def test_the_collector_is_away_for_a_while(pair: Pair) -> None:
    """Stopped as systemd stops it, under load."""
    pair.mx.say_many(1, 3_000)
    pair.log.services.disable(COLLECTOR)
    pair.mx.say_many(3_001, 6_000)
    pair.log.services.enable(COLLECTOR)
    pair.mx.say_many(6_001, 7_000)
    wait_all(pair, 7_000)


def test_the_collector_is_killed_under_load_again_and_again(pair: Pair) -> None:
    last = 0
    for _ in range(5):
        pair.mx.say_many(last + 1, last + 2_000)
        wait_until(lambda last=last: arrived(pair, last), "some of them arrive")  # type: ignore[misc]
        pair.log.services.kill(COLLECTOR)
        last += 2_000
        pair.mx.say_many(last + 1, last + 500)
        last += 500
        pair.log.services.enable(COLLECTOR)
    wait_all(pair, last)


def test_the_sender_is_restarted_while_the_collector_is_away(pair: Pair) -> None:
    pair.mx.say_many(1, 3_000)
    wait_until(lambda: arrived(pair, 100), "some of them arrive")
    pair.log.services.kill(COLLECTOR)
    pair.mx.say_many(3_001, 5_000)
    pair.mx.services.restart(SENDER)
    pair.mx.say_many(5_001, 6_000)
    pair.log.services.enable(COLLECTOR)
    wait_all(pair, 6_000)


def test_both_are_killed(pair: Pair) -> None:
    pair.mx.say_many(1, 3_000)
    wait_until(lambda: arrived(pair, 100), "some of them arrive")
    pair.log.services.kill(COLLECTOR)
    pair.mx.services.kill(SENDER)
    pair.mx.say_many(3_001, 5_000)
    pair.log.services.enable(COLLECTOR)
    pair.mx.services.enable(SENDER)
    wait_all(pair, 5_000)


def test_a_sender_that_cannot_start_does_not_go_back_further_and_further(pair: Pair) -> None:
    """Killed again and again without any way forward: no line is sent more often than doubles are remembered."""
    pair.mx.say_many(1, 5_000)
    wait_all(pair, 5_000)
    pair.log.services.kill(COLLECTOR)
    for _ in range(8):
        pair.mx.services.kill(SENDER)
        pair.mx.services.enable(SENDER)
    pair.log.services.enable(COLLECTOR)
    pair.mx.say_many(5_001, 5_500)
    wait_all(pair, 5_500)


def test_a_dead_log_node_holds_up_no_other(pair: Pair) -> None:
    pair.mx.bring(settings(MX, {**AT, LOG2: "127.0.0.42"}, (LOG, LOG2)))
    assert pair.mx.services.is_active(sender(LOG2)), "it tries"
    pair.mx.say_many(1, 1_000)
    wait_all(pair, 1_000)


def test_the_journal_turns_over(pair: Pair) -> None:
    """Journald begins a new file again and again while the lines are read."""
    for first in range(1, 5_001, 500):
        pair.mx.say_many(first, first + 499)
        pair.mx.host.run(["journalctl", "--rotate"], check=False)
    wait_all(pair, 5_000)


def test_journald_restarts(pair: Pair) -> None:
    pair.mx.say_many(1, 1_000)
    pair.mx.services.restart(JOURNALD)
    pair.mx.say_many(1_001, 2_000)
    wait_all(pair, 2_000)


def test_a_hanging_collector_is_waited_for(pair: Pair) -> None:
    pair.mx.say_many(1, 500)
    wait_all(pair, 500)
    pair.log.collector.freeze()
    pair.mx.say_many(501, 3_000)
    pair.log.collector.thaw()
    wait_all(pair, 3_000)


def test_what_was_cut_off_in_a_file_comes_whole(pair: Pair) -> None:
    """As after a loss of power: the file ends within a line; the sender has no acknowledgement for it."""
    pair.mx.say_many(1, 200)
    wait_all(pair, 200)
    pair.log.services.kill(COLLECTOR)
    pair.mx.services.kill(SENDER)
    (file,) = pair.log.files(MX)
    file.write_bytes(file.read_bytes()[:-10])
    pair.log.services.enable(COLLECTOR)
    pair.mx.services.enable(SENDER)
    pair.mx.say_many(201, 300)
    wait_all(pair, 300)


def test_the_journal_is_full(pair: Pair) -> None:
    """While the log node is away for too long the oldest lines go; nobody is held up, and the rest comes in order.

    A sender whose files of the journal are removed under it may crash (rsyslog 8.2302); systemd starts it again.
    """
    pair.mx.say_many(1, 300)
    wait_all(pair, 300)
    pair.log.services.kill(COLLECTOR)
    _shrink(pair.mx)
    pair.mx.say_many(301, 40_000)
    pair.log.services.enable(COLLECTOR)

    wait_until(lambda: arrived(pair, 39_999), "the last line arrives", 60)
    numbers = pair.log.numbers(MX)
    assert numbers == sorted(set(numbers))
    gaps = [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
    assert len(gaps) <= 1, "what is missing is one piece: the oldest that had not been sent"
    assert len(numbers) > 5_000


def _shrink(box: Box) -> None:
    """Give its journal very little room, as a test may and a policy may not."""
    (box.folder / "run/systemd/journald.conf.d/zz-test.conf").write_text(
        "[Journal]\nReadKMsg=no\nAudit=no\nSystemMaxUse=8M\nSystemMaxFileSize=1M\n"
    )
    box.services.restart(JOURNALD)
