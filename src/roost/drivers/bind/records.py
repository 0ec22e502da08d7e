"""Rows of the table ``names`` as DNS records, and back. Pure.

A row's key is ``owner/TYPE``, the owner in lower case without final dot; its value has ``zone``, ``ttl`` and
``data``. The canonical form of ``data`` is that which the store gives: addresses in numerical order as Python's
``ipaddress`` writes them, host names in lower case with final dot.

A record that no row can be (another type, an owner that is no host name) has the same form under a key that
begins with ``!``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

import dns.exception
import dns.name
import dns.rdatatype
import dns.rrset

from roost.domain.desired import Value
from roost.domain.errors import DaemonFailed

REVISION_LABEL = "_roost"
"""Owner, below each zone, of the TXT record with the revision that the zone has."""

STRANGE = "!"
_HOST = re.compile(r"[a-z0-9_*-]+(?:\.[a-z0-9_-]+)+")
_KINDS = {
    dns.rdatatype.CNAME: "CNAME",
    dns.rdatatype.A: "A",
    dns.rdatatype.AAAA: "AAAA",
}
_NUMBERS = {name: int(number) for number, name in _KINDS.items()}


def parse_key(key: str) -> tuple[str, int]:
    """Return owner and type of a key, with or without ``!``; raises ``DaemonFailed`` where it is not one."""
    owner, slash, kind = key.removeprefix(STRANGE).rpartition("/")
    if not slash:
        raise DaemonFailed(f"{key!r} is no key of a DNS record.")
    number = _NUMBERS.get(kind)
    if number is None:
        try:
            number = int(dns.rdatatype.from_text(kind))
        except (dns.exception.DNSException, ValueError) as error:
            raise DaemonFailed(f"{key!r} is no key of a DNS record: {error}.") from error
    return owner, number


def parse_value(key: str, kind: int, value: Value) -> tuple[int, list[str]]:
    """Return TTL and data of a value; raises ``DaemonFailed`` where it is not one of this type."""
    ttl, data = value.get("ttl"), value.get("data")
    if not isinstance(ttl, int) or not 0 <= ttl < 2**31 or not isinstance(data, list) or not data:
        raise DaemonFailed(f"The row {key!r} has no ttl or no data.")
    if kind == dns.rdatatype.CNAME and len(data) != 1:
        raise DaemonFailed(f"The row {key!r} has {len(data)} targets; a CNAME has one.")
    return ttl, data


def row_of(zone: str, rrset: dns.rrset.RRset) -> tuple[str, Value]:
    """Return the row that a set of records is."""
    owner = rrset.name.to_text(omit_final_dot=True).lower()
    kind = _KINDS.get(rrset.rdtype)
    if kind is None:
        data = sorted(rdata.to_text() for rdata in rrset)
    elif kind == "CNAME":
        data = [rdata.to_text().lower() for rdata in rrset]
    else:
        data = [str(address) for address in sorted(ipaddress.ip_address(r.to_text()) for r in rrset)]
    strange = kind is None or _HOST.fullmatch(owner) is None or owner == f"{REVISION_LABEL}.{zone}"
    mark = STRANGE if strange else ""
    return f"{mark}{owner}/{dns.rdatatype.to_text(rrset.rdtype)}", {
        "zone": zone,
        "ttl": rrset.ttl,
        "data": data,
    }


def is_ours(zone: dns.name.Name, rrset: dns.rrset.RRset) -> bool:
    """Say whether a set is the driver's own: SOA and NS at the apex, and the revision."""
    if rrset.name == zone:
        return rrset.rdtype in (dns.rdatatype.SOA, dns.rdatatype.NS)
    return (
        rrset.rdtype == dns.rdatatype.TXT
        and rrset.name.labels[0].lower() == REVISION_LABEL.encode()
        and rrset.name.parent() == zone
    )


def zone_of(owner: str, zones: Collection[str]) -> str | None:
    """Return the served zone in which a name lies: the one with the longest suffix (RFC 1034, 4.3.2)."""
    rest = owner
    while rest:
        if rest in zones:
            return rest
        rest = rest.partition(".")[2]
    return None
