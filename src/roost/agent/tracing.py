"""The log node's part of the agent: it reads the log files, and answers what became of mail.

Nothing is believed of who asks but his name, which his certificate proves. Who may ask is told by whoever puts the
agent together: what is answered here is everybody's mail.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import structlog

from roost.agent.papers import Papers, listening
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import Forbidden, RoostError
from roost.ports.traces import Traces
from roost.wire import peer
from roost.wire.peer import Line
from roost.wire.trace_messages import TraceReply, TraceRequest

_IDLE_SECONDS = 600.0
_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 10.0
_log = structlog.get_logger()


class Teller:
    """Answers one connection's questions until it ends."""

    def __init__(self, traces: Traces, may_ask: Callable[[str], bool]) -> None:
        self._traces = traces
        self._may_ask = may_ask

    def serve(self, line: Line, who: str) -> None:
        """Serve a connection; ``who`` is the name that the other side's certificate proves."""
        while (request := line.receive(TraceRequest, _IDLE_SECONDS)) is not None:
            try:
                reply = self._answer(request, who)
            except RoostError as error:
                _log.warning("trace: not answered", node=who, reason=str(error))
                reply = TraceReply(ok=False, words=str(error))
            line.send(reply)

    def _answer(self, request: TraceRequest, who: str) -> TraceReply:
        if not self._may_ask(who):
            raise Forbidden(f"{who} may not ask what became of mail.")
        if request.do == "trace":
            return TraceReply(ok=True, found=self._traces.trace(request.question))
        if request.do == "logins":
            found = self._traces.logins(request.users, request.since, request.until, request.limit)
            return TraceReply(ok=True, logins=tuple(found))
        raise Forbidden(f"There is no question {request.do!r}.")


class LogNode:
    """Two threads: one reads until it is told to stop, one takes connections. ``read`` is the collector's ``run``."""

    def __init__(self, read: Callable[[threading.Event], None], teller: Teller, papers: Papers) -> None:
        self._teller = teller
        self._papers = papers
        self._stop = threading.Event()
        self._read = read
        self._reader = threading.Thread(target=self._reading, name="log files")
        self._server: socket.socket | None = None
        self._lines: set[Line] = set()

    def start(self) -> None:
        """Begin; returns at once. Raises ``OSError`` where the port is taken; the files are read all the same."""
        self._reader.start()
        self._server = listening(self._papers)
        threading.Thread(target=self._accept, args=(self._server,), name="questions", daemon=True).start()

    def stop(self) -> None:
        """End: what is being read is written first."""
        self._stop.set()
        if self._server is not None:
            with contextlib.suppress(OSError):
                # Wakes the thread that accepts.
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
        self._reader.join()

    def _reading(self) -> None:
        while not self._stop.is_set():
            try:
                self._read(self._stop)
            except RoostError as error:
                _log.error("trace: the log files are not read", reason=str(error))
                self._stop.wait(_AGAIN_SECONDS)

    def _accept(self, server: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                plain, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), name="a question", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        papers = self._papers
        try:
            line, who = peer.accept(
                plain, authority=papers.authority, certificate=papers.service, key=papers.service_key
            )
        except RoostError as error:
            _log.warning("trace: a connection was refused", reason=str(error))
            return
        self._lines.add(line)
        try:
            self._teller.serve(line, who)
        except RoostError as error:
            _log.info("trace: a connection ended", node=who, reason=str(error))
        except Exception:  # noqa: BLE001 - one connection's fault must not end the others
            _log.exception("trace: a fault", node=who)
        finally:
            self._lines.discard(line)
            line.close()


class Tracing:
    """One per agent: a log node while the node has that role. ``settings`` returns the node's, ``make`` a log node.

    Made anew when the settings change: retention, who is a controller, what is test mail.
    """

    def __init__(self, make: Callable[[NodeSettings], LogNode], settings: Callable[[], NodeSettings | None]) -> None:
        self._make = make
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End: what is being read is written first."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        running: LogNode | None = None
        under: NodeSettings | None = None
        while not self._stopping.is_set():
            settings = self._settings()
            if settings is not None and _what_counts(settings) != (under and _what_counts(under)):
                if running is not None:
                    running.stop()
                running, under = self._begun(settings), settings
            self._stopping.wait(_LOOK_SECONDS)
        if running is not None:
            running.stop()

    def _begun(self, settings: NodeSettings) -> LogNode | None:
        if Role.LOG not in settings.roles:
            return None
        made = self._make(settings)
        try:
            made.start()
        except OSError as error:
            _log.error("trace: cannot listen", reason=str(error))
        return made


def _what_counts(settings: NodeSettings) -> tuple[object, ...]:
    controllers = tuple(peer.name for peer in settings.having(Role.CONTROL))
    return (Role.LOG in settings.roles, settings.policy.logs_keep_days, controllers, settings.probe_domain)
