"""The log node's side of a trace: answers questions over a connection that ``roost.wire.peer`` has accepted.

Nothing is believed of who asks but his name, which his certificate proves. Who may ask is told by whoever puts the
agent together: what is answered here is everybody's mail.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from roost.domain.errors import Forbidden, RoostError
from roost.ports.traces import Traces
from roost.wire.peer import Line
from roost.wire.trace_messages import TraceReply, TraceRequest

_IDLE_SECONDS = 600.0
_log = structlog.get_logger()


class Teller:
    """Answers one connection's questions until it ends."""

    def __init__(self, traces: Traces, may_ask: Callable[[str], bool]) -> None:
        self._traces = traces
        self._may_ask = may_ask

    def serve(self, line: Line, peer: str) -> None:
        """Serve a connection; ``peer`` is the name that the other side's certificate proves."""
        while (request := line.receive(TraceRequest, _IDLE_SECONDS)) is not None:
            try:
                reply = self._answer(request, peer)
            except RoostError as error:
                _log.warning("trace: not answered", node=peer, reason=str(error))
                reply = TraceReply(ok=False, words=str(error))
            line.send(reply)

    def _answer(self, request: TraceRequest, peer: str) -> TraceReply:
        if not self._may_ask(peer):
            raise Forbidden(f"{peer} may not ask what became of mail.")
        if request.do == "trace":
            return TraceReply(ok=True, found=self._traces.trace(request.question))
        if request.do == "logins":
            found = self._traces.logins(request.users, request.since, request.until, request.limit)
            return TraceReply(ok=True, logins=tuple(found))
        raise Forbidden(f"There is no question {request.do!r}.")
