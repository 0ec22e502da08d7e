"""The agent's two threads: one follows the controller, one minds the machine.

*Following*: ask, be held until there is news, apply it, ask again; the next question's positions acknowledge it. The
controller away: ask again after a growing pause, at most ``_PAUSE_MAX``. *Minding*, every ``_TICK_SECONDS``: the
drivers' small work; every ``_WATCH_SECONDS``: are the files as they should be, do the daemons live, are the
certificates good for long enough; every ``_CHECK_SECONDS``: compare the tables. Minding goes on without a controller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from roost.agent import certificates
from roost.agent.node import Node
from roost.domain.errors import Forbidden, RoostError
from roost.domain.figures import Glance
from roost.ports.clock import Clock
from roost.ports.host import Host
from roost.wire.agent_messages import CertificateRequest, DriftReport, FeedReply, FeedRequest
from roost.wire.controller import ControllerClient

_PAUSE_MIN, _PAUSE_MAX = 0.2, 5.0
_FORBIDDEN_PAUSE = 30.0
_WAIT_SECONDS = 25.0
_TICK_SECONDS = 3.0
_WATCH_SECONDS = 60.0
_RETRY_SECONDS = 10.0
_CHECK_SECONDS = 3600.0
_log = structlog.get_logger()


class Agent:
    """One per machine. ``connect`` makes a client with the certificates as they are on disk now.

    ``glance`` returns the few figures that the controller is told, given the time.
    """

    def __init__(
        self,
        node: Node,
        host: Host,
        clock: Clock,
        connect: Callable[[], ControllerClient],
        glance: Callable[[float], Glance] = Glance,
    ) -> None:
        self._node = node
        self._glance = glance
        self._host = host
        self._clock = clock
        self._connect = connect
        self._stopping = threading.Event()
        self._client_lock = threading.Lock()
        self._client: ControllerClient | None = None

    def stop(self) -> None:
        """End both threads soon."""
        self._stopping.set()

    def run(self) -> None:
        """Work until ``stop``. First the node is brought to what it has on disk, with no controller needed."""
        self._node.recover()
        self._node.converge()
        follower = threading.Thread(target=self._follow, name="follow", daemon=True)
        follower.start()
        self._mind()
        # The follower ends with the process: not in the middle of a change, such as an installation of packages.
        self._node.rest()

    # Following

    def _follow(self) -> None:
        pause = _PAUSE_MIN
        while not self._stopping.is_set():
            try:
                self._turn()
                pause = _PAUSE_MIN
            except Forbidden as error:
                _log.error("the controller refuses this node", reason=str(error))
                self._stopping.wait(_FORBIDDEN_PAUSE)
            except RoostError as error:
                _log.warning("no turn", reason=str(error), pause=pause)
                self._reconnect()
                self._stopping.wait(pause)
                pause = min(pause * 2, _PAUSE_MAX)
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one turn is logged, the next may be good
                _log.exception("a turn failed")
                self._stopping.wait(_PAUSE_MAX)

    def _turn(self) -> None:
        node, client = self._node, self._controller()
        node.unload_emptied()
        positions = node.positions()
        paused = node.paused()
        settled = node.settings is not None and node.loaded() and not paused
        request = FeedRequest(
            epoch=node.state.epoch,
            positions=positions,
            held=node.settings.revision if node.settings else -1,
            paused=paused,
            health=node.complaints(),
            checked=node.state.checked,
            glance=self._glance(self._clock.now().timestamp()),
            wait=_WAIT_SECONDS if settled else 0.5,
        )
        reply = client.feed(request)
        node.answered = self._clock.now().timestamp()
        self._take(reply, request)

    def _take(self, reply: FeedReply, request: FeedRequest) -> None:
        node = self._node
        if reply.settings is not None:
            self._renew(reply.settings.service_names, node=reply.settings.node)
            node.take_settings(reply.settings)
        if reply.epoch != node.state.epoch:
            node.adopt(reply.epoch, self._controller(), lifted=reply.lifted)
            if request.epoch:
                return
        for name, news in reply.tables.items():
            node.take_rows(name, news)
        if request.epoch == reply.epoch:
            asked = set(request.positions) - {"settings"} - set(request.paused)
            node.take_silence(asked, set(reply.tables))
        if reply.check > node.state.checked:
            self._check(reply.check, lifted=reply.lifted)

    def _check(self, number: int, *, lifted: bool = False) -> None:
        report = self._node.check(number, self._controller(), lifted=lifted)
        self._controller().drift(report)
        self._node.state.checked = max(self._node.state.checked, number)

    # Certificates and connection

    def _controller(self) -> ControllerClient:
        with self._client_lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _reconnect(self) -> None:
        with self._client_lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _renew(self, names: tuple[str, ...], *, node: str) -> None:
        why = certificates.due(self._host, names, self._clock.now())
        if not why:
            return
        wanted = certificates.requests(self._host, node)
        signed = self._controller().certificates(
            CertificateRequest(identity_request=wanted.identity, service_request=wanted.service)
        )
        certificates.install(self._host, signed)
        _log.info("certificates renewed", why=why)
        self._reconnect()

    # Minding

    def _mind(self) -> None:
        watched = checked = time.monotonic()
        while not self._stopping.wait(_TICK_SECONDS):
            try:
                self._node.tick()
                now = time.monotonic()
                if now - watched >= (_RETRY_SECONDS if self._node.health else _WATCH_SECONDS):
                    watched = now
                    self._watch()
                if now - checked >= _CHECK_SECONDS:
                    checked = now
                    self._check(self._node.state.checked)
            except RoostError as error:
                _log.warning("minding", reason=str(error))
            except Exception:  # noqa: BLE001 - as in _follow
                _log.exception("minding failed")

    def _watch(self) -> None:
        settings = self._node.settings
        found = self._node.converge()
        for finding in found:
            _log.warning("drift", driver=finding.driver, what=finding.what, found=finding.found)
        if settings is not None:
            self._renew(settings.service_names, node=settings.node)
        if found:
            # What was repaired is in the log here; the controller is told if it can be.
            number = self._node.state.checked
            self._controller().drift(
                DriftReport(number=number, whole=False, findings=found, rows_checked=0, seconds=0.0)
            )
