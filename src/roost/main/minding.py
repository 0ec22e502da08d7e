"""Running the agent: drivers, host and client put together. Nothing is decided here."""

from __future__ import annotations

import gc
import signal

from roost.agent.disk import Disk
from roost.agent.loop import Agent
from roost.agent.moving.mover import Mover
from roost.agent.node import Node
from roost.domain.errors import RoostError
from roost.host import facts
from roost.host.clock import WallClock
from roost.host.machine import Machine
from roost.host.systemd import Systemd
from roost.main.drivers import drivers
from roost.main.settings import AgentSettings
from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, TLS_CA
from roost.wire.controller import ControllerClient

_COLLECT_AFTER = (20_000, 20, 20)
"""When Python looks for garbage in cycles (gc.set_threshold): rows have none, and a full table has a great many."""


def mind(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT; the work in hand is done first."""
    gc.set_threshold(*_COLLECT_AFTER)
    host, clock = Machine(), WallClock()

    def connect() -> ControllerClient:
        authority = host.read(TLS_CA)
        if authority is None:
            raise RoostError(f"{TLS_CA} is missing.", remedy="Let the node join again.")
        return ControllerClient(settings.controller, authority.content, IDENTITY_CERTIFICATE, IDENTITY_KEY)

    node = Node(drivers(clock), host, Systemd(host), Disk(host), lambda: facts.gather(host))
    mover = Mover(host, node.mailstore, connect)
    node.taken = mover.nudge
    agent = Agent(node, host, clock, connect)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    mover.start()
    try:
        agent.run()
    finally:
        mover.stop()
