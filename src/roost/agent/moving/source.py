"""The source's side: answers the target's questions about moves for which this node has orders.

Nothing is believed of who asks but his name, which his certificate proves: an order of this node must name him as the
target of that move. Whatever the target does or does not do, a hold ends at its deadline, by a timer here; if this
agent dies, by Dovecot's own query (``roost.ports.mailstore``).
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from roost.agent.moving.pull import POLITELY
from roost.agent.moving.steps import step
from roost.agent.moving.stream import Stream
from roost.agent.moving.throttle import Throttle
from roost.agent.moving.waiting_room import WaitingRooms
from roost.domain.errors import DaemonFailed, Forbidden, RoostError
from roost.domain.evidence import Evidence, differences
from roost.domain.move import Order, Part, Wanted
from roost.ports.host import Host
from roost.ports.mailstore import PROTOCOLS, Mailstore, Stand
from roost.wire.peer import Line, PeerReply, PeerRequest

_ORDERS_SECONDS = 2.0
"""So long the node's own orders may come after the target's."""

_IDLE_SECONDS = 30.0
_SERVER_SECONDS = 30.0
_WORDS_MAX = 500
_log = structlog.get_logger()


@dataclass
class _Hold:
    """One hold that stands."""

    order: Order
    began: float
    timer: threading.Timer
    evidence: Future[Evidence] | None = None


@dataclass
class Source:
    """Answers one node's peers. ``gave_away`` is called after a hand-over, so that the controller is told at once."""

    store: Mailstore
    host: Host
    rooms: WaitingRooms
    gave_away: Callable[[], None]
    _locks: dict[int, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _holds: dict[int, _Hold] = field(default_factory=dict)
    _tried: dict[int, int] = field(default_factory=dict)
    _words: dict[int, Future[str]] = field(default_factory=dict)
    """What the last pass of a move said here if it failed, once it has ended."""

    _news: threading.Condition = field(default_factory=threading.Condition)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "evidence"))

    def serve(self, line: Line, peer: str) -> None:
        """Answer one connection's questions until it ends."""
        while (request := line.receive(PeerRequest, _IDLE_SECONDS)) is not None:
            try:
                order = self._order(request, peer)
                if request.do == "sync":
                    self._sync(line, order)
                    return
                reply = self._answer(request, order)
            except RoostError as error:
                _log.warning("move: not done", move=request.move, asked=request.do, reason=str(error))
                reply = PeerReply(ok=False, words=str(error))
            line.send(reply)

    def notice(self) -> None:
        """There are new orders: whoever waits for his looks again."""
        with self._news:
            self._news.notify_all()

    def _order(self, request: PeerRequest, peer: str) -> Order:
        """Return the order that allows the question; raises ``Forbidden``.

        The target may know of a move, or that it is time for an attempt, a moment earlier.
        """

        def known() -> Order | None:
            for order in self.store.orders():
                if order.move == request.move and order.part is Part.SOURCE and order.peer == peer:
                    return order
            return None

        def current() -> bool:
            order = known()
            return order is not None and order.attempt >= request.attempt

        with self._news:
            self._news.wait_for(current, _ORDERS_SECONDS)
        if (order := known()) is None:
            raise Forbidden(f"This node has no order to let {peer} have move {request.move}.")
        return order

    def _answer(self, request: PeerRequest, order: Order) -> PeerReply:
        if request.do == "size":
            messages, octets = self.store.size(order)
            return PeerReply(ok=True, messages=messages, octets=octets)
        if request.do == "why":
            return PeerReply(ok=True, words=self._why(order.move))
        if request.do == "hold":
            return self._hold(request, order)
        if request.do == "evidence":
            return PeerReply(ok=True, evidence=self._evidence(request, order).text())
        if request.do == "give-away":
            return self._give_away(request, order)
        if request.do == "lift":
            self.lift(order.move)
            return PeerReply(ok=True)
        if request.do == "state":
            return PeerReply(ok=True, stand=self._stand(order.move))
        raise Forbidden(f"There is no question {request.do!r}.")

    def _sync(self, line: Line, order: Order) -> None:
        """Give the stream of one mailbox."""
        if order.wanted not in {Wanted.COPY, Wanted.HAND_OVER}:
            line.send(PeerReply(ok=False, words=f"It is time to {order.wanted}, not to copy."))
            return
        held = order.move in self._holds
        ended = self._words[order.move] = Future()
        try:
            ended.set_result(self._give_stream(line, order, held=held))
        finally:
            if not ended.done():
                ended.set_result("")

    def _give_stream(self, line: Line, order: Order, *, held: bool) -> str:
        """Carry it to its end, and return what the command said if it failed."""
        command = self.host.start((*(() if held else POLITELY), *self.store.server_argv(order)))
        try:
            line.send(PeerReply(ok=True))
            Stream(line, command.stdout, command.stdin, Throttle(order.bandwidth, patient=not held)).carry()
            code, words = command.wait(_SERVER_SECONDS)
        except RoostError:
            command.kill()
            raise
        finally:
            # The target sees the end of the stream by it.
            line.close()
        if not code:
            return ""
        _log.warning("move: the source's end of the stream", move=order.move, status=code, words=words)
        return words[-_WORDS_MAX:]

    def _why(self, move: int) -> str:
        try:
            return self._words[move].result(_SERVER_SECONDS / 6)
        except (KeyError, TimeoutError):
            return ""

    def _hold(self, request: PeerRequest, order: Order) -> PeerReply:
        """Close the mailbox, once for each attempt."""
        with self._locks[order.move]:
            if order.wanted is not Wanted.HAND_OVER or request.attempt != order.attempt:
                raise DaemonFailed(f"It is time to {order.wanted} (attempt {order.attempt}), not to hold.")
            if self._tried.get(order.move) == order.attempt or self._stand(order.move):
                raise DaemonFailed(f"Attempt {order.attempt} was made already.")
            self._tried[order.move] = order.attempt
            ports = self.rooms.open(order.move, PROTOCOLS)
            timer = threading.Timer(order.hold, self._overdue, [order.move])
            timer.daemon = True
            hold = self._holds[order.move] = _Hold(order, time.monotonic(), timer)
            timer.start()
            step(order.move, "hold", attempt=order.attempt)
            try:
                ticket = self.store.hold(order, order.hold, ports)
            except RoostError:
                self._lift(order.move)
                raise
            hold.evidence = self._pool.submit(self.store.evidence, order, deep=request.deep)
            step(order.move, "held", ms=_since(hold.began))
            memory = base64.b64encode(self.store.memory(order)).decode("ascii")
            return PeerReply(ok=True, memory=memory, ticket=ticket)

    def _evidence(self, request: PeerRequest, order: Order) -> Evidence:
        hold = self._holds.get(order.move)
        if hold is None or hold.evidence is None:
            return self.store.evidence(order, deep=request.deep)
        try:
            return hold.evidence.result(order.hold)
        except TimeoutError as error:
            raise DaemonFailed("The evidence was not there in time.") from error

    def _give_away(self, request: PeerRequest, order: Order) -> PeerReply:
        """The hand-over. Both sides compare: neither believes the other."""
        # Before the lock is taken, which the deadline needs.
        mine, theirs = self._evidence(request, order), Evidence.of_text(request.evidence)
        if found := differences(mine, theirs):
            raise DaemonFailed(" ".join(found[:5]))
        with self._locks[order.move]:
            hold = self._holds.get(order.move)
            if hold is None or order.wanted is not Wanted.HAND_OVER or request.attempt != order.attempt:
                raise DaemonFailed("The hold is over.")
            body = {
                "source": json.loads(mine.text()),
                "target": json.loads(theirs.text()),
                "pause_ms": _since(hold.began),
                "versions": {"source": self.store.version(), "target": request.version},
            }
            if not self.store.give_away(order.move, json.dumps(body, ensure_ascii=False, separators=(",", ":"))):
                raise DaemonFailed("The deadline has come.")
            hold.timer.cancel()
            del self._holds[order.move]
            waited = self.rooms.release(order.move, self.store.peer_address(order.peer), self.store.ports())
            step(order.move, "given-away", pause_ms=body["pause_ms"], waited=waited)
        self.gave_away()
        return PeerReply(ok=True)

    def lift(self, move: int) -> None:
        """End a hold, if one stands: the mailbox is as it was before."""
        with self._locks[move]:
            self._lift(move)

    def _lift(self, move: int) -> None:
        hold = self._holds.pop(move, None)
        if hold is not None:
            hold.timer.cancel()
        if self._stand(move) != Stand.MOVED:
            self.store.lift(move)
            waited = self.rooms.release(move, self.store.own_address(), self.store.ports())
            if hold is not None:
                step(move, "lifted", ms=_since(hold.began), waited=waited)

    def _overdue(self, move: int) -> None:
        """The deadline has come."""
        try:
            self.lift(move)
        except RoostError as error:
            _log.error("move: a hold could not be lifted; it is tried again", move=move, reason=str(error))
            again = threading.Timer(0.5, self._overdue, [move])
            again.daemon = True
            again.start()

    def _stand(self, move: int) -> str:
        for standing in self.store.standings():
            if standing.move == move:
                return str(standing.stand)
        return ""

    def held(self) -> list[int]:
        """Return the moves whose holds stand."""
        return list(self._holds)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
