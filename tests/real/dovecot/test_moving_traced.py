"""What both homes of a mailbox that moved say of mail and logins by the old way, read as the log node does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from roost.domain.trace import Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector

from ..common.authority import TestCa
from ..common.collected import collected, put
from ..common.machines import ROOTS, name_of
from ..common.waiting import wait_until
from .moving import JOHN, Pair, pair

TARGET = "john@john.pop.example.test"
WAYS = [(source, target) for source in ROOTS for target in ROOTS]


@pytest.fixture(params=WAYS, ids=lambda way: f"{name_of(way[0])}-{name_of(way[1])}")
def both(request: pytest.FixtureRequest, ca: TestCa) -> Iterator[Pair]:
    """A mailbox that was just handed over, in every way between the machines."""
    with pair(*request.param, ca) as made:
        made.begin()
        made.copy()
        made.hold()
        made.hand_over()
        yield made


def test_the_new_home_is_told(both: Pair, tmp_path: Path) -> None:
    code, words = both.source.deliver(TARGET, b"Message-ID: <m@x.test>\r\nSubject: x\r\n\r\nx\r\n")
    assert code == 250
    both.source.login(JOHN).logout()
    wait_until(lambda: "Sent message to" in both.source.log(), "the old home has said that it passed it on")
    wait_until(lambda: "stored mail into mailbox" in both.target.log(), "the new home has said that it has it")
    for one in (both.source, both.target):
        put(tmp_path / "logs", one.node, collected(one.log(), one.node))
    mx = "2026-11-25T12:00:00.000001+00:00 mx1.cluster.test postfix/lmtp[1]: 4jZwb24JqszJghP: "
    mx += f"to=<{TARGET}>, orig_to=<{JOHN}>, relay={both.source.node}[127.0.0.1]:24, delay=1, delays=1/0/0/0, "
    put(tmp_path / "logs", "mx1.cluster.test", [f"{mx}dsn=2.0.0, status=sent ({code} {words})"])

    with closing(Collector(tmp_path / "logs", tmp_path / "traces")) as reader:
        reader.round()

    with closing(Answers(tmp_path / "traces")) as answers:
        (passage,) = answers.trace(Question(recipients=(JOHN,))).passages
        assert (passage.home, passage.action, passage.folder) == (both.target.node, "stored", "INBOX")
        logins = {one.node: one for one in answers.logins([JOHN], None, None, 10)}
        assert logins[both.source.node].ok
        assert logins[both.source.node].reason.startswith("led on to ")
        assert logins[both.target.node].ok
