"""Every question finds what it should and nothing else, also while the collector writes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mail_log import START, MailLog

from roost.agent.tracing import Teller
from roost.domain.errors import NodeAway, StoreBusy
from roost.domain.trace import Fate, Moment, Passage, Question, Watch, timeline
from roost.logs import answers as answers_module
from roost.logs import collector as collector_module
from roost.logs.answers import Answers
from roost.logs.collector import Collector
from roost.ports.traces import Traces
from roost.wire.peer import Line
from roost.wire.traces import RemoteTraces


class World:
    """A log, its collector, and who answers."""

    def __init__(self, log: MailLog) -> None:
        self.log = log
        self.collector = Collector(log.folder, log.folder.parent / "traces")
        self.local = Answers(log.folder.parent / "traces")
        self.answers: Traces = self.local
        self.threads: list[threading.Thread] = []

    def ask(self, **question: Any) -> list[str]:
        """Return the queue ids of what is found."""
        self.collector.round()
        return [passage.queue_id for passage in self.answers.trace(Question(**question)).passages]

    def one(self, **question: Any) -> Passage:
        """Return the one passage that is found."""
        self.collector.round()
        (passage,) = self.answers.trace(Question(**question)).passages
        return passage

    def close(self) -> None:
        for thread in self.threads:
            thread.join(10)
        self.collector.close()
        self.local.close()

    def far(self) -> RemoteTraces:
        """Return the same answers, asked over a line to the log node."""

        def connect() -> Line:
            return self.line("control.cluster.test")

        return RemoteTraces(connect)

    def line(self, who: str) -> Line:
        """Return a node's line to the log node, which answers on it until it ends."""
        mine, its = socket.socketpair()
        line = Line(its)  # type: ignore[arg-type]

        def serve() -> None:
            with closing(line), suppress(NodeAway):
                Teller(self.local, lambda name: name == "control.cluster.test").serve(line, who)

        self.threads.append(threading.Thread(target=serve))
        self.threads[-1].start()
        return Line(mine)  # type: ignore[arg-type]


@pytest.fixture(params=["near", "far"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """On the log node itself, and from the controller."""
    with closing(World(MailLog(tmp_path / "logs"))) as made:
        if request.param == "near":
            yield made
            return
        with closing(made.far()) as answers:
            made.answers = answers
            yield made


@pytest.fixture
def two(world: World) -> World:
    """One mail to john of yesterday, one to mary of today."""
    world.log.taken("mx1", "J1111")
    world.log.delivered("mx1", "J1111")
    world.log.now = START + timedelta(hours=1)
    world.log.taken("mx1", "M1111", sender="B@Outside.test")
    world.log.delivered("mx1", "M1111", to="mary")
    return world


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({}, ["J1111", "M1111"]),
        ({"recipients": ("john@example.test",)}, ["J1111"]),
        ({"recipients": ("JOHN@example.TEST",)}, ["J1111"]),
        ({"recipients": ("john@john.pop.example.test",)}, ["J1111"]),
        ({"recipients": ("john@example.test", "mary@mary.pop.example.test")}, ["J1111", "M1111"]),
        ({"recipients": ("john@example.test", "john@john.pop.example.test")}, ["J1111"]),
        ({"recipients": ("jane@example.test",)}, []),
        ({"sender": "b@outside.test"}, ["M1111"]),
        ({"sender": "b@outside.test", "recipients": ("john@example.test",)}, []),
        ({"message_id": "J1111@outside.test"}, ["J1111"]),
        ({"message_id": "j1111@outside.test"}, []),
        ({"queue_id": "M1111"}, ["M1111"]),
        ({"since": START + timedelta(minutes=30)}, ["M1111"]),
        ({"until": START + timedelta(minutes=30)}, ["J1111"]),
        ({"since": START + timedelta(seconds=1), "until": START + timedelta(seconds=1)}, ["J1111"]),
        ({"since": START + timedelta(seconds=2), "until": START + timedelta(seconds=3)}, []),
        ({"limit": 1}, ["M1111"]),
    ],
)
def test_questions(two: World, question: dict[str, Any], found: list[str]) -> None:
    assert two.ask(**question) == found


