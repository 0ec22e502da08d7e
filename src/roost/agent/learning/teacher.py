"""On an MX: takes from the homes what is to be learned, and teaches its own filter, one message at a time."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable

import structlog

from roost.agent.papers import Papers, listening
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import Forbidden, RoostError
from roost.wire import peer
from roost.wire.lessons import Lesson
from roost.wire.peer import PeerReply

_LOOK_SECONDS = 2.0
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
        self._stopping = threading.Event()
        self._server: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="teacher", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; a lesson that is being taught is not waited for."""
        self._stopping.set()
        if self._server is not None:
            with contextlib.suppress(OSError):
                # Wakes the thread that accepts; that one closes it.
                self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            settings = self._settings()
            if settings is not None and {Role.MX, Role.BACKUP_MX} & set(settings.roles):
                try:
                    with listening(self._papers) as self._server:
                        self._accept(self._server)
                except OSError as error:
                    if not self._stopping.is_set():
                        _log.warning("lessons: cannot listen", reason=str(error))
            self._stopping.wait(_LOOK_SECONDS)

    def _accept(self, server: socket.socket) -> None:
        while not self._stopping.is_set():
            plain, _ = server.accept()
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
