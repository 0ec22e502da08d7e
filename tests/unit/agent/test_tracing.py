"""The log node's agent and the controller, over TLS: who asks is proved, and who may not is told so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from node_papers import papers_for

from roost.agent.tracing import LogNode, Teller
from roost.control.authority import Authority
from roost.domain.errors import NodeAway, StoreBusy
from roost.domain.trace import Fate, Found, Login, Passage, Question
from roost.wire import peer
from roost.wire.traces import RemoteTraces

LOG, CONTROL, HOME = "log.cluster.test", "control.cluster.test", "ms1.cluster.test"
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
PASSAGE = Passage(AT, "mx1.cluster.test", "Q1", Fate.REFUSED, score=1.5, reply='550 \u202e "no"')
LOGIN = Login(AT, HOME, "imap", "john@example.test", "192.0.2.7", ok=False, reason="no")


class Known:
    """Answers that are laid out."""

    def trace(self, question: Question) -> Found:
        if question.queue_id == "fault":
            raise StoreBusy("The disk is full.")
        return Found((PASSAGE,), more=True)

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        assert (users, since, until, limit) == (("john@example.test",), AT, None, 7)
        return [LOGIN]


class Net:
    """A running log node, and nodes that ask it."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(*Authority.create("cluster.test", datetime.now(UTC)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.papers = {
            name: papers_for(folder / name, authority, name, "127.0.0.1", port) for name in (LOG, CONTROL, HOME)
        }
        self.stopped = threading.Event()

        def read(stop: threading.Event) -> None:
            stop.wait()
            self.stopped.set()

        self.node = LogNode(read, Teller(Known(), lambda name: name == CONTROL), self.papers[LOG])
        self.node.start()

    def asks(self, who: str, name: str = LOG) -> RemoteTraces:
        papers = self.papers[who]
        return RemoteTraces(
            lambda: peer.connect(
                "127.0.0.1",
                name,
                authority=papers.authority,
                certificate=papers.identity,
                key=papers.identity_key,
                port=papers.port,
            )
        )


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    yield made
    made.node.stop()


def test_the_controller_is_answered(net: Net) -> None:
    with closing(net.asks(CONTROL)) as answers:
        assert answers.trace(Question(queue_id="Q1")) == Found((PASSAGE,), more=True)
        assert answers.logins(["john@example.test"], AT, None, 7) == [LOGIN]
        with pytest.raises(StoreBusy, match="disk is full"):
            answers.trace(Question(queue_id="fault"))
        assert answers.trace(Question()).passages == (PASSAGE,)


def test_nobody_else_is(net: Net) -> None:
    with closing(net.asks(HOME)) as answers, pytest.raises(StoreBusy, match="may not ask"):
        answers.trace(Question())


def test_another_machine_is_not_taken_for_the_log_node(net: Net) -> None:
    with closing(net.asks(CONTROL, name=HOME)) as answers, pytest.raises(NodeAway):
        answers.trace(Question())


def test_it_stops_while_somebody_is_connected(net: Net) -> None:
    with closing(net.asks(CONTROL)) as answers:
        answers.trace(Question())
        net.node.stop()
        assert net.stopped.is_set()
        with pytest.raises(NodeAway):
            answers.trace(Question())
