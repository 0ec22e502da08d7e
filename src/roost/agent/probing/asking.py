"""DNS: what one authoritative server answers for a personal hostname, as a resolver would ask it (RFC 1034)."""

from __future__ import annotations

import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
from dns.name import Name
from dns.rdatatype import RdataType

from roost.domain.probe import Box, Seen, Server, Stage

_TRIES = 2
"""A datagram may get lost."""


class _Odd(Exception):
    """The server answers, and not what it should."""


def ask(server: Server, port: int, box: Box, seconds: float) -> Seen:
    """Say whether the server leads the personal hostname to the address of its home.

    Where the node's name lies outside of the cluster's own zone, it is somebody else's: then the CNAME alone counts.
    """
    kind = RdataType.AAAA if ":" in box.address else RdataType.A
    began = time.monotonic()
    try:
        answer = _answer(server, port, box.hostname, kind, seconds)
        if not answer.flags & dns.flags.AA:
            raise _Odd("it does not speak for the zone")
        names = _data(answer, RdataType.CNAME, box.hostname)
        if names != {f"{box.store}."}:
            raise _Odd(f"{box.hostname} leads to {_listed(names)}")
        addresses = _data(answer, kind, box.store)
        if not addresses:
            # Few servers follow an alias from one of their zones into another; a resolver would ask again.
            addresses = _own(server, port, box.store, kind, seconds)
        if addresses and addresses != {own for own in box.addresses if (":" in own) == (kind is RdataType.AAAA)}:
            raise _Odd(f"{box.store} has the address {_listed(addresses)}")
    except _Odd as odd:
        return Seen(Stage.WRONG, str(odd))
    except dns.exception.Timeout:
        return Seen(Stage.SILENT, "no answer in time")
    except (OSError, dns.exception.DNSException) as error:
        return Seen(Stage.SILENT, str(error) or type(error).__name__)
    return Seen(Stage.OK, seconds=time.monotonic() - began)


def _own(server: Server, port: int, name: str, kind: RdataType, seconds: float) -> set[str]:
    """Return the addresses of a node, none where the server does not speak for its name."""
    try:
        answer = _answer(server, port, name, kind, seconds)
    except _Odd:
        return set()
    return _data(answer, kind, name) if answer.flags & dns.flags.AA else set()


def _answer(server: Server, port: int, name: str, kind: RdataType, seconds: float) -> dns.message.Message:
    query = dns.message.make_query(name, kind, flags=0)
    for attempt in range(_TRIES):
        try:
            answer, _ = dns.query.udp_with_fallback(query, server.address, timeout=seconds, port=port)
        except dns.exception.Timeout:
            if attempt + 1 == _TRIES:
                raise
        else:
            break
    if answer.rcode() != dns.rcode.NOERROR:
        raise _Odd(f"{name}: {dns.rcode.to_text(answer.rcode())}")
    return answer


def _data(answer: dns.message.Message, kind: RdataType, name: str) -> set[str]:
    owner: Name = dns.name.from_text(name)
    return {
        rdata.to_text().lower()
        for rrset in answer.answer
        if rrset.rdtype == kind and rrset.name == owner
        for rdata in rrset
    }


def _listed(texts: set[str]) -> str:
    return ", ".join(sorted(text.rstrip(".") for text in texts)) or "nowhere"
