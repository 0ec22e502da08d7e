"""The controller: founding a cluster, and running its API. Here the parts meet; nothing is decided here."""

from __future__ import annotations

import asyncio
import os
import pwd
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import cyclopts
import structlog
from cyclopts import Parameter

from roost.domain.cluster import Node, Policy
from roost.domain.errors import AlreadyExists, BadSetting
from roost.domain.names import host_name
from roost.main.settings import (
    CONTROLLER_FILE,
    CONTROLLER_STATE,
    DEFAULT_STORE,
    ControllerSettings,
    read,
    toml_of,
)
from roost.ports.host import File

app = cyclopts.App(name="controller", help="Found a cluster, and run its controller.")
_USER = "roost"
_RENEW_EVERY = timedelta(days=1)
_CLI_FILE, _CLI_KEY, _CLI_CA = "/etc/roost/cli.toml", "/etc/roost/admin.key", "/etc/roost/controller-ca.crt"


@app.command
def init(
    domain: str,
    *,
    name: str,
    address: Annotated[list[str], Parameter(negative=())],
    listen: str = "0.0.0.0:8443",
    store: str = DEFAULT_STORE,
    start: bool = True,
) -> None:
    """Found a cluster on this machine, which becomes its controller.

    Makes the private CA, the store and the first administrator's key (for root on this machine), and starts the
    controller. The machine becomes the cluster's first node, in the role ``control``; let it join like any other.

    Examples
    --------
    roost controller init example.net --name control.example.net --address 192.0.2.1

    Parameters
    ----------
    domain:
        The cluster's own domain, below which its nodes are named.
    name:
        This machine's full host name.
    address:
        Its IP addresses.
    listen:
        Where the API listens.
    store:
        URL of the store: SQLite, or postgresql+psycopg://user@host/database.
    start:
        Enable and start roost-controller.service.
    """
    from roost.control import keys
    from roost.control.authority import Authority
    from roost.host.clock import WallClock
    from roost.host.machine import Machine
    from roost.host.systemd import Systemd
    from roost.store import open_store

    host, clock = Machine(), WallClock()
    domain = host_name(domain, field="domain")
    node = Node.parse(name, ["control"], address)
    if host.read(str(CONTROLLER_FILE)) is not None:
        raise AlreadyExists(
            f"{CONTROLLER_FILE} exists: this machine is a controller already.",
            remedy=f"To begin anew, remove it and {CONTROLLER_STATE} (all of the cluster's data).",
        )
    owner = f"{_USER}:{_USER}"
    host.make_folder("/etc/roost", 0o755)
    host.make_folder(str(CONTROLLER_STATE), 0o700, owner)
    key, certificate = Authority.create(domain, clock.now())
    host.write(File(f"{CONTROLLER_STATE}/ca.key", key, 0o600, owner))
    host.write(File(f"{CONTROLLER_STATE}/ca.crt", certificate, 0o644, owner))
    opened = open_store(store)
    with opened.write("founder") as tx:
        tx.set_cluster(domain, Policy())
        tx.put_node(node, "node added")
    made = keys.make(opened, "founder", "root on the controller", clock.now(), None)
    opened.close()
    _own(CONTROLLER_STATE)
    port = ControllerSettings([], listen).address()[1]
    host.write(File(_CLI_CA, certificate))
    host.write(File(_CLI_KEY, made.text + "\n", 0o600))
    host.write(File(_CLI_FILE, f'url = "https://{node.name}:{port}"\nca = "{_CLI_CA}"\nkey_file = "{_CLI_KEY}"\n'))
    names = [node.name, *node.addresses, "localhost", "127.0.0.1"]
    settings = ControllerSettings(names, listen, store)
    # The settings come last: their being there means that everything before them is.
    host.write(File(str(CONTROLLER_FILE), toml_of(settings), 0o640, f"root:{_USER}"))
    if start:
        Systemd(host).enable("roost-controller.service")


def _own(folder: Path) -> None:
    """Give what root has made to the user as whom the controller runs."""
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError as error:
        raise BadSetting(
            f"There is no user {_USER}.", remedy="Install the Debian package, which makes it."
        ) from error
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid)


@app.command
def run(*, settings: Path = CONTROLLER_FILE, state: Path = CONTROLLER_STATE) -> None:
    """Run the controller in the foreground, as its systemd unit does.

    Examples
    --------
    systemctl start roost-controller

    Parameters
    ----------
    settings:
        The settings file.
    state:
        The folder with the CA.
    """
    asyncio.run(_serve(read(settings, ControllerSettings), state))


async def _serve(settings: ControllerSettings, state: Path) -> None:
    import uvicorn

    from roost.api.app import build
    from roost.api.identity import PeerCertificateProtocol
    from roost.api.parts import Parts
    from roost.api.wakeup import Wakeup
    from roost.control.authority import Authority
    from roost.control.feed import Feed
    from roost.control.followers import Followers
    from roost.host.clock import WallClock
    from roost.store import open_backups, open_store
    from roost.wire.agent_messages import FEED_ROWS

    store, clock = open_store(settings.store), WallClock()
    authority = Authority((state / "ca.key").read_text(), (state / "ca.crt").read_text())
    with store.read() as view:
        followers = Followers(view.positions())
    parts = Parts(
        store,
        open_backups(settings.store, store, aside=state),
        clock,
        authority,
        Feed(store, FEED_ROWS),
        followers,
        Wakeup(),
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
    config.load()
    assert config.ssl is not None  # noqa: S101 - the options above say so
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    renewal = asyncio.create_task(_renew(config.ssl, authority, settings.names, state))
    structlog.get_logger().info("controller ready", listen=settings.listen, names=" ".join(settings.names))
    try:
        await uvicorn.Server(config).serve()
    finally:
        renewal.cancel()
        store.close()


def _server_certificate(authority: object, names: list[str], state: Path) -> tuple[Path, Path]:
    """Make a fresh key and certificate for the API; the CA is at hand, so nothing need be kept."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from roost.control.authority import Authority, key_to_pem
    from roost.host.clock import WallClock

    assert isinstance(authority, Authority)  # noqa: S101 - typed loosely so that the import stays lazy
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    certificate_path, key_path = state / "api.crt", state / "api.key"
    key_path.touch(mode=0o600)
    key_path.write_text(key_to_pem(key))
    certificate_path.write_text(authority.sign_service(pem, names, WallClock().now()))
    return certificate_path, key_path


async def _renew(context: ssl.SSLContext, authority: object, names: list[str], state: Path) -> None:
    """Renew the API's certificate every day: new connections get it, those that are open stay."""
    while True:
        await asyncio.sleep(_RENEW_EVERY.total_seconds())
        certificate, key = _server_certificate(authority, names, state)
        context.load_cert_chain(certificate, key)
