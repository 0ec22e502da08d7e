"""Traces over the API: the real client, application and store; the log node's answers are laid out by the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_moves_api import ANNA, Api, one

from roost.control.traces import OfLogNode
from roost.domain.cluster import Node
from roost.domain.errors import BadAddress, BadSetting, Unavailable
from roost.domain.trace import Fate, Found, Login, Passage, Question
from roost.store.store import SqlStore
from roost.wire.resources import MailboxChange

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
PASSAGE = Passage(AT, "mx1.cluster.test", "Q1", Fate.DELIVERED, recipient=ANNA, home="ms1.cluster.test", ended=AT)


@dataclass
class Answering:
    """A log node that knows one message and one login."""

    asked: list[Question] = field(default_factory=list)

    def trace(self, question: Question) -> Found:
        self.asked.append(question)
        return Found((PASSAGE,), more=True)

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        del since, until, limit
        return [
            Login(AT + timedelta(hours=1), "ms1.cluster.test", "imap", users[0], "192.0.2.7", ok=False, reason="no")
        ]


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


@pytest.fixture
def log(api: Api) -> Answering:
    """The same API with a log node."""
    answering = Answering()
    state = api.http.app.state  # type: ignore[attr-defined]
    state.parts = replace(state.parts, traces=answering)
    return answering


def test_a_mailbox_stands_for_its_personal_address(api: Api, log: Answering) -> None:
    found = api.admin.trace(Question(recipients=(ANNA,), since=AT, limit=7))
    assert (found.passages, found.more) == ([PASSAGE], True)
    assert log.asked == [Question(recipients=(ANNA, "anna@anna.pop.example.com"), since=AT, limit=7)]


def test_other_addresses_stand_for_themselves(api: Api, log: Answering) -> None:
    api.admin.trace(Question(recipients=("somebody@elsewhere.test",), sender="x", message_id="y", queue_id="z"))
    assert log.asked[0].recipients == ("somebody@elsewhere.test",)
    assert (log.asked[0].sender, log.asked[0].message_id, log.asked[0].queue_id) == ("x", "y", "z")
    with pytest.raises(BadAddress):
        api.admin.trace(Question(recipients=("no address",)))


def test_a_time_without_an_offset_is_refused(api: Api, log: Answering) -> None:
    with pytest.raises(BadSetting, match="offset"):
        api.admin.trace(Question(since=datetime(2026, 11, 25)))  # noqa: DTZ001


def test_a_time_line(api: Api, log: Answering) -> None:
    """Mail, logins, moves and changes of the account together."""
    [move] = api.admin.ask_moves(one()).ids
    found = api.admin.timeline(ANNA).moments
    assert sorted(moment.kind for moment in found) == ["delivered", "login refused", "mailbox added", "move asked"]
    assert found == sorted(found, key=lambda moment: moment.at)
    assert f"(move {move})" in next(moment.text for moment in found if moment.kind == "move asked")


def test_who_changed_what_of_an_account(api: Api, log: Answering) -> None:
    """Also after it is gone; a password only that it was changed, never what it was or is."""
    api.admin.change_mailbox(ANNA, MailboxChange(quota=5_000_000, password="a new secret"))
    api.admin.change_mailbox(ANNA, MailboxChange(suspended=True))
    api.admin.remove_mailbox(ANNA)
    changes = {moment.text for moment in api.admin.timeline(ANNA).moments if moment.kind.startswith("mailbox ")}
    actor = api.admin.events(limit=1000)[-1].actor
    assert {
        f"By {actor}: password changed; quota 0 -> 5000000.",
        f"By {actor}: suspended no -> yes.",
        f"By {actor}: home ms1.example.net.",
    } <= changes
    assert "secret" not in repr(changes)
    assert "ARGON" not in repr(changes)
    before = api.admin.timeline(ANNA, until=AT - timedelta(days=4000)).moments
    assert not [moment for moment in before if moment.kind.startswith("mailbox ")]


def test_without_a_log_node(api: Api) -> None:
    with pytest.raises(Unavailable, match="No node collects the logs"):
        api.admin.trace(Question())
    with pytest.raises(Unavailable, match="No node collects the logs"):
        api.admin.timeline(ANNA)


def test_the_log_node_may_change(store: SqlStore, api: Api) -> None:
    """Asked is the node that has the role now."""
    reached: list[str] = []

    def reach(node: Node) -> Answering:
        reached.append(node.name)
        return Answering()

    traces = OfLogNode(store, reach)
    with pytest.raises(Unavailable, match="No node collects the logs"):
        traces.trace(Question())
    for name in ("log1.example.net", "log2.example.net"):
        with store.write("test") as tx:
            tx.put_node(Node.parse(name, ["log"], ["192.0.2.41"]), "node added")
        for _ in range(2):
            assert traces.trace(Question()).passages == (PASSAGE,)
        with store.write("test") as tx:
            tx.remove_node(name)
    assert reached == ["log1.example.net", "log2.example.net"]
