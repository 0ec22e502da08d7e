"""The agent: joining a cluster, and running. Here drivers, host and client meet; nothing is decided here."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import cyclopts

from roost.domain.errors import RoostError
from roost.main.settings import AGENT_FILE, AgentSettings, read, toml_of
from roost.ports.host import TLS_CA, File

app = cyclopts.App(name="agent", help="Run this machine's agent.")


def join(url: str, token: str = "-", *, start: bool = True) -> None:
    """Join this machine to a cluster, with the token that 'roost node add' printed.

    The machine's keys are made here and never leave it. The controller is recognised by the fingerprint in the token.
    Then roost-agent.service is started: it installs what the node's roles need and brings it to its settings.

    Examples
    --------
    roost join https://192.0.2.1:8443 TOKEN

    echo TOKEN | roost join https://192.0.2.1:8443

    Parameters
    ----------
    url:
        The controller's address.
    token:
        The one-time token; '-' reads it from standard input.
    start:
        Enable and start roost-agent.service.
    """
    from roost.agent import certificates
    from roost.host.machine import Machine
    from roost.host.systemd import Systemd
    from roost.wire import controller

    host = Machine()
    text = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105 - not a password
    wanted = certificates.requests(host, "joining")
    signed = controller.join(url, text, wanted.identity, wanted.service)
    certificates.install(host, signed)
    host.write(File(str(AGENT_FILE), toml_of(AgentSettings(url, signed.node))))
    if start:
        services = Systemd(host)
        services.enable("roost-agent.service")
        services.restart("roost-agent.service")


@app.command
def run(*, settings: Path = AGENT_FILE) -> None:
    """Run the agent in the foreground, as its systemd unit does.

    Examples
    --------
    systemctl start roost-agent

    Parameters
    ----------
    settings:
        The settings file.
    """
    from roost.agent.certificates import IDENTITY_CERTIFICATE, IDENTITY_KEY
    from roost.agent.disk import Disk
    from roost.agent.loop import Agent
    from roost.agent.node import Node
    from roost.host import facts
    from roost.host.clock import WallClock
    from roost.host.machine import Machine
    from roost.host.systemd import Systemd
    from roost.main.drivers import drivers
    from roost.wire.controller import ControllerClient

    wanted = read(settings, AgentSettings)
    host, clock = Machine(), WallClock()

    def connect() -> ControllerClient:
        authority = host.read(TLS_CA)
        if authority is None:
            raise RoostError(f"{TLS_CA} is missing.", remedy="Let the node join again.")
        return ControllerClient(wanted.controller, authority.content, IDENTITY_CERTIFICATE, IDENTITY_KEY)

    node = Node(drivers(clock), host, Systemd(host), Disk(host), lambda: facts.gather(host))
    agent = Agent(node, host, clock, connect)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
