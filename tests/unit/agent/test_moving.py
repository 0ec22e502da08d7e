"""A move between two agents, over real TLS and a real stream; the mailboxes and the controller are twins."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from node_papers import papers_for
from twin_mailstore import TwinMailstore

from roost.agent.moving import pull
from roost.agent.moving.mover import Mover
from roost.agent.papers import Papers
from roost.control.authority import Authority
from roost.domain.errors import ControllerAway, NodeAway
from roost.domain.move import Order, Part, Said, Wanted
from roost.host.machine import Machine
from roost.ports.mailstore import Copy, Stand
from roost.wire import peer
from roost.wire.agent_messages import MoveReport, MoveReports
from roost.wire.peer import PeerRequest

SOURCE, TARGET, OTHER = "ms1.cluster.test", "ms2.cluster.test", "ms3.cluster.test"
ORDER = Order(
    move=7, part=Part.SOURCE, address="john@example.test", number=1, hostname="john.pop.example.test", peer=TARGET,
    wanted=Wanted.PREPARE, attempt=1, bandwidth=0, hold=2, deep=False, kept=0,
)  # fmt: skip


def wait_for(fact: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


class Controller:
    """Takes reports; ``away`` makes it unreachable."""

    def __init__(self) -> None:
        self.reports: list[MoveReport] = []
        self.away = False

    def moves(self, reports: MoveReports) -> None:
        if self.away:
            raise ControllerAway("away")
        self.reports += reports.reports

    def close(self) -> None: ...

    def said(self, part: Part, said: Said) -> list[MoveReport]:
        return [report for report in self.reports if report.part == part and report.said == said]


@dataclass
class Pair:
    """Two nodes."""

    source: TwinMailstore
    target: TwinMailstore
    movers: dict[str, Mover]
    papers: dict[str, Papers]
    controller: Controller
    make: Callable[[str], Mover]

    def order(self, wanted: Wanted, **changes: object) -> None:
        """Change both nodes' orders, as the feed does."""
        order = replace(ORDER, wanted=wanted, **changes)  # type: ignore[arg-type]
        self.source.rows = [order]
        self.target.rows = [replace(order, part=Part.TARGET, peer=SOURCE)]
        for mover in self.movers.values():
            mover.nudge()

    def restart(self, name: str) -> None:
        self.movers[name].stop()
        self.movers[name] = self.make(name)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setitem(pull.Pull.__init__.__kwdefaults__, "folder", f"{tmp_path}/run")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority = Authority(*Authority.create("cluster.test", datetime.datetime.now(datetime.UTC)))
    addresses = {SOURCE: "127.0.0.1", TARGET: "127.0.0.2", OTHER: "127.0.0.3"}
    papers = {
        name: papers_for(tmp_path / name, authority, name, address, port) for name, address in addresses.items()
    }
    stores = {name: TwinMailstore(name, tmp_path / name, addresses) for name in (SOURCE, TARGET)}
    controller = Controller()
    host = UserMachine()

    def make(name: str) -> Mover:
        mover = Mover(host, lambda: stores[name], lambda: controller, papers[name])
        mover.start()
        return mover

    stores[SOURCE].mail.write_bytes(os.urandom(3_000_000))
    movers = {name: make(name) for name in stores}
    made = Pair(stores[SOURCE], stores[TARGET], movers, papers, controller, make)
    yield made
    for mover in made.movers.values():
        mover.stop()


class UserMachine(Machine):
    """The machine as somebody who is not root may use it."""

    def make_folder(self, path: str, mode: int = 0o755, owner: str = "root:root") -> None:
        Path(path).mkdir(mode, parents=True, exist_ok=True)


def copied(pair: Pair) -> None:
    pair.order(Wanted.COPY)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.READY), "ready")
    assert pair.target.mail.read_bytes() == pair.source.mail.read_bytes()


def test_a_mailbox_is_copied_and_handed_over(pair: Pair) -> None:
    copied(pair)
    assert not pair.source.standing
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.MOVED), "moved")
    assert pair.source.standing[7].stand is Stand.MOVED
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")
    report = pair.controller.said(Part.SOURCE, Said.MOVED)[0]
    assert '"target":{' in report.body
    assert not pair.controller.said(Part.TARGET, Said.FAILED)


