"""A real named in a temporary folder, on high ports of loopback, run as whoever runs the tests."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from roost.domain.cluster import Policy, Role
from roost.domain.desired import MailDomain, NodeSettings, Peer, Value
from roost.drivers.bind import Bind, Place
from roost.ports.driver import Batch
from roost.ports.host import Facts, File, Ran

from ..common.driven import Driven
from ..common.machines import Rooted, seen_below
from ..common.services import Process
from ..common.waiting import wait_until

STRANGER = "127.0.0.5"
FACTS = Facts(13, {"bind": "9.20.0"})


ZONE = "pop.example.test"
JOHN = f"john.{ZONE}/CNAME"


def cname(home: str, ttl: int = 60) -> Value:
    return {"zone": ZONE, "ttl": ttl, "data": [f"{home}.cluster.test."]}


def address(*data: str) -> Value:
    return {"zone": "cluster.test", "ttl": 300, "data": list(data)}


ROWS: list[tuple[str, Value | None]] = [
    ("ns1.cluster.test/A", address("198.18.0.21")),
    ("ns2.cluster.test/A", address("198.18.0.22")),
    ("ms1.cluster.test/A", address("198.18.0.31", "198.18.0.131")),
    ("ms1.cluster.test/AAAA", address("2001:db8::31")),
    (JOHN, cname("ms1")),
    (f"xn--bcher-kva.{ZONE}/CNAME", cname("ms1")),
]


class NamedService(Process):
    """``Services`` for one named; it is started once it says so."""

    def __init__(self, host: Rooted, place: Place, folder: Path) -> None:
        super().__init__(host, "named", ["named", "-g", "-c", place.conf], folder / "named.log")

    def start(self) -> None:
        super().start()
        wait_until(lambda: self.said("\nrunning", " running\n") or not self.runs(), "named is running", 60)
        assert self.runs(), self.output()

    def said(self, *words: str) -> bool:
        text = self.output()
        return any(word in text for word in words)

    def hang_up(self) -> None:
        raise AssertionError("rndc reload would read every zone again")


def free_ports(count: int) -> list[int]:
    """Return ports that are free for UDP and TCP on loopback."""
    found: list[int] = []
    held = []
    while len(found) < count:
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            continue
        found.append(tcp.getsockname()[1])
    for each in held:
        each.close()
    return found


def settings(
    domains: tuple[str, ...] = ("example.test",),
    servers: tuple[str, ...] = ("ns1.cluster.test", "ns2.cluster.test"),
    revision: int = 1,
    secondaries: tuple[str, ...] = (),
) -> NodeSettings:
    peers = tuple(Peer(name, (f"198.18.0.{21 + i}",), (Role.DNS,)) for i, name in enumerate(servers))
    return NodeSettings(
        node="ns1.cluster.test",
        roles=(Role.DNS,),
        addresses=("198.18.0.21",),
        cluster_domain="cluster.test",
        revision=revision,
        peers=peers,
        domains=tuple(MailDomain(name, f"pop.{name}") for name in domains),
        service_names=("ns1.cluster.test",),
        policy=Policy(notify_secondaries=secondaries),
    )


class Server(Driven):
    """A node's BIND as the agent drives it."""

    driver: Bind
    services: NamedService
    facts = FACTS

    def __init__(self, folder: Path, address: str = "127.0.0.1", port: int = 0, root: str = "") -> None:
        for name in ("etc", "zones", "cache", "run", "unit"):
            (folder / name).mkdir()
        free, local, control = free_ports(3)
        user = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        self.place = Place(
            etc=str(folder / "etc"),
            zones=str(folder / "zones"),
            cache=str(folder / "cache"),
            run=str(folder / "run"),
            unit_folder=str(folder / "unit"),
            user=user,
            group=group,
            port=port or free,
            listen="none;" if ":" in address else f"{address};",
            listen_v6=f"{address};" if ":" in address else "none;",
            local_port=local,
            control_port=control,
        )
        self.folder = folder
        self.address = address
        self.host = Rooted(root)
        self.services = NamedService(self.host, self.place, folder)
        self.driver = Bind(self.place)
        self.systemd = frozenset({self.place.drop_in})

    def settings(self) -> NodeSettings:
        return settings()

    def owned(self, file: File) -> File:
        return replace(file, owner=self.place.owner)

    def load(self, revision: int = 7) -> None:
        """Do what the agent does on a new node: settings, all rows, and then the world may ask."""
        self.bring(settings())
        self.table.apply(Batch(ROWS, revision, 0))
        self.open(settings())

    def ask(self, name: str, kind: str = "A") -> dns.message.Message:
        """Ask as the world does: from an address that is not the agent's."""
        query = dns.message.make_query(name, kind, flags=0)
        return dns.query.udp(query, self.address, timeout=5, port=self.place.port, source=STRANGER)

    def said(self, name: str, kind: str = "A") -> list[str]:
        """Return the code, then every record of the answer as text."""
        answer = self.ask(name, kind)
        return [
            dns.rcode.to_text(answer.rcode()),
            *sorted(f"{rrset.name} {rrset.ttl} {rdata.to_text()}" for rrset in answer.answer for rdata in rrset),
        ]

    def by_hand(self, *lines: str, key: str = "") -> Ran:
        """Give lines to nsupdate(1), with the agent's own key unless another file is named."""
        script = "\n".join((f"server 127.0.0.1 {self.place.local_port}", *lines, "send", ""))
        return self.host.run(["nsupdate", "-k", key or self.place.local_key], stdin=script, check=False)

    def open(self, wanted: NodeSettings) -> None:
        """Do what the agent does when the table has every row: the world may ask."""
        self.table_of(wanted).complete()


@contextlib.contextmanager
def one_server(folder: Path, address: str = "127.0.0.1", port: int = 0, root: str = "") -> Iterator[Server]:
    """A node's BIND, not yet running, stopped at the end. Without named installed its first start fails."""
    with seen_below(root, folder):
        made = Server(folder, address, port, root)
        try:
            yield made
        finally:
            made.services.stop()
