"""The rules of a home, an MX and a log node: pure, from its settings, in the words of nft(8) when it lists them."""

from __future__ import annotations

import ipaddress

import jinja2

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.logs import FIRST_PORT, PORTS, ports_of
from roost.ports.host import File

LMTP_PORT = 24
PEER_PORT = 8444
"""Where the agents of storage nodes call each other in a move."""

LESSONS_PORT = 8445
"""Where the agents of MX hosts take from the homes what their filters are to learn."""

WAY_OUT_PORT = 10025
"""Where the MX hosts take from the homes what users' rules send to the world."""

TRACES_PORT = 8446
"""Where the agent of a log node answers the controller what became of mail."""

FIGURES_PORT = 8447
"""Where every agent serves its figures."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.nftables", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the file is nft's language, not HTML
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(settings: NodeSettings, path: str) -> tuple[File, ...]:
    """Return the one file."""
    home, log = Role.STORAGE in settings.roles, Role.LOG in settings.roles
    taught = not {Role.MX, Role.BACKUP_MX}.isdisjoint(settings.roles)
    wanted = {"mx": (Role.MX, home), "homes": (Role.STORAGE, home or taught), "controllers": (Role.CONTROL, log)}
    values = {
        "node": settings.node,
        "sets": {name: _addresses(settings, role) for name, (role, used) in wanted.items() if used},
        "monitors": _monitors(settings),
        "senders": _senders(settings) if log else {},
        "home": home,
        "taught": taught,
        "relays": Role.MX in settings.roles,
        "first": FIRST_PORT,
        "last": FIRST_PORT + PORTS - 1,
        "lmtp": LMTP_PORT,
        "peer": PEER_PORT,
        "lessons": LESSONS_PORT,
        "way_out": WAY_OUT_PORT,
        "traces": TRACES_PORT,
        "figures": FIGURES_PORT,
    }
    return (File(path, _TEMPLATES.get_template("nftables.conf.j2").render(values), 0o600),)


def _addresses(settings: NodeSettings, role: Role) -> dict[str, list[str]]:
    """Return the addresses of a role's nodes by their family."""
    found: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
    for text in sorted({address for peer in settings.having(role) for address in peer.addresses}):
        found[f"ipv{ipaddress.ip_address(text).version}"].append(text)
    return found


def _monitors(settings: NodeSettings) -> dict[str, list[str]]:
    """Return the networks that may ask for figures, by family, none within another: nft refuses such a set."""
    controllers = (address for peer in settings.having(Role.CONTROL) for address in peer.addresses)
    networks = [ipaddress.ip_network(text) for text in (*controllers, *settings.policy.metrics_from)]
    found: dict[str, list[str]] = {}
    for version, whole in ((4, 32), (6, 128)):
        apart = ipaddress.collapse_addresses(n for n in networks if n.version == version)  # type: ignore[type-var]
        found[f"ipv{version}"] = [str(n.network_address) if n.prefixlen == whole else str(n) for n in apart]
    return found


def _senders(settings: NodeSettings) -> dict[str, list[str]]:
    """Return who may come to which port of a log node, by family: ``ADDRESS . PORT``, as nft writes it."""
    ports = ports_of(peer.name for peer in settings.peers)
    found: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
    for address, port in sorted((a, ports[peer.name]) for peer in settings.peers for a in peer.addresses):
        found[f"ipv{ipaddress.ip_address(address).version}"].append(f"{address} . {port}")
    return found


def same_rules(file: str, listed: str) -> bool:
    """Say whether the table in the file is the one that ``nft list table`` printed.

    Versions of nft break lines differently and put the members of a set in different orders; nothing else differs.
    """
    _, _, table = file.partition("delete table inet roost\n")
    return _words(table) == _words(listed)


def _words(text: str) -> list[str]:
    return sorted(text.replace(",", " ").split())
