"""Running the controller: store, use cases and API put together and served over TLS. Nothing is decided here."""

from __future__ import annotations

import asyncio
import gc
import ssl
from datetime import timedelta
from pathlib import Path
from socket import socket

import structlog
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.api.app import build
from roost.api.identity import PeerCertificateProtocol
from roost.api.parts import Parts
from roost.api.wakeup import Wakeup
from roost.control.authority import Authority, key_to_pem
from roost.control.balancer import Balancer
from roost.control.drainer import Drainer
from roost.control.feed import Feed
from roost.control.followers import Followers
from roost.control.mover import Mover
from roost.control.probes import Probes
from roost.control.status import status
from roost.control.traces import OfLogNode
from roost.domain.cluster import Node, Role
from roost.domain.errors import BadSetting
from roost.host import notify
from roost.host.clock import WallClock
from roost.main.settings import ControllerSettings
from roost.ports.store import Store
from roost.store import open_backups, open_store
from roost.wire.agent_messages import FEED_ROWS
from roost.wire.peer import connect
from roost.wire.traces import PORT as TRACE_PORT
from roost.wire.traces import RemoteTraces
from roost.wire.world import PublicDns

_RENEW_EVERY = timedelta(days=1)
_COLLECT_AFTER = (20_000, 20, 20)
"""When Python looks for garbage in cycles (gc.set_threshold): rows have none, and an import makes very many."""
_log = structlog.get_logger()


def serve(settings: ControllerSettings, state: Path) -> None:
    """Serve the API until SIGTERM or SIGINT; ``state`` is the folder with the CA."""
    gc.set_threshold(*_COLLECT_AFTER)
    asyncio.run(_serve(settings, state))


class _Server(uvicorn.Server):
    """Tells systemd once it listens, so that whoever has started the unit can use the API."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify.ready()
            _log.info("controller ready", listen=f"{self.config.host}:{self.config.port}")


async def _serve(settings: ControllerSettings, state: Path) -> None:
    store, clock = open_store(settings.store), WallClock()
    authority = _authority(state)
    with store.read() as view:
        followers = Followers(view.positions())
    backups = open_backups(settings.store, store, aside=state)
    mover = Mover(store, followers, clock, authority)
    feed, probes = Feed(store, FEED_ROWS), Probes(clock.now())
    drainer = Drainer(store, followers, clock, PublicDns())
    balancer = Balancer(
        store, followers, clock, lambda: status(store, followers, mover, drainer, probes, now=clock.now()).warnings
    )
    traces = _traces(store, state)
    parts = Parts(
        store, backups, clock, authority, feed, followers, Wakeup(), mover, drainer, probes, balancer, traces
    )
    address, port = settings.address()
    certificate, key = _server_certificate(authority, settings.names, state)
    config = uvicorn.Config(
        build(parts),
        host=address,
        port=port,
        http=PeerCertificateProtocol,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        ssl_ca_certs=str(state / "ca.crt"),
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )
    _write_identity(authority, store, state)
    config.load()
    assert config.ssl is not None  # noqa: S101 - the options above say so
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    renewal = asyncio.create_task(_renew(config.ssl, authority, settings.names, store, state))
    try:
        await _Server(config).serve()
    finally:
        renewal.cancel()
        store.close()


def _authority(state: Path) -> Authority:
    try:
        return Authority((state / "ca.key").read_text(), (state / "ca.crt").read_text())
    except OSError as error:
        raise BadSetting(
            f"The cluster's CA cannot be read: {error}.", remedy=f"Put ca.key and ca.crt back into {state}."
        ) from error


def _new_key(path: Path) -> str:
    """Write a fresh key and return a request for its certificate; the CA is at hand, so nothing need be kept."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    path.touch(mode=0o600)
    path.write_text(key_to_pem(key))
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _server_certificate(authority: Authority, names: list[str], state: Path) -> tuple[Path, Path]:
    """Make key and certificate for the API."""
    certificate_path, key_path = state / "api.crt", state / "api.key"
    certificate_path.write_text(authority.sign_service(_new_key(key_path), names, WallClock().now()))
    return certificate_path, key_path


def _write_identity(authority: Authority, store: Store, state: Path) -> None:
    """Make key and certificate with which the controller asks the log node: it is a node like the others."""
    with store.read() as view:
        name = next((node.name for node in view.cluster().nodes if Role.CONTROL in node.roles), "")
    if name:
        request = _new_key(state / "node.key")
        (state / "node.crt").write_text(authority.sign_identity(request, name, WallClock().now()))


def _traces(store: Store, state: Path) -> OfLogNode:
    """Return what asks the log node's agent."""

    def reach(node: Node) -> RemoteTraces:
        return RemoteTraces(
            lambda: connect(
                node.addresses[0],
                node.name,
                authority=str(state / "ca.crt"),
                certificate=str(state / "node.crt"),
                key=str(state / "node.key"),
                port=TRACE_PORT,
            )
        )

    return OfLogNode(store, reach)


async def _renew(context: ssl.SSLContext, authority: Authority, names: list[str], store: Store, state: Path) -> None:
    """Renew the API's certificate every day: new connections get it, those that are open stay."""
    while True:
        await asyncio.sleep(_RENEW_EVERY.total_seconds())
        certificate, key = _server_certificate(authority, names, state)
        context.load_cert_chain(certificate, key)
        _write_identity(authority, store, state)