def test_it_says_whether_there_are_more(two: World) -> None:
    two.collector.round()
    assert two.answers.trace(Question(limit=1)).more
    assert not two.answers.trace(Question(limit=2)).more


def test_a_subaddress(world: World) -> None:
    world.log.refused("mx1", "john+news")
    assert world.one(recipients=("john@example.test",)).recipient == "john+news@example.test"
    assert world.one(recipients=("john+news@example.test",))
    assert world.ask(recipients=("john+other@example.test",)) == []


def test_texts_with_the_same_hash_are_told_apart(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    two.log.refused("mx1")
    monkeypatch.setattr(answers_module, "word", lambda _: 7)
    monkeypatch.setattr(collector_module, "word", lambda _: 7)
    assert two.ask(recipients=("john@example.test",)) == ["J1111"]
    assert two.ask(recipients=("jane@example.test",)) == []


class TestHandedOn:
    """What came by a backup MX is one passage, by whatever it is asked for."""

    @pytest.fixture
    def handed(self, world: World) -> World:
        world.log.taken("mx-backup", "B1111", client="far.test[192.0.2.200]")
        world.log.now = START + timedelta(days=3)
        world.log.handed_on("B1111", "A1111")
        world.log.delivered("mx1", "A1111")
        return world

    @pytest.mark.parametrize(
        "question",
        [
            {"recipients": ("john@example.test",)},
            {"recipients": ("john@john.pop.example.test",)},
            {"queue_id": "B1111"},
            {"queue_id": "A1111"},
            {"message_id": "B1111@outside.test"},
            {"sender": "a@outside.test"},
            {},
        ],
    )
    def test_it_is_one_passage(self, handed: World, question: dict[str, Any]) -> None:
        found = handed.one(**question)
        assert (found.node, found.queue_id, found.fate) == ("mx1.cluster.test", "A1111", Fate.DELIVERED)
        assert [halt.queue_id for halt in found.earlier] == ["B1111"]
        assert found.arrived == found.earlier[0].at == START + timedelta(seconds=1)
        assert found.address == "192.0.2.200"

    def test_until_the_mx_has_told_its_part_it_is_handed_on(self, world: World) -> None:
        world.log.taken("mx-backup", "B1111")
        world.log.handed_on("B1111", "A1111")
        (world.log.folder / "mx1.cluster.test.log").unlink()
        found = world.one(recipients=("john@example.test",))
        assert (found.fate, found.next_node, found.next_id) == (Fate.HANDED_ON, "mx1.cluster.test", "A1111")

    def test_a_server_outside_cannot_claim_a_message_of_ours(self, world: World) -> None:
        """It may answer with any queue id."""
        world.log.taken("mx1", "A1111")
        world.log.delivered("mx1", "A1111")
        world.log.taken("mx1", "X1111")
        text = (
            "X1111: to=<john@example.test>, relay=evil.test[9.9.9.9]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, "
            "status=sent (250 2.0.0 Ok: queued as A1111)"
        )
        world.log.say("mx1", "postfix/smtp", text)
        assert world.ask(recipients=("john@example.test",)) == ["A1111", "X1111"]
        assert world.one(queue_id="A1111").earlier == ()


def test_news(two: World) -> None:
    two.collector.round()
    watch = Watch(lambda: two.answers.trace(Question(recipients=("john@example.test",), limit=9)).passages)
    assert watch.news() == []
    two.log.taken("mx2", "J2222")
    two.log.put_off("mx2", "J2222")
    two.collector.round()
    (waiting,) = watch.news()
    assert waiting.fate is Fate.WAITING
    two.log.delivered("mx2", "J2222")
    two.log.taken("mx2", "M2222")
    two.log.delivered("mx2", "M2222", to="mary")
    two.collector.round()
    (delivered,) = watch.news()
    assert (delivered.queue_id, delivered.fate) == ("J2222", Fate.DELIVERED)
    assert watch.news() == []


def test_logins(world: World) -> None:
    world.log.login()
    world.log.login("JOHN@example.test", ok=False, protocol="pop3")
    world.log.login("mary@example.test")
    world.log.now = START + timedelta(days=1)
    world.log.login(protocol="managesieve")
    world.collector.round()
    users = ["john@example.test", "john@john.pop.example.test"]
    found = world.answers.logins(users, None, None, 10)
    assert [(one.protocol, one.ok, one.address) for one in found] == [
        ("imap", True, "192.0.2.77"),
        ("pop3", False, "192.0.2.77"),
        ("sieve", True, "192.0.2.77"),
    ]
    assert [one.protocol for one in world.answers.logins(users, None, None, 2)] == ["pop3", "sieve"]
    assert [one.protocol for one in world.answers.logins(users, START + timedelta(hours=1), None, 9)] == ["sieve"]


def test_a_time_line(two: World) -> None:
    two.log.login(ok=False)
    two.collector.round()
    found = two.answers.trace(Question(recipients=("john@example.test",))).passages
    logins = two.answers.logins(["john@example.test"], None, None, 10)
    moved = Moment(START + timedelta(minutes=30), "moved", "From ms1 to ms2.")
    assert [moment.kind for moment in timeline(found, logins, [moved], 10)] == ["stored", "moved", "login refused"]
    assert [moment.kind for moment in timeline(found, logins, [moved], 1)] == ["login refused"]


def test_test_mail_is_told_only_to_who_asks_for_it(two: World) -> None:
    """Here all mail to example.test counts as test mail."""
    everything = two.ask()
    with closing(Answers(two.log.folder.parent / "traces", aside="example.test")) as answers:

        def ask(**question: Any) -> int:
            return len(answers.trace(Question(**question)).passages)

        assert len(everything) > ask()
        assert ask(sender="a@outside.test") == 0
        assert ask(recipients=("john@example.test",)) == len(two.ask(recipients=("john@example.test",))) > 0
        assert ask(queue_id=everything[0]) == 1


def test_nothing_was_ever_read(tmp_path: Path) -> None:
    with closing(Answers(tmp_path)) as answers:
        assert answers.trace(Question()).passages == ()
        assert answers.logins(["john@example.test"], None, None, 10) == []


def test_readers_while_it_is_written(world: World) -> None:
    """Whoever asks sees whole rows only, and more each time."""
    stop, counts, faults = threading.Event(), [0], []

    def read() -> None:
        while not stop.is_set():
            try:
                found = len(world.answers.trace(Question(sender="a@outside.test", limit=1000)).passages)
                assert found >= counts[-1]
                counts.append(found)
            except (StoreBusy, AssertionError) as error:
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        world.log.taken("mx1", f"Q{number:04}")
        world.log.delivered("mx1", f"Q{number:04}")
        world.collector.round()
    stop.set()
    reader.join()
    assert not faults
    assert len(world.ask(sender="a@outside.test", limit=1000)) == 100


def test_only_who_may_is_answered(two: World) -> None:
    two.collector.round()
    stranger = RemoteTraces(lambda: two.line("ms1.cluster.test"))
    with closing(stranger), pytest.raises(StoreBusy, match="may not ask"):
        stranger.trace(Question())


def test_a_broken_line_is_made_anew(two: World) -> None:
    two.collector.round()
    with closing(two.far()) as answers:
        assert len(answers.trace(Question()).passages) == 2
        assert answers._line is not None
        answers._line.sock.shutdown(socket.SHUT_RDWR)
        assert len(answers.trace(Question()).passages) == 2
