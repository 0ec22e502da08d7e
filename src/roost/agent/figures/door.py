"""Where figures are asked for: ``GET /metrics`` over HTTPS, on a port of its own.

Let in is who comes from a controller's address or from one that the policy's ``metrics_from`` names, and shows a
certificate of the cluster's CA that was made for monitoring (``roost metrics certificate``) or is a controller's. The
address alone opens nothing; it keeps strangers from taking the few places that there are.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

import structlog

from roost.agent.listener import Listener
from roost.agent.papers import Papers
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import Forbidden, RoostError
from roost.domain.figures import Figure, Told
from roost.wire import peer
from roost.wire.exposition import CONTENT_TYPE, exposition
from roost.wire.monitoring import Holder, holder_of

_PLACES = 8
"""Most connections at once: each monitoring system holds one open."""

_IDLE_SECONDS = 150.0
_log = structlog.get_logger()


class _Request(BaseHTTPRequestHandler):
    """One connection of somebody who was let in; several requests may follow each other."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "roost", ""
    timeout = _IDLE_SECONDS
    server: Any  # the Door

    def do_GET(self) -> None:
        """Answer with the figures."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self.server.text()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it is asked every few seconds."""


class Door:
    """One per agent. ``settings`` returns the node's, ``told`` the figures as they are now."""

    def __init__(
        self, told: Callable[[], list[Told]], settings: Callable[[], NodeSettings | None], papers: Papers
    ) -> None:
        self._told = told
        self._settings = settings
        self._papers = papers
        self._places = threading.BoundedSemaphore(_PLACES)
        self._expires = 0.0
        self._listener = Listener("figures", papers, self._taken)

    def start(self) -> None:
        """Begin; returns at once."""
        self._listener.start()

    def stop(self) -> None:
        """End; an answer that is being given is not waited for."""
        self._listener.stop()

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        told = self._told()
        if self._expires:
            told.append(Figure("roost_certificate_expires_timestamp_seconds", self._expires, ("monitoring",)))
        return exposition(told)

    def _taken(self, plain: socket.socket, address: str) -> None:
        settings = self._settings()
        if settings is None or not may_come(settings, address) or not self._places.acquire(blocking=False):
            plain.close()
            return
        threading.Thread(target=self._serve, args=(plain, address, settings), name="figures", daemon=True).start()

    def _serve(self, plain: socket.socket, address: str, settings: NodeSettings) -> None:
        papers = self._papers
        try:
            secure, shown = peer.secured(
                plain, authority=papers.authority, certificate=papers.service, key=papers.service_key
            )
            with secure:
                self._let_in(holder_of(shown), settings)
                _Request(secure, (address, 0), self)  # type: ignore[arg-type]
        except RoostError as error:
            _log.warning("figures: a connection was refused", address=address, reason=str(error))
        except OSError as error:
            _log.debug("figures: a connection ended", address=address, reason=str(error))
        finally:
            self._places.release()

    def _let_in(self, holder: Holder, settings: NodeSettings) -> None:
        """Raise ``Forbidden`` unless the certificate is for monitoring, or a controller's."""
        if holder.monitoring:
            self._expires = holder.expires
        elif holder.node not in {peer.name for peer in settings.having(Role.CONTROL)}:
            raise Forbidden(f"{holder.node} may not read figures.")


def may_come(settings: NodeSettings, address: str) -> bool:
    """Say whether the settings let this address come; the machine itself always may."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_loopback:
        return True
    controllers = {one for control in settings.having(Role.CONTROL) for one in control.addresses}
    networks = map(ipaddress.ip_network, (*controllers, *settings.policy.metrics_from))
    return any(found in network for network in networks if network.version == found.version)
