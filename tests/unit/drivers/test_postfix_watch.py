"""Who has come back is told at once, and once more when attempts that had begun before have ended."""

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


def test_a_return_is_told_twice() -> None:
    server = Server()
    watch = Watch(server.hold, tried=0.3)
    began = time.monotonic()
    wait_for(lambda: watch.look([HOME], 1))
    assert watch.is_well(HOME)
    assert not watch.look([HOME], 1) or time.monotonic() - began > 0.3
    wait_for(lambda: watch.look([HOME], 1))
    assert time.monotonic() - began >= 0.3
    assert not watch.look([HOME], 1)
    assert server.lines == 1, "both were of one return"

    server.goes.set()
    wait_for(lambda: watch.look([HOME], 1))
    assert server.lines == 2
    watch.close()


def test_who_is_not_asked_for_any_more_is_let_go() -> None:
    server = Server()
    watch = Watch(server.hold, tried=0.0)
    wait_for(lambda: watch.look([HOME], 1))
    watch.look([], 1)
    wait_for(lambda: not watch.is_well(HOME))
