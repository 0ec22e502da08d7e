"""What BIND's files should be: pure, from the settings of the node.

Three files: the main configuration, the records at the top of every zone, and an addition to the unit. The zones
themselves are data, not files of ours: BIND writes them from updates (``table.py``, ``zones.py``).
"""

from __future__ import annotations

import re

import jinja2

from roost.domain.cluster import Role
from roost.domain.desired import APEX_TTL, NodeSettings, Peer
from roost.drivers.bind.place import Place
from roost.ports.host import Facts, File

NEGATIVE_TTL = 60
"""Seconds for which a resolver may remember that a name is not there (SOA minimum, RFC 2308)."""

_ZONE = re.compile(r'^zone "([^"]+)" \{', re.MULTILINE)
_TRANSFER_KEY = re.compile(r'key "(roost-transfer\.[^"]+)"')

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.bind"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - these are not pages; every name was parsed at the border
)


def zones_of(settings: NodeSettings) -> tuple[str, ...]:
    """Return the zones that the server serves: the cluster's first, then every access zone, sorted."""
    access = {domain.access_zone for domain in settings.domains} - {settings.cluster_domain}
    return (settings.cluster_domain, *sorted(access))


def render(settings: NodeSettings, facts: Facts, place: Place) -> tuple[File, ...]:
    """Return the files. Nothing differs between BIND 9.18 and 9.20, so the facts are not looked at."""
    del facts
    # A node that is just getting the role may see itself alone.
    servers = settings.serving(Role.DNS) or (Peer(settings.node, settings.addresses, settings.roles),)
    named = _TEMPLATES.get_template("named.conf.j2").render(
        place=place,
        zones=zones_of(settings),
        transfer_key_name=f"roost-transfer.{settings.node}",
        secondaries=settings.policy.notify_secondaries,
        peer_addresses=sorted({address for peer in settings.peers for address in peer.addresses}),
    )
    apex = _TEMPLATES.get_template("roost.apex.j2").render(
        servers=servers, cluster_domain=settings.cluster_domain, ttl=APEX_TTL, negative_ttl=NEGATIVE_TTL
    )
    return (
        File(place.conf, named),
        File(place.apex, apex),
        File(place.drop_in, _TEMPLATES.get_template("unit.conf.j2").render()),
    )


def zones_in(conf: str) -> tuple[str, ...]:
    """Return the zones that a rendered configuration names, in its order."""
    return tuple(_ZONE.findall(conf))


def transfer_key_in(conf: str) -> str:
    """Return the name that a rendered configuration gives to this node's key for transfers; '' without one."""
    found = _TRANSFER_KEY.search(conf)
    return found.group(1) if found else ""
