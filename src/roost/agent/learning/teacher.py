"""On an MX: takes from the homes what is to be learned, and teaches its own filter, one message at a time."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable

import structlog

from roost.agent.listener import Listener
from roost.agent.papers import Papers
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import Forbidden, RoostError
from roost.wire import peer
from roost.wire.lessons import Lesson
from roost.wire.peer import PeerReply

_IDLE_SECONDS = 30.0
_log = structlog.get_logger()

Learn = Callable[[str, bool], str]
"""Teaches the message in a file, and whether it is spam; returns '' or why it is not wanted, which is final. Raises
``RoostError`` where the filter is away."""


class Teacher:
    """One per agent; listens on an MX only. ``settings`` returns the node's."""

    def __init__(self, learn: Learn, settings: Callable[[], NodeSettings | None], papers: Papers) -> None:
        self._learn = learn
        self._settings = settings
        self._papers = papers
        self._one = threading.Lock()
        self._listener = Listener("lessons", papers, self._taken, self._is_mx)

    def start(self) -> None:
        """Begin; returns at once."""
        self._listener.start()

    def stop(self) -> None:
        """End; a lesson that is being taught is not waited for."""
        self._listener.stop()

    def _is_mx(self) -> bool:
        settings = self._settings()
        return settings is not None and not {Role.MX, Role.BACKUP_MX}.isdisjoint(settings.roles)

    def _taken(self, plain: socket.socket, address: str) -> None:
        del address
        threading.Thread(target=self._serve, args=(plain,), name="lessons", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        papers = self._papers
        try:
            line, name = peer.accept(
                plain, authority=papers.authority, certificate=papers.service, key=papers.service_key
            )
        except RoostError as error:
            _log.warning("lessons: a connection was refused", reason=str(error))
            return
        try:
            self._require_home(name)
            while (lesson := line.receive(Lesson, _IDLE_SECONDS)) is not None:
                line.send(self._take(lesson))
        except RoostError as error:
            _log.warning("lessons: a connection ended", node=name, reason=str(error))
        finally:
            line.close()

    def _require_home(self, name: str) -> None:
        settings = self._settings()
        if settings is None or name not in {home.name for home in settings.having(Role.STORAGE)}:
            raise Forbidden(f"{name} is no home, and teaches nothing.")

    def _take(self, lesson: Lesson) -> PeerReply:
        try:
            with self._one, tempfile.NamedTemporaryFile(prefix="roost-lesson-") as file:
                file.write(lesson.content())
                file.flush()
                words = self._learn(file.name, lesson.spam)
        except ValueError:
            return PeerReply(ok=True, words="It is no message.")
        except RoostError as error:
            return PeerReply(ok=False, words=str(error))
        return PeerReply(ok=True, words=words)
