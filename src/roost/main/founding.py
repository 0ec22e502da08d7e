"""Founding a cluster: its CA, its store, its first node and its first key. Here the parts meet."""

from __future__ import annotations

import os
import pwd

from roost.control import keys, passwords
from roost.control.authority import Authority
from roost.domain.cluster import Node, Policy
from roost.domain.errors import AlreadyExists, BadSetting
from roost.domain.names import host_name
from roost.host.clock import WallClock
from roost.host.machine import Machine
from roost.host.systemd import Systemd
from roost.main.settings import CONTROLLER_FILE, CONTROLLER_STATE, ControllerSettings, toml_of
from roost.ports.host import File
from roost.store import open_store

_USER = "roost"
_CLI_FILE, _CLI_KEY, _CLI_CA = "/etc/roost/cli.toml", "/etc/roost/admin.key", "/etc/roost/controller-ca.crt"


def found(domain: str, *, name: str, addresses: list[str], listen: str, store: str, start: bool) -> None:
    """Make this machine the controller of a new cluster; see ``roost controller init``.

    Raises ``AlreadyExists`` where it is a controller, ``BadSetting`` where the package has not made its user. A
    founding that was cut off goes on with the CA that is there.
    """
    host, clock = Machine(), WallClock()
    domain = host_name(domain, field="domain")
    node = Node.parse(name, ["control"], addresses)
    settings = ControllerSettings([node.name, *node.addresses, "localhost", "127.0.0.1"], listen, store)
    port = settings.address()[1]
    if host.read(str(CONTROLLER_FILE)) is not None:
        raise AlreadyExists(
            f"{CONTROLLER_FILE} exists: this machine is a controller already.",
            remedy=f"To begin anew, remove it and {CONTROLLER_STATE} (all of the cluster's data).",
        )
    uid, gid = _owner()
    host.make_folder("/etc/roost", 0o755)
    host.make_folder(str(CONTROLLER_STATE), 0o700, f"{_USER}:{_USER}")
    key_path, certificate_path = f"{CONTROLLER_STATE}/ca.key", f"{CONTROLLER_STATE}/ca.crt"
    held = host.read(certificate_path)
    if held is None:
        key, certificate = Authority.create(domain, clock.now())
        host.write(File(key_path, key, 0o600, f"{_USER}:{_USER}"))
        held = File(certificate_path, certificate, 0o644, f"{_USER}:{_USER}")
        host.write(held)
    opened = open_store(store)
    try:
        with opened.write("founder") as tx:
            tx.set_cluster(domain, Policy())
            tx.put_node(node, "node added")
            # From the start, or every node would be changed once more when the first prober asks.
            tx.set_probe(passwords.new_secret())
        made = keys.make(opened, "founder", "root on the controller", clock.now(), None)
    finally:
        opened.close()
    for path in CONTROLLER_STATE.rglob("*"):
        os.chown(path, uid, gid)
    host.write(File(_CLI_CA, held.content))
    host.write(File(_CLI_KEY, made.text + "\n", 0o600))
    host.write(File(_CLI_FILE, f'url = "https://{node.name}:{port}"\nca = "{_CLI_CA}"\nkey_file = "{_CLI_KEY}"\n'))
    # The settings come last: their being there means that everything before them is.
    host.write(File(str(CONTROLLER_FILE), toml_of(settings), 0o640, f"root:{_USER}"))
    if start:
        Systemd(host).enable("roost-controller.service")


def _owner() -> tuple[int, int]:
    """Return the numbers of the user as whom the controller runs; asked for before anything is made."""
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError as error:
        raise BadSetting(
            f"There is no user {_USER}.", remedy="Install the Debian package, which makes it."
        ) from error
    return entry.pw_uid, entry.pw_gid
