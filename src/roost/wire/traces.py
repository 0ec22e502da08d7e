"""The port ``Traces`` over a line to the log node's agent (``roost.agent.tracing``); for the controller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from roost.domain.errors import NodeAway, StoreBusy
from roost.domain.trace import Found, Login, Question
from roost.wire.peer import Line
from roost.wire.trace_messages import TraceReply, TraceRequest

PORT = 8446
"""Where the log node's agent answers."""

_ANSWER_SECONDS = 30.0


class RemoteTraces:
    """Asks over one connection, which is made anew where it broke. Raises ``NodeAway`` and ``StoreBusy``."""

    def __init__(self, connect: Callable[[], Line]) -> None:
        self._connect = connect
        self._line: Line | None = None
        self._lock = threading.Lock()

    def trace(self, question: Question) -> Found:
        """Return the newest passages that a question asks for."""
        return self._ask(TraceRequest(do="trace", question=question)).found

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        """Return the newest logins under any of these names, in the order of time."""
        request = TraceRequest(do="logins", users=tuple(users), since=since, until=until, limit=limit)
        return list(self._ask(request).logins)

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            self._drop()

    def _ask(self, request: TraceRequest) -> TraceReply:
        with self._lock:
            reply = self._asked(request) if self._line is not None else None
            if reply is None:
                self._drop()
                self._line = self._connect()
                reply = self._asked(request)
        if reply is None:
            raise NodeAway("The log node has closed the connection.")
        if not reply.ok:
            raise StoreBusy(f"The log node cannot answer: {reply.words}")
        return reply

    def _asked(self, request: TraceRequest) -> TraceReply | None:
        """Ask once; None where the connection is of no use any more."""
        assert self._line is not None  # noqa: S101 - the caller has made it
        try:
            self._line.send(request)
            return self._line.receive(TraceReply, _ANSWER_SECONDS)
        except NodeAway:
            return None

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
