"""When a prober does a round, and what it tells the controller."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from roost.agent.probing.prober import Prober
from roost.domain.errors import ControllerAway
from roost.domain.probe import Box, Round, Task
from roost.wire.probe_messages import ProbeReply, ProbeRequest

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
BOX = Box("ms1", "ms1@probe.test", "ms1.pop.probe.test", ("192.0.2.31",), "very secret")
TASK = Task(asked=100, seconds=60, cluster_domain="cluster.test", boxes=(BOX,))


class Controller:
    """Answers with a task; ``away`` makes it fall silent."""

    def __init__(self) -> None:
        self.task = TASK
        self.away = False
        self.asked: list[ProbeRequest] = []
        self.closed = 0

    def probe(self, request: ProbeRequest) -> ProbeReply:
        if self.away:
            raise ControllerAway("It does not answer.")
        self.asked.append(request)
        return ProbeReply(task=self.task)

    def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self) -> None:
        self.controller = Controller()
        self.rounds: list[Task] = []
        self.prober = Prober(lambda: None, lambda: self.controller, self._round, lambda: NOON)

    def _round(self, task: Task, now: datetime) -> Round:
        self.rounds.append(task)
        return Round(task.asked, now, 0.1, (), (), ())


def test_a_round_at_once_then_none_before_it_is_due() -> None:
    bench = Bench()
    bench.prober.turn()
    bench.prober.turn()
    assert len(bench.rounds) == 1
    first, second = bench.controller.asked
    assert (first.asked, first.found, first.wait) == (0, None, 0.0)
    assert second.found is not None
    assert second.found.number == 100
    assert 20 < second.wait <= 25
    bench.prober.turn()
    assert bench.controller.asked[2].found is None, "a round is told once"


def test_a_round_that_is_asked_for_is_done_at_once() -> None:
    bench = Bench()
    bench.prober.turn()
    bench.controller.task = replace(TASK, asked=101)
    bench.prober.turn()
    assert [task.asked for task in bench.rounds] == [100, 101]


def test_none_while_the_probe_is_off() -> None:
    bench = Bench()
    bench.controller.task = replace(TASK, seconds=0)
    bench.prober.turn()
    assert (bench.rounds, bench.prober.latest) == ([], None)
    bench.prober.turn()
    assert bench.controller.asked[-1].wait == 25.0


def test_a_round_is_told_when_the_controller_is_back_and_figures_stay() -> None:
    bench = Bench()
    bench.prober.turn()
    bench.controller.away = True
    bench.prober.stop()  # so that nobody waits in this test
    bench.prober.turn()
    assert bench.controller.closed == 1
    assert bench.prober.latest is not None
    bench.controller.away = False
    bench.prober.turn()
    assert bench.controller.asked[-1].found == bench.prober.latest


def test_a_password_shows_nowhere_but_in_the_message() -> None:
    assert "very secret" not in repr(TASK)
    reply = ProbeReply(task=TASK)
    assert "very secret" not in repr(reply)
    assert ProbeReply.model_validate_json(reply.model_dump_json()).task.boxes[0].password == "very secret"
