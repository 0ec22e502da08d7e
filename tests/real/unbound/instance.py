"""A real Unbound in a temporary folder, on a high port of a loopback address, without systemd."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
from bind.instance import LocalHost, seen_by_daemon, wrapped

from roost.domain.desired import NodeSettings
from roost.drivers.unbound import Place, Unbound
from roost.ports.host import Facts, File

FACTS = Facts(12, {"unbound": "1.17.1"})


class UnboundService:
    """``Services`` for one Unbound without systemd."""

    def __init__(self, conf: str, log: Path) -> None:
        self._conf = conf
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        if self.is_active(unit):
            return
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                wrapped(["unbound", "-dd", "-p", "-c", self._conf]), stdout=log, stderr=log
            )

    def disable(self, unit: str) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def reload(self, unit: str) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        return self.process is not None and self.process.poll() is None


class Resolver:
    """A node's Unbound as the agent drives it; the DNS servers and the forwarders have the port ``dns_port``."""

    def __init__(self, folder: Path, address: str, port: int, dns_port: int) -> None:
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
        self.host = LocalHost()
        self.services = UnboundService(self.place.conf, folder / "unbound.log")
        self.driver = Unbound(self.place)
        self._owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"

    def bring(self, wanted: NodeSettings) -> frozenset[str]:
        """Do what the agent does with settings; return the files that changed."""
        changed = set()
        for file in self.driver.render(wanted, FACTS):
            owned = File(file.path, file.content, file.mode, self._owner)
            if self.host.read(file.path) != owned:
                self.host.write(owned)
                changed.add(file.path)
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, frozenset(changed))
        self.driver.alive(self.host, self.services)
        return frozenset(changed)

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
def one_resolver(folder: Path, address: str, port: int, dns_port: int) -> Iterator[Resolver]:
    """A node's Unbound, not yet running, stopped at the end. Without it installed its first start fails."""
    with seen_by_daemon(folder):
        made = Resolver(folder, address, port, dns_port)
        try:
            yield made
        finally:
            made.services.disable("unbound")


@contextlib.contextmanager
def outside_world(folder: Path, address: str, port: int) -> Iterator[None]:
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
    with seen_by_daemon(folder):
        service = UnboundService(str(conf), folder / "outside.log")
        service.enable("unbound")
        try:
            yield
        finally:
            service.disable("unbound")
