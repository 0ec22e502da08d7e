"""Joining a cluster: the machine's keys, its certificates, its settings file."""

from __future__ import annotations

from roost.agent import certificates
from roost.host.machine import Machine
from roost.host.systemd import Systemd
from roost.main.settings import AGENT_FILE, AgentSettings, toml_of
from roost.ports.host import File
from roost.wire import controller

_AGENT = "roost-agent.service"


def join(url: str, token: str, *, start: bool) -> None:
    """Make this machine a node of the cluster; see ``roost join``."""
    host = Machine()
    wanted = certificates.requests(host, "joining")
    signed = controller.join(url, token, wanted.identity, wanted.service)
    certificates.install(host, signed)
    host.write(File(str(AGENT_FILE), toml_of(AgentSettings(url, signed.node))))
    if start:
        services = Systemd(host)
        running = services.is_active(_AGENT)
        services.enable(_AGENT)
        if running:
            # It was a node already, and has the certificates of before.
            services.restart(_AGENT)
