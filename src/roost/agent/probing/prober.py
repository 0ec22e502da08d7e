"""When a round is due, and who is told: one thread, so there is never more than one round at once.

The prober asks the controller what to try, and brings what it saw with the next question. The question is held until
somebody asks for a round or the next is due. While the controller is away it goes on with what it was told last, for
the figures; passwords are in memory only, so a prober that starts then waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import RoostError
from roost.domain.probe import Round, Task
from roost.wire.probe_messages import ProbeReply, ProbeRequest

_HELD_SECONDS = 25.0
_PAUSE_SECONDS = 2.0
_SOON_SECONDS = 5.0
_log = structlog.get_logger()


class Asked(Protocol):
    """The controller, as far as a prober needs it."""

    def probe(self, request: ProbeRequest) -> ProbeReply: ...
    def close(self) -> None: ...


class Prober:
    """One per agent; does nothing on a node that is no prober. ``settings`` returns the node's.

    ``run`` does a round (``rounds.run``), ``connect`` makes a connection to the controller.
    """

    def __init__(
        self,
        settings: Callable[[], NodeSettings | None],
        connect: Callable[[], Asked],
        run: Callable[[Task, datetime], Round],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._run_round = run
        self._now = now
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._controller: Asked | None = None
        self._task: Task | None = None
        self._found: Round | None = None
        self._due = 0.0
        self.latest: Round | None = None
        """The last round, for figures (``roost.domain.probe.figures``); None while there was none."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; a round that is under way ends with the process."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                settings = self._settings()
                if settings is None or Role.CONTROL not in settings.roles:
                    self._forget()
                    self._stopping.wait(_PAUSE_SECONDS)
                else:
                    self.turn()
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one turn is logged, the next may be good
                _log.exception("probe: a fault")
                self._stopping.wait(_PAUSE_SECONDS)

    def turn(self) -> None:
        """Ask what to try; do a round where one is due or asked for."""
        before = self._task.asked if self._task else 0
        try:
            self._ask(before)
        except RoostError as error:
            _log.info("probe: the controller was not asked", reason=str(error))
            self._close()
            self._stopping.wait(_PAUSE_SECONDS)
        task = self._task
        if task is None or not task.seconds or self._stopping.is_set():
            return
        began = time.monotonic()
        if began < self._due and task.asked == before:
            return
        # A cluster that is just being set up is looked at sooner.
        self._due = began + (task.seconds if task.boxes else min(task.seconds, _SOON_SECONDS))
        self.latest = self._found = self._run_round(task, self._now())

    def _ask(self, asked: int) -> None:
        if self._controller is None:
            self._controller = self._connect()
        off = self._task is not None and not self._task.seconds
        left = _HELD_SECONDS if off else self._due - time.monotonic()
        wait = 0.0 if self._task is None else max(0.0, min(left, _HELD_SECONDS))
        reply = self._controller.probe(ProbeRequest(asked=asked, found=self._found, wait=wait))
        self._task, self._found = reply.task, None

    def _forget(self) -> None:
        """The node has lost the role."""
        self._task = self._found = self.latest = None
        self._close()

    def _close(self) -> None:
        if self._controller is not None:
            self._controller.close()
            self._controller = None
