"""Moves on this node: reads its orders, keeps a worker for each mailbox that comes, answers for each that goes.

The orders are the table ``moves``, kept by the feed like every other; so a node goes on with its moves while the
controller is away, and after a restart begins where it was.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from roost.agent.moving.reports import MoveTaker, Reports
from roost.agent.moving.source import Source
from roost.agent.moving.target import Worker
from roost.agent.moving.waiting_room import WaitingRooms
from roost.agent.papers import Papers, listening
from roost.domain.errors import NodeAway, RoostError
from roost.domain.move import Order, Part, Said, Wanted
from roost.ports.host import Host
from roost.ports.mailstore import Mailstore, Stand
from roost.wire import peer
from roost.wire.peer import Line

_LOOK_SECONDS = 1.0
_COUNT_SECONDS = 5.0
_log = structlog.get_logger()


class Mover:
    """One per agent. ``mailstore`` returns the mailboxes, None while there are none; ``connect`` the controller."""

    def __init__(
        self,
        host: Host,
        mailstore: Callable[[], Mailstore | None],
        connect: Callable[[], MoveTaker],
        papers: Papers | None = None,
    ) -> None:
        self._host = host
        self._mailstore = mailstore
        self._papers = papers or Papers()
        self._reports = Reports(connect)
        self._news = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="moves", daemon=True)
        self._rooms: WaitingRooms | None = None
        self._source: Source | None = None
        self._server: socket.socket | None = None
        self._workers: dict[int, Worker] = {}
        self._counted: dict[int, tuple[int, float]] = {}
        """For what was given away: sessions passed on, and since when it is that many."""

        self._looked = -_COUNT_SECONDS

    def start(self) -> None:
        """Begin; returns at once."""
        self._reports.start()
        self._thread.start()

    def nudge(self) -> None:
        """Look at the orders now."""
        self._news.set()

    def stop(self) -> None:
        """End soon: workers stop, holds are lifted."""
        self._stopped = True
        self._news.set()
        self._thread.join(10)
        self._reports.stop()
        for worker in list(self._workers.values()):
            worker.stop()
        if self._source is not None:
            for move in list(self._source.held()):
                self._source.lift(move)
        if self._server is not None:
            with contextlib.suppress(OSError):
                # Wakes the thread that accepts.
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        if self._rooms is not None:
            self._rooms.close()

    def _run(self) -> None:
        while not self._stopped:
            self._news.clear()
            try:
                store = self._mailstore()
                if store is not None:
                    self._turn(store)
            except RoostError as error:
                _log.warning("moves", reason=str(error))
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one turn is logged, the next may be good
                _log.exception("moves: a fault")
            self._news.wait(_LOOK_SECONDS)

    def _turn(self, store: Mailstore) -> None:
        if self._source is None:
            self._open(store)
        assert self._source is not None  # noqa: S101 - opened above
        orders = {order.move: order for order in store.orders()}
        for move in [move for move in self._workers if move not in orders]:
            self._workers.pop(move).stop()
        self._reports.keep(set(orders))
        self._source.notice()
        given = self._given_away(store, orders.values())
        for move, order in orders.items():
            if order.part is Part.SOURCE:
                self._leave(self._source, order, given)
            elif move in self._workers:
                self._workers[move].update(order)
            else:
                worker = self._workers[move] = Worker(order, store, self._host, self._connect, self._reports)
                worker.start()
        self._count(store, [order for order in orders.values() if order.wanted is Wanted.SETTLE])

    # The source

    def _open(self, store: Mailstore) -> None:
        """Begin to answer other nodes."""
        self._rooms = WaitingRooms()
        self._source = Source(store, self._host, self._rooms, self.nudge)
        self._server = listening(self._papers)
        threading.Thread(target=self._accept, name="other nodes", daemon=True).start()

    def _accept(self) -> None:
        assert self._server is not None  # noqa: S101 - opened before
        while not self._stopped:
            try:
                plain, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), name="another node", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        assert self._source is not None  # noqa: S101 - opened before
        papers = self._papers
        try:
            line, name = peer.accept(
                plain, authority=papers.authority, certificate=papers.service, key=papers.service_key
            )
        except RoostError as error:
            _log.warning("moves: a connection was refused", reason=str(error))
            return
        try:
            # Not before everything is loaded and put right: what is answered here, another node acts on.
            if self._mailstore() is not None:
                self._source.serve(line, name)
        except RoostError as error:
            _log.warning("moves: a connection ended", node=name, reason=str(error))
        except Exception:  # noqa: BLE001 - as above
            _log.exception("moves: a fault", node=name)
        finally:
            line.close()

    def _given_away(self, store: Mailstore, orders: Iterable[Order]) -> Mapping[int, str]:
        """Return the evidence of what was given away, by move: read once a turn, and only where somebody leaves."""
        if all(order.part is not Part.SOURCE or order.wanted is Wanted.SETTLE for order in orders):
            return {}
        return {standing.move: standing.evidence for standing in store.standings() if standing.stand is Stand.MOVED}

    def _leave(self, source: Source, order: Order, given: Mapping[int, str]) -> None:
        """Say what is to be said of a mailbox that leaves; ``given``: the evidence of those that have left."""
        if order.wanted is Wanted.SETTLE:
            return
        if order.move in given:
            self._reports.say(order, Said.MOVED, body=given[order.move])
        elif order.wanted is Wanted.DROP:
            source.lift(order.move)
            self._reports.say(order, Said.DROPPED)

    def _count(self, store: Mailstore, settling: Sequence[Order]) -> None:
        """Say who still comes by an old DNS answer."""
        now = time.monotonic()
        if not settling or now - self._looked < _COUNT_SECONDS:
            return
        passed_on, self._looked = store.passed_on(), now
        before, self._counted = self._counted, {}
        for order in settling:
            found = passed_on.get(order.address, 0)
            sessions, since = before.get(order.move, (-1, now))
            self._counted[order.move] = (found, since if found == sessions else now)
            body = json.dumps({"sessions": found, "idle": round(now - self._counted[order.move][1])})
            self._reports.say(order, Said.PASSED_ON, body=body)

    # The target

    def _connect(self, order: Order) -> Line:
        store, papers = self._mailstore(), self._papers
        if store is None:
            raise NodeAway("This node has no mailboxes any more.")
        return peer.connect(
            store.peer_address(order.peer),
            order.peer,
            authority=papers.authority,
            certificate=papers.identity,
            key=papers.identity_key,
            port=papers.port,
        )
