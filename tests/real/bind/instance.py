"""A real named in a temporary folder, on high ports of loopback, run as whoever runs the tests.

``ROOST_TEST_CHROOT`` may name a folder with another Debian release: the daemon and its tools are then run in it
(as root), the temporary folder being mounted at the same path.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from roost.domain.cluster import Policy, Role
from roost.domain.desired import MailDomain, NodeSettings, Peer
from roost.drivers.bind import Bind, Place
from roost.host.machine import Machine
from roost.ports.driver import TableStore
from roost.ports.host import Facts, Ran

CHROOT = os.environ.get("ROOST_TEST_CHROOT", "")
STRANGER = "127.0.0.5"
FACTS = Facts(13, {"bind": "9.20.0"})


def wrapped(argv: Sequence[str]) -> list[str]:
    return ["chroot", CHROOT, *argv] if CHROOT else list(argv)


class LocalHost(Machine):
    """The machine, its commands run in the other release where one is given."""

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        return super().run(wrapped(argv), stdin=stdin, check=check, seconds=seconds)


class NamedService:
    """``Services`` for one named without systemd: the same meaning of each method, in a process of ours."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._log = folder / "named.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        if self.is_active(unit):
            return
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(wrapped(["named", "-g", "-c", self._place.conf]), stdout=log, stderr=log)
        self.starts += 1
        end = time.monotonic() + 60
        while not self.said("\nrunning", " running\n"):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)

    def said(self, *words: str) -> bool:
        text = self.log()
        return any(word in text for word in words)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def disable(self, unit: str) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(60)
            self.process = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def freeze(self) -> None:
        """Let the process hang: its kernel still takes packets for it, and it answers none."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def reload(self, unit: str) -> None:
        raise AssertionError("rndc reload would read every zone again")

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        return self.process is not None and self.process.poll() is None


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


class Server:
    """A node's BIND as the agent drives it."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", port: int = 0) -> None:
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
        self.host = LocalHost()
        self.services = NamedService(self.place, folder)
        self.driver = Bind(self.place)

    def bring(self, wanted: NodeSettings) -> None:
        """Do what the agent does with settings."""
        changed = set()
        for path, mode, owner in self.driver.folders():
            self.host.make_folder(path, mode, owner)
        for file in self.driver.render(wanted, FACTS):
            owned = type(file)(file.path, file.content, file.mode, self.place.owner)
            if self.host.read(file.path) != owned:
                self.host.write(owned)
                changed.add(file.path)
        changed.discard(self.place.drop_in)  # there is no systemd for this process
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, frozenset(changed))
        self.driver.alive(self.host, self.services)

    def table(self, wanted: NodeSettings) -> TableStore:
        """Return the table of names, opened anew as after a change of settings."""
        (table,) = self.driver.tables(wanted, self.host)
        return table

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
        self.table(wanted).complete()


@contextlib.contextmanager
def seen_by_daemon(folder: Path) -> Iterator[None]:
    """Let a temporary folder have the same path in the other release, where there is one."""
    if not CHROOT:
        yield
        return
    inside = Path(CHROOT) / str(folder).lstrip("/")
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(folder), str(inside)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(inside)], check=True)


@contextlib.contextmanager
def one_server(folder: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[Server]:
    """A node's BIND, not yet running, stopped at the end. Without named installed its first start fails."""
    with seen_by_daemon(folder):
        made = Server(folder, address, port)
        try:
            yield made
        finally:
            made.services.disable("named")
