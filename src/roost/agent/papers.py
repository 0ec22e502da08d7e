"""By what the agents of two nodes know each other, and where one listens for the others."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, TLS_CA, TLS_CERTIFICATE, TLS_KEY
from roost.wire import peer


@dataclass(frozen=True)
class Papers:
    """PEM files by which nodes know each other, and where a node listens for the others."""

    authority: str = TLS_CA
    identity: str = IDENTITY_CERTIFICATE
    identity_key: str = IDENTITY_KEY
    service: str = TLS_CERTIFICATE
    service_key: str = TLS_KEY
    listen: str = "::"
    port: int = peer.PORT


def listening(papers: Papers) -> socket.socket:
    """Return the listening socket: IPv6 takes IPv4 as well where the machine has it."""
    try:
        if ":" in papers.listen:
            return socket.create_server(
                (papers.listen, papers.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
            )
    except (OSError, ValueError):
        return socket.create_server(("0.0.0.0", papers.port), backlog=64)  # noqa: S104 - whoever asks shows a certificate
    return socket.create_server((papers.listen, papers.port), backlog=64)
