"""The commands ``roost controller``: founding a cluster, and running its controller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from roost.main.settings import CONTROLLER_FILE, CONTROLLER_STATE, DEFAULT_STORE, ControllerSettings, read

app = cyclopts.App(name="controller", help="Found a cluster, and run its controller.")


@app.command
def init(
    domain: str,
    *,
    name: str,
    address: Annotated[list[str], Parameter(negative=())],
    listen: str = "0.0.0.0:8443",
    store: str = DEFAULT_STORE,
    no_start: bool = False,
) -> None:
    """Found a cluster on this machine, which becomes its controller.

    Makes the private CA, the store and the first administrator's key (for root on
    this machine), and starts the controller. The machine becomes the cluster's
    first node, in the role 'control'; let it join like any other.

    For example:
      roost controller init example.net --name c1.example.net --address 192.0.2.1

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
    no_start:
        Leave roost-controller.service off.
    """
    from roost.main.founding import found

    found(domain, name=name, addresses=address, listen=listen, store=store, start=not no_start)


@app.command
def run(*, settings: Path = CONTROLLER_FILE, state: Path = CONTROLLER_STATE) -> None:
    """Run the controller in the foreground, as its systemd unit does.

    For example:
      systemctl start roost-controller

    Parameters
    ----------
    settings:
        The settings file.
    state:
        The folder with the CA.
    """
    from roost.main import log_lines
    from roost.main.serving import serve

    log_lines.configure()
    serve(read(settings, ControllerSettings), state)