def test_what_came_during_the_passes_is_in_the_copy(pair: Pair) -> None:
    copied(pair)
    pair.source.mail.write_bytes(pair.source.mail.read_bytes() + b"one more")
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.MOVED), "moved")
    assert pair.target.mail.read_bytes().endswith(b"one more")


def test_what_its_rules_remember_goes_with_the_mailbox(pair: Pair) -> None:
    """As it is when the mailbox is closed; what the copy remembered from another time is gone."""
    pair.source.remembered, pair.target.remembered = bytes(range(256)), b"of old"
    copied(pair)
    assert pair.target.remembered == b"of old"
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")
    assert pair.target.remembered == bytes(range(256))


def test_sides_that_differ_are_not_handed_over(pair: Pair) -> None:
    copied(pair)
    pair.target.planted = "a stray message"
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.FAILED), "failed")
    assert "differ" in pair.controller.said(Part.TARGET, Said.FAILED)[0].words
    assert not pair.source.standing
    assert not pair.target.admitted


def test_a_hold_ends_at_its_deadline_when_the_target_hangs(pair: Pair) -> None:
    copied(pair)
    # Else no further pass would be needed.
    pair.source.mail.write_bytes(pair.source.mail.read_bytes() + b"one more")
    pair.target.pull_script = "import subprocess, sys, time; subprocess.Popen(sys.argv[2:]); time.sleep(60)"
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: 7 in pair.source.standing, "the hold")
    began = time.monotonic()
    wait_for(lambda: 7 not in pair.source.standing, "the end of the hold")
    assert time.monotonic() - began < 3.0
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.FAILED), "failed")
    # The next attempt succeeds.
    pair.target.pull_script = TwinMailstore.__init__.__globals__["PULL"]
    pair.controller.reports.clear()
    pair.order(Wanted.COPY, attempt=2)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.READY), "ready again")
    pair.order(Wanted.HAND_OVER, attempt=2)
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.MOVED), "moved")


def test_whoever_comes_during_a_hold_is_led_to_where_the_mailbox_is(pair: Pair) -> None:
    copied(pair)
    with (
        socket.create_server(("127.0.0.2", 0)) as there,
    ):
        pair.source.door_ports = dict.fromkeys(pair.source.door_ports, there.getsockname()[1])
        pair.source.hold_seconds = 0.5
        pair.order(Wanted.HAND_OVER)
        wait_for(lambda: pair.source.hold_ports, "the hold")
        with socket.create_connection(("127.0.0.1", pair.source.hold_ports["imap"])) as client:
            client.sendall(b"hello")
            there.settimeout(10)
            arrived, _ = there.accept()
            assert pair.source.standing[7].stand is Stand.MOVED
            with arrived:
                assert arrived.recv(100) == b"hello"
                arrived.sendall(b"welcome")
                assert client.recv(100) == b"welcome"


def test_whoever_comes_during_a_hold_that_is_lifted_is_led_home(pair: Pair) -> None:
    copied(pair)
    pair.source.refuse_to_give = True
    with socket.create_server(("127.0.0.1", 0)) as home:
        pair.source.door_ports = dict.fromkeys(pair.source.door_ports, home.getsockname()[1])
        pair.source.hold_seconds = 0.3
        pair.order(Wanted.HAND_OVER)
        wait_for(lambda: pair.source.hold_ports, "the hold")
        with socket.create_connection(("127.0.0.1", pair.source.hold_ports["lmtp"])) as client:
            client.sendall(b"LHLO x")
            home.settimeout(10)
            arrived, _ = home.accept()
            with arrived:
                assert arrived.recv(100) == b"LHLO x"
    assert 7 not in pair.source.standing


def test_a_source_whose_orders_come_later_is_no_failure(pair: Pair) -> None:
    copied(pair)
    held = replace(ORDER, wanted=Wanted.HAND_OVER, attempt=ORDER.attempt + 1)
    asked = threading.Event()

    def orders() -> list[Order]:
        if threading.current_thread().name == "another node":
            asked.set()
        return [*pair.source.rows]

    pair.source.orders = orders  # type: ignore[method-assign]
    pair.target.rows = [replace(held, part=Part.TARGET, peer=SOURCE)]
    pair.movers[TARGET].nudge()
    assert asked.wait(10)
    pair.source.rows = [held]
    pair.movers[SOURCE].nudge()
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")
    assert not pair.controller.said(Part.TARGET, Said.FAILED)


