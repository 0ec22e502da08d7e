"""Lines of Dovecot's events to counts: both versions' forms, and what is no such line."""

from __future__ import annotations

import pytest

from roost.domain.usage import Counts
from roost.drivers.dovecot.usage import _TICK, Done

_HEAD_23 = b"Nov 26 23:16:33 stats: Info: "
_TIMES = b"start_time:1795734991.500000\tend_time:1795734993.500000"


def _line(*fields: bytes, head: bytes = b"", times: bytes = _TIMES) -> bytes:
    return b"\tfield:".join([head + times, *fields])


def _one(line: bytes) -> Counts:
    done = Done()
    done.take(line)
    (counts,) = done.short.values()
    assert list(done.short) == [b"john@example.test"]
    assert not done.refused
    return Counts._make(counts)


def test_a_session_of_24_has_its_bytes() -> None:
    line = _line(b"user=john@example.test", b"net_in_bytes=32", b"net_out_bytes=881", b"utime=2", b"stime=1")
    assert _one(line) == Counts(logins=1, bytes_in=32, bytes_out=881, connected=2.0, cpu=3 * _TICK)


def test_a_session_of_23_has_none() -> None:
    line = _line(b"user=john@example.test", b"session=Td5IIjZhu+B/6ZYC", b"duration=2115826", head=_HEAD_23)
    assert _one(line) == Counts(logins=1, connected=2.0)


def test_a_command_of_23_brings_them() -> None:
    line = _line(b"user=john@example.test", b"cmd_name=FETCH", b"bytes_in=14", b"bytes_out=10818", head=_HEAD_23)
    assert _one(line) == Counts(bytes_in=14, bytes_out=10818)


def test_a_delivery_counts_where_it_was_saved() -> None:
    saved = (b"rcpt_to=john@x", b"user=john@example.test", b"message_subject=x=y", b"message_size=5262")
    assert _one(_line(*saved)) == Counts(deliveries=1, bytes_in=5262)
    assert _one(_line(*saved, b"error=Quota exceeded")) == Counts()


def test_what_lmtp_did_for_a_recipient_is_no_login() -> None:
    line = _line(b"mail_from=a@b", b"rcpt_to=john@x", b"user=john@example.test", b"utime=1", b"net_in_bytes=5025")
    assert _one(line) == Counts(cpu=_TICK)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no event",
        b"Nov 26 23:16:33 stats: Info: Something else happened",
        _TIMES,
        _line(b"session=1"),
        _line(b"user=john@example.test", times=b"start_time:yesterday\tend_time:1795734993.5"),
        _line(b"user=john@example.test", times=b"start_time:1795734991.5"),
        _line(b"user=john@example.test", b"utime=many"),
    ],
)
def test_what_is_no_whole_event_is_counted_as_strange(line: bytes) -> None:
    done = Done()
    done.take(line)
    assert done.refused == {"strange": 1}
    assert not done.short
    assert not done.long


def test_a_session_of_days_and_what_cannot_be_stay_apart_from_the_sums() -> None:
    done = Done()
    done.take(_line(b"user=john@example.test", times=b"start_time:1795000000.0\tend_time:1795500000.0"))
    done.take(_line(b"user=john@example.test", times=b"start_time:1795500000.0\tend_time:1795400000.0"))
    done.take(_line(b"user=john@example.test", b"net_in_bytes=-5"))
    assert not done.short
    assert [seconds for _, seconds, _ in done.long] == [500_000.0, -100_000.0, 2.0]
