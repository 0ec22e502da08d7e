"""What the world's DNS says of this cluster: implements ``roost.ports.world.World``.

Where a zone is served is asked of the machine's resolver; what stands in it, of its own servers, without recursion:
so nothing is old, and TTLs are whole. A zone's delegation is what the servers of the zone above answer (RFC 1034,
4.3.2): NS records in the authority section of a referral, or in the answer where they serve both. The machine's
``/etc/resolv.conf`` is read for each question, since it may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.resolver
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

from roost.domain.errors import Unavailable
from roost.ports.world import Record

T = TypeVar("T")
_SECONDS = 3.0
_LIFETIME = 10.0
_SERVERS_MOST = 4
_ABSENT = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)


class PublicDns:
    """``resolver`` makes what asks for servers and addresses; ``port`` is the servers'. Tests have their own."""

    def __init__(self, resolver: Callable[[], dns.resolver.Resolver] = dns.resolver.Resolver, port: int = 53) -> None:
        self._resolver = resolver
        self._port = port

    def mail_hosts(self, domain: str) -> list[Record]:
        """Return the MX records of a domain."""
        name = dns.name.from_text(domain)
        zone = _translated(
            domain, lambda: dns.resolver.zone_for_name(name, resolver=self._made(), lifetime=_LIFETIME)
        )
        found = [rrset for rrset in self._ask(zone, name, RdataType.MX).answer if rrset.rdtype == RdataType.MX]
        return [_record(rrset, rdata, rdata.exchange) for rrset in found for rdata in rrset]

    def delegation(self, zone: str) -> list[Record]:
        """Return the NS records by which the servers of the zone above lead to a zone."""
        name = dns.name.from_text(zone)
        above = _translated(
            zone, lambda: dns.resolver.zone_for_name(name.parent(), resolver=self._made(), lifetime=_LIFETIME)
        )
        answer = self._ask(above, name, RdataType.NS)
        found = [
            rrset
            for rrset in (*answer.answer, *answer.authority)
            if rrset.rdtype == RdataType.NS and rrset.name == name
        ]
        return [_record(rrset, rdata, rdata.target) for rrset in found for rdata in rrset]

    def addresses(self, host: str) -> frozenset[str]:
        """Return the IP addresses of a host."""
        found: set[str] = set()
        for kind in (RdataType.A, RdataType.AAAA):
            found.update(self._looked_up(dns.name.from_text(host), kind))
        return frozenset(found)

    def _made(self) -> dns.resolver.Resolver:
        return self._resolver()

    def _looked_up(self, name: Name, kind: RdataType) -> Iterator[str]:
        """Yield what the resolver says; nothing of a name that does not exist."""

        def look() -> list[str]:
            try:
                return [rdata.to_text() for rdata in self._made().resolve(name, kind, lifetime=_LIFETIME)]
            except _ABSENT:
                return []

        yield from _translated(name.to_text(), look)

    def _ask(self, zone: Name, name: Name, kind: RdataType) -> dns.message.Message:
        """Return the answer of the first server of a zone that gives one; one that knows no such name does."""
        servers = [
            address
            for server in self._looked_up(zone, RdataType.NS)
            for family in (RdataType.A, RdataType.AAAA)
            for address in self._looked_up(dns.name.from_text(server), family)
        ]
        query = dns.message.make_query(name, kind, flags=0)
        words = "no server of it is known"
        for server in servers[:_SERVERS_MOST]:
            try:
                answer, _ = dns.query.udp_with_fallback(query, server, timeout=_SECONDS, port=self._port)
            except (OSError, dns.exception.DNSException) as error:
                words = f"{server}: {str(error) or type(error).__name__}"
                continue
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return answer
            words = f"{server}: {dns.rcode.to_text(answer.rcode())}"
        raise Unavailable(f"No server of {zone.to_text()} answers ({words}).")


def _record(rrset: RRset, rdata: object, host: Name) -> Record:
    kind = dns.rdatatype.to_text(rrset.rdtype)
    text = f"{rrset.name.to_text().lower()} {kind} {str(rdata).lower()}"
    return Record(text, host.to_text(omit_final_dot=True).lower(), rrset.ttl)


def _translated(name: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(f"DNS says nothing of {name}: {str(error) or type(error).__name__}.") from error
