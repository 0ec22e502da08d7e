"""The rules of a storage node: pure, from its settings, in the words that nft(8) itself prints when it lists them."""

from __future__ import annotations

import ipaddress

import jinja2

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.ports.host import File

LMTP_PORT = 24
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.nftables", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the file is nft's language, not HTML
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(settings: NodeSettings, path: str) -> tuple[File, ...]:
    """Return the one file."""
    sets: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
    for text in sorted({address for peer in settings.having(Role.MX) for address in peer.addresses}):
        sets[f"ipv{ipaddress.ip_address(text).version}"].append(text)
    values = {"node": settings.node, "sets": sets, "port": LMTP_PORT}
    return (File(path, _TEMPLATES.get_template("nftables.conf.j2").render(values), 0o600),)


def same_rules(file: str, listed: str) -> bool:
    """Say whether the table in the file is the one that ``nft list table`` printed.

    Versions of nft break lines differently and put the members of a set in different orders; nothing else differs.
    """
    _, _, table = file.partition("delete table inet roost\n")
    return _words(table) == _words(listed)


def _words(text: str) -> list[str]:
    return sorted(text.replace(",", " ").split())
