"""A thread that listens for others, while the node wants it to, and hands on who comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import structlog

from roost.agent.papers import Papers, listening

_LOOK_SECONDS = 2.0
_log = structlog.get_logger()


class Listener:
    """``taken`` is given each connection, with the address it comes from, and must not wait; ``name`` is for logs."""

    def __init__(
        self,
        name: str,
        papers: Papers,
        taken: Callable[[socket.socket, str], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._papers = papers
        self._taken = taken
        self._wanted = wanted
        self._stopping = threading.Event()
        self._server: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f"{name}: door", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; connections that were handed on are not waited for."""
        self._stopping.set()
        if self._server is not None:
            with contextlib.suppress(OSError):
                # Wakes the thread that accepts; that one closes it.
                self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._wanted():
                try:
                    with listening(self._papers) as self._server:
                        self._accept(self._server)
                except OSError as error:
                    if not self._stopping.is_set():
                        _log.warning(f"{self._name}: cannot listen", reason=str(error))
            self._stopping.wait(_LOOK_SECONDS)

    def _accept(self, server: socket.socket) -> None:
        while not self._stopping.is_set():
            plain, (address, *_) = server.accept()
            self._taken(plain, address)
