"""``roost trace`` and ``roost user timeline``: what is asked, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fake_admin_api import NOON, FakeApi, passage

from conftest import Roost
from roost.cli import trace as cli_trace
from roost.cli.times import time_of
from roost.domain.errors import BadSetting
from roost.domain.trace import Fate, Halt
from roost.wire.trace_messages import TraceView


def test_one_line_for_each_message(roost: Roost, api: FakeApi) -> None:
    waiting = passage(fate=Fate.WAITING, attempts=3, reply="connect to ms1: Connection refused", action="", folder="")
    refused = passage(fate=Fate.REFUSED, sender="", reply="550 5.1.1 User unknown")
    api.on("GET", "/v1/traces", TraceView(passages=[passage(), waiting, refused], more=True))
    ran = roost("trace", "john@example.test")
    assert [line.split("  ")[-1] for line in ran.out.splitlines()[1:]] == [
        "ms1.cluster.test stored INBOX after 0.5 s",
        "on mx1.cluster.test, 3 attempts, last 2026-11-23 12:00:00: connect to ms1: Connection refused",
        "by mx1.cluster.test: 550 5.1.1 User unknown",
    ]
    assert "There are older ones" in ran.err


def test_what_is_asked(roost: Roost, api: FakeApi) -> None:
    words = [
        "--from",
        "a@b.test",
        "--message-id",
        "<x@y>",
        "--queue-id",
        "Q1",
        "--since",
        "2026-11-25",
        "--limit",
        "5",
    ]
    assert roost("trace", "John@Example.TEST", *words).status == 0
    assert api.asked[-1].query == {
        "recipient": "john@example.test",
        "sender": "a@b.test",
        "message_id": "x@y",
        "queue_id": "Q1",
        "since": "2026-11-25T00:00:00+00:00",
        "limit": "5",
    }


def test_everything_that_is_known(roost: Roost, api: FakeApi) -> None:
    found = passage(earlier=(Halt("mx-backup.cluster.test", "B1", NOON),), verdict="no action", score=-1.5)
    api.on("GET", "/v1/traces", TraceView(passages=[found], more=False))
    out = roost("trace", "--queue-id", "B1", "--full").out
    for words in (
        "4711@outside.test",
        "john@john.pop.example.test",
        "no action (-1.5)",
        "mx-backup.cluster.test as B1",
    ):
        assert words in out


def test_what_strangers_wrote_cannot_command_the_terminal(roost: Roost, api: FakeApi) -> None:
    evil = passage(message_id="\x1b]0;x\x07\n\u202e", sender="\x1b[2J@b.test", reply="\r\x9b", fate=Fate.WAITING)
    api.on("GET", "/v1/traces", TraceView(passages=[evil], more=False))
    for words in (["trace"], ["trace", "--full"], ["trace", "-o", "json"]):
        out = roost(*words).out
        assert not set("\x1b\x07\x9b\r\u202e") & set(out)


def test_nothing_was_found(roost: Roost, api: FakeApi) -> None:
    api.on("GET", "/v1/traces", TraceView(passages=[], more=False))
    ran = roost("trace", "nobody@example.test")
    assert (ran.status, ran.err) == (0, "Nothing is known of such mail.\n")


def test_following(roost: Roost, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new, and what has changed, until Ctrl-C."""
    first, waiting = passage(), passage(queue_id="Q2", fate=Fate.WAITING)
    answers = iter([[first], [first], [first, waiting], [first, passage(queue_id="Q2", folder="Lists")]])

    def answer(request: httpx2.Request) -> TraceView:
        del request
        try:
            return TraceView(passages=next(answers), more=False)
        except StopIteration:
            raise KeyboardInterrupt from None

    api.on("GET", "/v1/traces", answer)
    monkeypatch.setattr(cli_trace, "_POLL_SECONDS", 0.0)
    ran = roost("trace", "--follow")
    assert ran.status == 0
    states = [line.split("  ")[-2] for line in ran.out.splitlines()[2:]]
    assert states == ["waiting", "delivered"]
    assert ran.out.splitlines()[-1].endswith("Lists after 0.5 s")
    assert roost("trace", "--follow", "-o", "json").status == 2


def test_a_time_line(roost: Roost, api: FakeApi) -> None:
    ran = roost("user", "timeline", "john@example.test", "--since", "2d")
    assert ran.out.splitlines()[1:] == [
        "2026-11-23 12:00:00  login   IMAP from 192.0.2.77 at ms1.cluster.test.",
        "2026-11-23 12:00:01  stored  Mail from a@outside.test was delivered to ms1.cluster.test INBOX.",
    ]
    assert api.asked[-1].path == "/v1/mailboxes/john%40example.test/timeline"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T12:30", datetime(2026, 11, 25, 12, 30, tzinfo=UTC)),
        ("2026-11-25T12:30+01:00", datetime(2026, 11, 25, 11, 30, tzinfo=UTC)),
    ],
)
def test_times(text: str, at: datetime) -> None:
    assert time_of(text, field="since") == at


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("3 d", 259_200), ("1W", 604_800)]
)
def test_times_ago(text: str, ago: int) -> None:
    found = time_of(text, field="since")
    past = datetime.now(UTC) - found
    assert timedelta(seconds=ago) <= past < timedelta(seconds=ago + 5)


@pytest.mark.parametrize("text", ["", "yesterday", "2h30m", "999999w", "-1h", "2026-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadSetting):
        time_of(text, field="since")
