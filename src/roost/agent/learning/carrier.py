"""On a home: brings what is to be learned to the agent of every MX. One that is away gets it when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from roost.agent.learning.spool import Spool
from roost.agent.papers import Papers
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Peer
from roost.domain.errors import RoostError
from roost.wire import lessons, peer
from roost.wire.lessons import Lesson
from roost.wire.peer import Line, PeerReply

_LOOK_SECONDS = 2.0
_PAUSE_SECONDS = 15.0
"""For how long an MX that was away, or could not learn, is left alone."""

_ANSWER_SECONDS = 90.0
_log = structlog.get_logger()


class Carrier:
    """One per agent; does nothing on a node that is no home. ``settings`` returns the node's."""

    def __init__(self, spool: Spool, settings: Callable[[], NodeSettings | None], papers: Papers) -> None:
        self._spool = spool
        self._settings = settings
        self._papers = papers
        self._paused: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lessons", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one turn is logged, the next may be good
                _log.exception("lessons: a fault")

    def turn(self) -> None:
        """Share what is new, and bring each MX what waits for it."""
        settings = self._settings()
        if settings is None or Role.STORAGE not in settings.roles:
            return
        hosts = [
            p for p in settings.peers if {Role.MX, Role.BACKUP_MX} & set(p.roles) and p.addresses and not p.leaving
        ]
        self._spool.share([host.name for host in hosts])
        for host in hosts:
            if self._spool.waiting(host.name) and self._paused.get(host.name, 0.0) <= time.monotonic():
                try:
                    self._bring(host)
                except RoostError as error:
                    self._paused[host.name] = time.monotonic() + _PAUSE_SECONDS
                    _log.info("lessons wait", node=host.name, reason=str(error))

    def _bring(self, host: Peer) -> None:
        papers = self._papers
        line = peer.connect(
            host.addresses[0],
            host.name,
            authority=papers.authority,
            certificate=papers.identity,
            key=papers.identity_key,
            port=papers.port,
        )
        try:
            for path in self._spool.waiting(host.name):
                message = self._spool.read(path, lessons.MOST_BYTES)
                if message is not None:
                    _teach(line, Lesson.of(message, spam=path.suffix == ".spam"))
                path.unlink(missing_ok=True)
        finally:
            line.close()


def _teach(line: Line, lesson: Lesson) -> None:
    """Bring one lesson; raises ``RoostError`` where it is to be brought again."""
    line.send(lesson)
    reply = line.receive(PeerReply, _ANSWER_SECONDS)
    if reply is None or not reply.ok:
        raise RoostError(reply.words if reply else "The MX has closed the connection.")
