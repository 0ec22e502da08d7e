"""A real Unbound in a temporary folder, on a high port of a loopback address, without systemd."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from roost.domain.desired import NodeSettings
from roost.drivers.unbound import Place, Unbound
from roost.ports.host import Facts, File

from ..common.driven import Driven
from ..common.machines import Rooted, seen_below
from ..common.services import Process

FACTS = Facts(12, {"unbound": "1.17.1"})


class UnboundService(Process):
    """``Services`` for one Unbound."""

    def __init__(self, host: Rooted, conf: str, output: Path) -> None:
        super().__init__(host, "unbound", ["unbound", "-dd", "-p", "-c", conf], output)


class Resolver(Driven):
    """A node's Unbound as the agent drives it; the DNS servers and the forwarders have the port ``dns_port``."""

    driver: Unbound
    services: UnboundService
    facts = FACTS
    wanted: NodeSettings

    def __init__(self, folder: Path, address: str, port: int, dns_port: int, root: str = "") -> None:
        self.place = Place(
            conf=str(folder / "unbound.conf"),
            defaults=str(folder / "default"),
            resolv_conf=str(folder / "resolv.conf"),
            control_socket=str(folder / "control"),
            pid_file=str(folder / "pid"),
            user="",
            addresses=(address,),
            port=port,
            dns_port=dns_port,
        )
        self.host = Rooted(root)
        self.services = UnboundService(self.host, self.place.conf, folder / "unbound.log")
        self.driver = Unbound(self.place)
        self._owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"

    def settings(self) -> NodeSettings:
        return self.wanted

    def owned(self, file: File) -> File:
        return replace(file, owner=self._owner)

    def ask(self, name: str, kind: str, seconds: float = 30.0) -> dns.message.Message:
        """Ask as a program does: again after a while without an answer."""
        end = time.monotonic() + seconds
        query = dns.message.make_query(name, kind)
        while True:
            try:
                return dns.query.udp(query, self.place.addresses[0], timeout=5, port=self.place.port)
            except dns.exception.Timeout:
                assert time.monotonic() < end, f"no answer for {name} within {seconds} s"

    def said(self, name: str, kind: str = "A") -> list[str]:
        """Return the code, then every record of the answer as text."""
        answer = self.ask(name, kind)
        return [
            dns.rcode.to_text(answer.rcode()),
            *(f"{rrset.name} {rdata.to_text()}" for rrset in answer.answer for rdata in rrset),
        ]

    def until_said(self, expected: list[str], name: str, seconds: float) -> float:
        """Wait until a name has this answer; return for how long."""
        began = time.monotonic()
        while (said := self.said(name)) != expected:
            assert time.monotonic() - began < seconds, said
            time.sleep(0.05)
        return time.monotonic() - began


@contextlib.contextmanager
def one_resolver(folder: Path, address: str, port: int, dns_port: int, root: str = "") -> Iterator[Resolver]:
    """A node's Unbound, not yet running, stopped at the end. Without it installed its first start fails."""
    with seen_below(root, folder):
        made = Resolver(folder, address, port, dns_port, root)
        try:
            yield made
        finally:
            made.services.stop()


@contextlib.contextmanager
def outside_world(folder: Path, address: str, port: int, root: str = "") -> Iterator[None]:
    """A resolver that plays the world outside: it knows example.test's MX, and what it does not know is not there."""
    conf = folder / "outside.conf"
    conf.write_text(f"""
server:
    username: ""
    chroot: ""
    pidfile: ""
    interface: {address}
    port: {port}
    access-control: 127.0.0.0/8 allow
    module-config: "iterator"
    local-zone: "." static
    local-data: ". 3600 SOA a. b. 1 3600 600 86400 3600"
    local-data: "example.test. 300 MX 10 mx.example.test."
    local-data: "1.2.0.192.in-addr.arpa. 300 PTR mx.example.test."
    local-data: "4.3.168.192.in-addr.arpa. 300 PTR inside.example.test."
""")
    with seen_below(root, folder):
        service = UnboundService(Rooted(root), str(conf), folder / "outside.log")
        service.enable("unbound")
        try:
            yield
        finally:
            service.stop()
