"""What the controller is to be told: kept until it has taken it, said again until the order shows that it has acted.

Only the last word of each part of a move counts, so what is kept is small. A report may arrive any number of times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from roost.domain.errors import RoostError
from roost.domain.move import Order, Said
from roost.wire.agent_messages import MoveReport, MoveReports

_AGAIN_SECONDS = 15.0
_PAUSE_MAX = 5.0
_log = structlog.get_logger()


class MoveTaker(Protocol):
    """The controller, as far as reports need it."""

    def moves(self, reports: MoveReports) -> None: ...
    def close(self) -> None: ...


class Reports:
    """Sends from a thread of its own, over a connection that is kept."""

    def __init__(self, connect: Callable[[], MoveTaker]) -> None:
        self._connect = connect
        self._controller: MoveTaker | None = None
        self._news = threading.Condition()
        self._words: dict[tuple[int, str], tuple[MoveReport, float]] = {}
        """The last word of each part, and when it was taken; 0.0: not yet."""

        self._stopped = False

    def start(self) -> None:
        """Begin to send."""
        threading.Thread(target=self._run, name="move reports", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        with self._news:
            self._stopped = True
            self._news.notify()

    def say(self, order: Order, said: Said, words: str = "", body: str = "") -> None:
        """Tell the controller; the same words again are sent only when some time has passed."""
        report = MoveReport(
            move=order.move, part=order.part, said=said, attempt=order.attempt, words=words[:4000], body=body
        )
        key = (order.move, str(order.part))
        with self._news:
            known = self._words.get(key)
            if known is None or known[0] != report:
                self._words[key] = (report, 0.0)
                self._news.notify()

    def keep(self, moves: set[int]) -> None:
        """Forget what was said of other moves than these: their orders are gone."""
        with self._news:
            for key in [key for key in self._words if key[0] not in moves]:
                del self._words[key]

    def _due(self) -> list[MoveReport]:
        now = time.monotonic()
        return [report for report, taken in self._words.values() if not taken or now - taken > _AGAIN_SECONDS]

    def _send(self, reports: MoveReports) -> None:
        """Send over the connection; a broken one is replaced the next time. Raises ``RoostError``."""
        if self._controller is None:
            self._controller = self._connect()
        try:
            self._controller.moves(reports)
        except RoostError:
            self._controller.close()
            self._controller = None
            raise

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stopped or bool(self._due()), timeout=_AGAIN_SECONDS)
                if self._stopped:
                    return
                due = self._due()[:200]
            if not due:
                continue
            try:
                self._send(MoveReports(reports=due))
                pause = 0.0
            except RoostError as error:
                _log.warning("the controller was not told of moves", reason=str(error))
                pause = min(max(pause * 2, 0.2), _PAUSE_MAX)
                time.sleep(pause)
                continue
            now = time.monotonic()
            with self._news:
                for report in due:
                    key = (report.move, report.part)
                    if key in self._words and self._words[key][0] == report:
                        self._words[key] = (report, now)