def test_why_a_pass_failed_is_told_in_the_words_of_both(pair: Pair) -> None:
    pair.source.server_script = "echo 'The disk is full' >&2; exit 75"
    pair.target.pull_script += "\nraise SystemExit('nothing came')"
    pair.order(Wanted.COPY)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.COPYING), "a report of it")
    words = pair.controller.said(Part.TARGET, Said.COPYING)[0].words
    assert "nothing came" in words
    assert "The source says: The disk is full" in words


def test_the_controller_is_not_needed_for_a_hand_over_that_has_begun(pair: Pair) -> None:
    copied(pair)
    pair.controller.away = True
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")
    assert not pair.controller.said(Part.SOURCE, Said.MOVED)
    pair.controller.away = False
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.MOVED), "the controller learns of it")


def test_a_target_that_died_before_it_heard_the_answer_learns_it(pair: Pair) -> None:
    copied(pair)
    pair.movers[TARGET].stop()
    order = replace(ORDER, wanted=Wanted.HAND_OVER)
    pair.source.hold(order, 100, {})
    assert pair.source.give_away(7, "{}")
    pair.movers[TARGET] = pair.make(TARGET)
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")


def test_both_drop_their_parts(pair: Pair) -> None:
    copied(pair)
    pair.order(Wanted.DROP)
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.DROPPED), "the source drops")
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.DROPPED), "the target drops")
    assert not pair.target.mail.exists()
    assert pair.source.mail.exists()


def test_what_has_been_given_away_is_not_dropped(pair: Pair) -> None:
    copied(pair)
    pair.controller.away = True
    pair.order(Wanted.HAND_OVER)
    wait_for(lambda: pair.target.admitted.get(7) == "everyone", "the target opens")
    pair.order(Wanted.DROP)
    pair.controller.away = False
    wait_for(lambda: pair.controller.said(Part.SOURCE, Said.MOVED), "the source says that it gave the mailbox away")
    assert pair.target.mail.exists()
    assert not pair.controller.said(Part.SOURCE, Said.DROPPED)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda pair: setattr(pair.target, "copy_found", Copy.FOREIGN), "mail already"),
        (lambda pair: setattr(pair.target, "free", 1000), "free"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(pair: Pair, spoil: Callable[[Pair], None], words: str) -> None:
    spoil(pair)
    pair.order(Wanted.PREPARE)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.REFUSED), "the refusal")
    assert words in pair.controller.said(Part.TARGET, Said.REFUSED)[0].words


def test_a_source_that_is_away_is_asked_again(pair: Pair) -> None:
    pair.movers[SOURCE].stop()
    pair.order(Wanted.COPY)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.COPYING), "a report of it")
    assert "does not answer" in pair.controller.said(Part.TARGET, Said.COPYING)[0].words
    pair.movers[SOURCE] = pair.make(SOURCE)
    wait_for(lambda: pair.controller.said(Part.TARGET, Said.READY), "ready")


def test_a_node_without_an_order_gets_nothing(pair: Pair) -> None:
    """Another node of the cluster, with a certificate of its own, asks for somebody's mail."""
    copied(pair)
    papers = pair.papers[OTHER]

    def ask(**question: object) -> peer.PeerReply:
        line = peer.connect(
            "127.0.0.1", SOURCE, authority=papers.authority, certificate=papers.identity,
            key=papers.identity_key, port=papers.port,
        )  # fmt: skip
        try:
            return line.ask(PeerRequest.model_validate(question), 5)
        finally:
            line.close()

    for do in ("sync", "hold", "evidence", "size", "give-away", "lift"):
        reply = ask(do=do, move=7)
        assert not reply.ok
        assert "no order" in reply.words


def test_a_service_certificate_is_no_agents(pair: Pair) -> None:
    papers = pair.papers[TARGET]
    wait_for(lambda: pair.movers[SOURCE]._server is not None, "the source listens")
    with (
        pytest.raises(NodeAway),
        contextlib.closing(
            peer.connect(
                "127.0.0.1",
                SOURCE,
                authority=papers.authority,
                certificate=papers.service,
                key=papers.service_key,
                port=papers.port,
            )
        ) as line,
    ):
        line.ask(PeerRequest(do="state", move=7), 5)


def test_a_limit_of_bytes_holds(pair: Pair) -> None:
    began = time.monotonic()
    pair.order(Wanted.COPY, bandwidth=2_000_000)
    wait_for(pair.target.mail.exists, "the copy")
    assert time.monotonic() - began > 1.0
