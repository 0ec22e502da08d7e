"""Who has come back is told at once, and again when attempts that had begun before have ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from roost.drivers.postfix.watch import Watch

HOME = ("198.18.0.31", 24)


class Server:
    """Answers from the start; ``goes`` ends the line."""

    def __init__(self) -> None:
        self.goes = threading.Event()
        self.lines = 0

    def hold(self, host: str, port: int, quiet: float, answered: Callable[[], None], leave: threading.Event) -> None:
        assert (host, port) == HOME
        self.lines += 1
        answered()
        while not self.goes.wait(0.005) and not leave.is_set():
            pass
        self.goes.clear()


def wait_for(said: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_return_is_told_again() -> None:
    server = Server()
    watch = Watch(server.hold, later=(0.3, 0.6))
    began = time.monotonic()
    told: list[float] = []

    def last() -> bool:
        if watch.look([HOME], 1):
            told.append(time.monotonic() - began)
        return bool(told) and told[-1] >= 0.6

    wait_for(last)
    assert watch.is_well(HOME)
    # On a machine that stands still for a while, two may be told as one.
    assert all(any(at >= after for at in told) for after in (0, 0.3, 0.6))
    assert len(told) <= 3
    assert not watch.look([HOME], 1)
    assert server.lines == 1, "all were of one return"

    server.goes.set()
    wait_for(lambda: watch.look([HOME], 1))
    assert server.lines == 2
    watch.close()


def test_who_is_not_asked_for_any_more_is_let_go() -> None:
    server = Server()
    watch = Watch(server.hold, later=())
    wait_for(lambda: watch.look([HOME], 1))
    watch.look([], 1)
    wait_for(lambda: not watch.is_well(HOME))
