"""Talking to the local BIND: queries, dynamic updates and transfers over loopback, and rndc(8).

Queries go by UDP, updates (RFC 2136) and transfers (RFC 5936) by TCP with TSIG. Every failure becomes a
``DaemonFailed`` that names the zone; the caller never sees an exception of the library.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.xfr

from roost.domain.errors import DaemonFailed
from roost.drivers.bind import keys
from roost.drivers.bind.place import LOOPBACK, Place
from roost.ports.host import Host, Ran

_QUERY_SECONDS = 2.0
_UPDATE_SECONDS = 60.0  # a server that just loads or dumps a zone of millions makes an update wait
_TRANSFER_SECONDS = 60.0  # for each message, not for the whole
_CONTROL_SECONDS = 600.0
# socket.AF_INET and SOCK_STREAM by their numbers in Linux: drivers open no sockets but by their library.
_FAMILY_INET = 2
_TYPE_STREAM: Any = 1

_WORDS = {
    dns.rcode.NOTAUTH: "BIND does not serve the zone {zone} yet.",
    dns.rcode.REFUSED: "BIND refused to change or show the zone {zone}.",
    dns.rcode.SERVFAIL: "BIND has the zone {zone} but could not load or write it.",
    dns.rcode.NOTZONE: "A row names the zone {zone} but lies outside it.",
    dns.rcode.YXRRSET: "The zone {zone} has no revision of ours where one was expected.",
    dns.rcode.NXRRSET: "The zone {zone} is at another revision than expected.",
    dns.rcode.NXDOMAIN: "The zone {zone} is at another revision than expected.",
}


class WrongRevision(DaemonFailed):
    """An update's prerequisite did not hold: the zone's revision is not the one that the batch begins at."""


class Link:
    """The way to one BIND. Not for several threads at once."""

    def __init__(self, host: Host, place: Place) -> None:
        self._host = host
        self._place = place
        self._key: dns.tsig.Key | None = None
        self._stream: Any = None

    def key(self) -> dns.tsig.Key:
        """Return the agent's key; raises ``DaemonFailed`` where the node has none yet."""
        if self._key is None:
            name, algorithm, secret = keys.secret_of(self._host, self._place.local_key)
            self._key = dns.tsig.Key(name, secret, algorithm)
        return self._key

    def ask(self, name: str, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Ask the server about a name and return its answer, whatever its code; raises if there is none."""
        query = dns.message.make_query(name, kind, flags=0)
        try:
            return dns.query.udp(query, LOOPBACK, timeout=_QUERY_SECONDS, port=self._place.local_port)
        except (dns.exception.DNSException, OSError) as error:
            raise DaemonFailed(f"BIND does not answer on loopback: {_said(error)}.") from error

    def code(self, zone: str) -> dns.rcode.Rcode:
        """Return with which code the server answers for a zone's SOA; NOTAUTH also if it answers as a stranger."""
        answer = self.ask(zone, dns.rdatatype.SOA)
        if answer.rcode() == dns.rcode.NOERROR and not answer.flags & dns.flags.AA:
            return dns.rcode.NOTAUTH
        return answer.rcode()

    def require_answer(self, zone: str) -> None:
        """Raise ``DaemonFailed`` where the server refuses to be asked about a zone: it was told to, or has none."""
        if self.code(zone) == dns.rcode.REFUSED:
            raise DaemonFailed(_words(dns.rcode.REFUSED, zone))

    def update(self, zone: str, message: dns.update.UpdateMessage) -> None:
        """Send one update and wait until it is done and journalled.

        Raises ``WrongRevision`` where a prerequisite did not hold, ``dns.exception.TooBig`` where the message is
        larger than DNS allows, ``DaemonFailed`` for the rest. Where the zone was frozen by rndc(8), it is thawed
        and the update sent again: only this driver changes it.
        """
        rcode = self._send(zone, message)
        if rcode == dns.rcode.REFUSED and self.rndc("thaw", zone, check=False).code == 0:
            rcode = self._send(zone, message)
        if rcode in (dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN):
            raise WrongRevision(_WORDS[rcode].format(zone=zone))
        if rcode != dns.rcode.NOERROR:
            raise DaemonFailed(_words(rcode, zone))

    @contextlib.contextmanager
    def conversation(self) -> Iterator[None]:
        """Send the updates within over one connection."""
        self._stream = dns.query.make_socket(_FAMILY_INET, _TYPE_STREAM)
        try:
            # The socket does not block: the connection is awaited by the first write.
            self._stream.connect_ex((LOOPBACK, self._place.local_port))
            yield
        finally:
            self._stream.close()
            self._stream = None

    def _send(self, zone: str, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        message.use_tsig(self.key())
        try:
            answer = dns.query.tcp(
                message, LOOPBACK, timeout=_UPDATE_SECONDS, port=self._place.local_port, sock=self._stream
            )
        except dns.exception.TooBig:
            raise  # the caller sends less at once
        except dns.tsig.PeerError as error:
            self._key = None
            raise DaemonFailed(f"BIND does not take our key for the zone {zone}: {_said(error)}.") from error
        except (dns.exception.DNSException, OSError) as error:
            raise DaemonFailed(f"BIND did not finish an update of the zone {zone}: {_said(error)}.") from error
        return answer.rcode()

    def transfer(self, zone: str) -> Iterator[dns.rrset.RRset]:
        """Yield every set of records of a zone, streaming: memory does not grow with the zone.

        The whole is one version of the zone. A set that is split between two messages comes out whole; the SOA
        comes out first and last.
        """
        pending: dns.rrset.RRset | None = None
        try:
            for message in dns.query.xfr(
                LOOPBACK,
                zone,
                port=self._place.local_port,
                keyring={self.key().name: self.key()},
                keyname=self.key().name,
                keyalgorithm=self.key().algorithm,
                relativize=False,
                timeout=_TRANSFER_SECONDS,
            ):
                for rrset in message.answer:
                    if pending is not None and (pending.name, pending.rdtype) == (rrset.name, rrset.rdtype):
                        for rdata in rrset:
                            pending.add(rdata)
                        continue
                    if pending is not None:
                        yield pending
                    pending = rrset
        except dns.xfr.TransferError as error:
            raise DaemonFailed(_words(error.rcode, zone)) from error
        except (dns.exception.DNSException, OSError) as error:
            raise DaemonFailed(f"BIND did not finish a transfer of the zone {zone}: {_said(error)}.") from error
        if pending is not None:
            yield pending

    def rndc(self, *words: str, check: bool = True) -> Ran:
        """Give a command to the server's control channel (rndc(8))."""
        place = self._place
        argv = ["rndc", "-s", LOOPBACK, "-p", str(place.control_port), "-k", place.control_key, *words]
        return self._host.run(argv, check=check, seconds=_CONTROL_SECONDS)


def _words(rcode: dns.rcode.Rcode, zone: str) -> str:
    return _WORDS.get(rcode, "BIND answered {code} for the zone {zone}.").format(
        zone=zone, code=dns.rcode.to_text(rcode)
    )


def _said(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
