"""What the world's DNS says: asked of a server on loopback that is resolver and every zone's server at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from roost.domain.errors import Unavailable
from roost.ports.world import Record
from roost.wire.world import PublicDns

HOST = "127.0.0.1"
ZONES = ("com.", "example.com.", "cluster.example.com.")
RECORDS = [
    *(f"{zone} 300 IN SOA ns. mail. 1 2 3 4 5" for zone in ZONES),
    *(f"{zone} 300 IN NS ns.com." for zone in ZONES[:2]),
    "ns.com. 300 IN A 127.0.0.1",
    "example.com. 3600 IN MX 10 MX1.cluster.example.com.",
    "example.com. 3600 IN MX 20 mail.example.com.",
    "mail.example.com. 60 IN A 192.0.2.11",
    "mail.example.com. 60 IN AAAA 2001:db8::11",
]
DELEGATION = "cluster.example.com. 7200 IN NS ns1.cluster.example.com."


class Server:
    """Answers from the records; of the delegated zone it says where that is, as the zone above does."""

    def __init__(self) -> None:
        self.broken = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", (HOST, self.port))
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while True:
            wire, address = self._socket.recvfrom(4096)
            if not wire:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(wire)).to_wire(), address)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        [question] = query.question
        known = [dns.rrset.from_text(*line.split(" ", 4)) for line in RECORDS]
        names = {rrset.name for rrset in known}
        for rrset in known:
            if (rrset.name, rrset.rdtype) == (question.name, question.rdtype):
                answer.find_rrset(answer.answer, rrset.name, rrset.rdclass, rrset.rdtype, create=True).update(rrset)
                answer.answer[0].ttl = rrset.ttl
        delegated = dns.rrset.from_text(*DELEGATION.split(" ", 4))
        if question.name == delegated.name and not answer.answer:
            answer.flags &= ~dns.flags.AA
            answer.authority.append(delegated)
        elif question.name not in names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if self.broken:
            answer.answer.clear()
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def public(server: Server) -> PublicDns:
    def resolver() -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=False)
        made.nameservers, made.port = [HOST], server.port
        return made

    return PublicDns(resolver, server.port)


def test_mail_hosts(public: PublicDns) -> None:
    """With what their zone says of their time; of a name that does not exist nothing."""
    assert sorted(public.mail_hosts("example.com"), key=lambda record: record.text) == [
        Record("example.com. MX 10 mx1.cluster.example.com.", "mx1.cluster.example.com", 3600),
        Record("example.com. MX 20 mail.example.com.", "mail.example.com", 3600),
    ]
    assert public.mail_hosts("nowhere.com") == []


def test_a_delegation_is_what_the_zone_above_says(public: PublicDns) -> None:
    text = "cluster.example.com. NS ns1.cluster.example.com."
    assert public.delegation("cluster.example.com") == [Record(text, "ns1.cluster.example.com", 7200)]
    assert public.delegation("other.example.com") == []


def test_addresses(public: PublicDns) -> None:
    assert public.addresses("mail.example.com") == {"192.0.2.11", "2001:db8::11"}
    assert public.addresses("nowhere.example.com") == frozenset()


def test_no_answer_is_told_from_an_answer(public: PublicDns, server: Server) -> None:
    server.broken = True
    for ask in (public.mail_hosts, public.delegation, public.addresses):
        with pytest.raises(Unavailable):
            ask("example.com")
