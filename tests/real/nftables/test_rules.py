"""The packet filter of a home, in the kernel: two network namespaces joined by a cable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from roost.domain.cluster import Policy, Role
from roost.domain.desired import NodeSettings, Peer
from roost.domain.errors import DaemonFailed
from roost.domain.logs import ports_of
from roost.drivers.nftables.driver import Nftables
from roost.host.machine import Machine
from roost.ports.host import Facts, Ran

MX, STRANGER, HOME, OTHER_HOME = "198.18.7.11", "198.18.7.99", "198.18.7.31", "198.18.7.32"
MX6, HOME6 = "2001:db8:7::11", "2001:db8:7::31"
FACTS = Facts(13, {})
SETTINGS = NodeSettings(
    node="ms1.example.net",
    roles=(Role.STORAGE,),
    addresses=(HOME, HOME6),
    cluster_domain="example.net",
    revision=1,
    peers=(
        Peer("mx1.example.net", (MX, MX6), (Role.MX,)),
        Peer("mx-backup.example.net", (STRANGER,), (Role.BACKUP_MX,)),
        Peer("ms1.example.net", (HOME, HOME6), (Role.STORAGE,)),
        Peer("ms2.example.net", (OTHER_HOME,), (Role.STORAGE,)),
    ),
    domains=(),
    service_names=("ms1.example.net",),
    policy=Policy(),
)
LOG_NODE = replace(SETTINGS, roles=(Role.LOG,))
LOG_PORTS = ports_of(peer.name for peer in SETTINGS.peers)
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[2], int(sys.argv[3])), 3, (sys.argv[1], 0)).close()
except ConnectionRefusedError:
    print("refused")
else:
    print("open")
"""
_LISTEN = f"""
import socket, time
ports = {[24, 993, 8444, 8445, 8446, 8447, 10025, *LOG_PORTS.values()]}
held = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in ports]
print("ready", flush=True)
time.sleep(600)
"""


class Namespaced(Machine):
    """The machine, but for its network: every command runs in a namespace."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self._prefix = ["ip", "netns", "exec", namespace]

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        return super().run([*self._prefix, *argv], stdin=stdin, check=check, seconds=seconds)


class Unit:
    """What systemd does for roost-firewall.service."""

    def __init__(self, host: Namespaced, path: str) -> None:
        self._host, self._path, self._on = host, path, False

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        self._host.run(["nft", "--file", self._path])
        self._on = True

    reload = restart = enable

    def disable(self, unit: str) -> None:
        self._host.run(["nft", "delete", "table", "inet", "roost"])
        self._on = False

    def is_active(self, unit: str) -> bool:
        return self._on


@dataclass
class Net:
    """A home and the world that it is joined to."""

    host: Namespaced
    services: Unit
    driver: Nftables
    world: str

    def bring(self, settings: NodeSettings) -> None:
        (file,) = self.driver.render(settings, FACTS)
        self.host.write(file)
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, frozenset({file.path}))
        self.driver.alive(self.host, self.services)

    def knock(self, source: str, target: str, port: int) -> str:
        argv = ["ip", "netns", "exec", self.world, "python3", "-c", _CONNECT, source, target, str(port)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    home, world = f"rnft-h{os.getpid()}", f"rnft-w{os.getpid()}"
    try:
        for namespace in (home, world):
            subprocess.run(["ip", "netns", "add", namespace], check=True)
        cable = ["ip", "-n", home, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", world]
        subprocess.run(cable, check=True)
        for namespace, addresses in ((home, (HOME, HOME6)), (world, (MX, STRANGER, OTHER_HOME, MX6))):
            for address in addresses:
                length = ["nodad"] if ":" in address else []
                what = f"{address}/{64 if ':' in address else 24}"
                subprocess.run(["ip", "-n", namespace, "address", "add", what, "dev", "eth0", *length], check=True)
            for link in ("lo", "eth0"):
                subprocess.run(["ip", "-n", namespace, "link", "set", link, "up"], check=True)
        argv = ["ip", "netns", "exec", home, "python3", "-c", _LISTEN]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as listener:
            assert listener.stdout is not None
            listener.stdout.readline()
            host, path = Namespaced(home), str(tmp_path / "nftables.conf")
            yield Net(host, Unit(host, path), Nftables(path), world)
            listener.kill()
    finally:
        for namespace in (home, world):
            subprocess.run(["ip", "netns", "delete", namespace], check=False)


def test_lmtp_is_open_to_the_mx_hosts_and_homes_alone(net: Net) -> None:
    """Everything else is as the machine's own firewall wants it; what other tables say stays."""
    net.host.run(["nft", "add", "table", "inet", "theirs"])
    assert net.knock(STRANGER, HOME, 24) == "open", "the test cannot tell anything"
    net.bring(SETTINGS)
    assert net.knock(MX, HOME, 24) == "open"
    assert net.knock(MX6, HOME6, 24) == "open"
    assert net.knock(OTHER_HOME, HOME, 24) == "open"
    assert net.knock(STRANGER, HOME, 24) == "refused"
    assert net.knock(STRANGER, HOME, 993) == "open"
    assert net.knock(OTHER_HOME, HOME, 8444) == "open", "where agents of homes call each other"
    assert net.knock(MX, HOME, 8444) == "refused"
    local = net.host.run(["python3", "-c", _CONNECT, HOME, HOME, "24"]).out.strip()
    assert local == "open", "the machine's own probe"
    assert "theirs" in net.host.run(["nft", "list", "tables"]).out


def test_each_node_reaches_its_own_port_of_a_log_node_alone(net: Net) -> None:
    net.bring(LOG_NODE)
    mine, other = LOG_PORTS["mx1.example.net"], LOG_PORTS["ms2.example.net"]
    assert net.knock(MX, HOME, mine) == "open"
    assert net.knock(MX6, HOME6, mine) == "open"
    assert net.knock(OTHER_HOME, HOME, other) == "open"
    assert net.knock(MX, HOME, other) == "refused"
    assert net.knock(OTHER_HOME, HOME, mine) == "refused"
    assert net.knock(STRANGER, HOME, mine) == "refused"
    assert net.knock(STRANGER, HOME, 24) == "open", "it is no home"


def test_only_controllers_ask_a_log_node(net: Net) -> None:
    net.bring(replace(LOG_NODE, peers=(*LOG_NODE.peers, Peer("control.example.net", (STRANGER,), (Role.CONTROL,)))))
    assert net.knock(STRANGER, HOME, 8446) == "open"
    assert net.knock(MX, HOME, 8446) == "refused"
    assert net.knock(MX6, HOME6, 8446) == "refused"


def test_only_homes_teach_an_mx(net: Net) -> None:
    net.bring(replace(SETTINGS, roles=(Role.MX,)))
    assert net.knock(OTHER_HOME, HOME, 8445) == "open"
    assert net.knock(STRANGER, HOME, 8445) == "refused"
    assert net.knock(STRANGER, HOME, 24) == "open", "it is no home"


def test_only_homes_send_through_an_mx(net: Net) -> None:
    net.bring(replace(SETTINGS, roles=(Role.MX,)))
    assert net.knock(OTHER_HOME, HOME, 10025) == "open"
    assert net.knock(STRANGER, HOME, 10025) == "refused"
    assert net.knock(MX, HOME, 10025) == "refused", "another MX"
    assert net.knock(MX6, HOME6, 10025) == "refused"
    net.bring(replace(SETTINGS, roles=(Role.BACKUP_MX,)))
    assert net.knock(STRANGER, HOME, 10025) == "open", "nothing of ours is there"


def test_a_home_may_be_a_log_node(net: Net) -> None:
    net.bring(replace(SETTINGS, roles=(Role.LOG, Role.STORAGE)))
    assert net.knock(MX, HOME, LOG_PORTS["mx1.example.net"]) == "open"
    assert net.knock(STRANGER, HOME, LOG_PORTS["mx1.example.net"]) == "refused"
    assert net.knock(STRANGER, HOME, 24) == "refused"


def test_it_follows_the_settings(net: Net) -> None:
    """Also where there is no MX host, or none with an address of a family."""
    net.bring(SETTINGS)
    net.bring(replace_peers(Peer("mx9.example.net", (STRANGER,), (Role.MX,))))
    assert net.knock(STRANGER, HOME, 24) == "open"
    assert net.knock(MX, HOME, 24) == "refused"
    net.bring(replace_peers())
    assert net.knock(STRANGER, HOME, 24) == "refused"
    net.driver.stop(net.services)
    assert net.knock(STRANGER, HOME, 24) == "open"


@pytest.mark.parametrize(
    "damage",
    [
        ["nft", "flush", "ruleset"],
        ["nft", "add", "element", "inet", "roost", "mx_ipv4", "{ 198.18.7.99 }"],
        ["nft", "insert", "rule", "inet", "roost", "input", "accept"],
    ],
    ids=lambda argv: argv[1],
)
def test_damage_is_seen_and_mended(net: Net, damage: list[str]) -> None:
    net.bring(SETTINGS)
    net.host.run(damage)
    assert net.knock(STRANGER, HOME, 24) == "open", "the damage did nothing"
    with pytest.raises(DaemonFailed):
        net.driver.alive(net.host, net.services)
    net.driver.activate(net.host, net.services, frozenset())
    net.driver.alive(net.host, net.services)
    assert net.knock(STRANGER, HOME, 24) == "refused"


def test_a_file_that_is_wrong_is_not_loaded(net: Net) -> None:
    """The checker refuses it; the rules in the kernel stay."""
    net.bring(SETTINGS)
    (file,) = net.driver.render(SETTINGS, FACTS)
    Path(file.path).write_text(file.content.replace("tcp dport", "tcp dpart"))
    with pytest.raises(DaemonFailed):
        net.driver.check(net.host)
    assert net.knock(STRANGER, HOME, 24) == "refused"


def replace_peers(*peers: Peer) -> NodeSettings:
    """Return the settings with these nodes only."""
    return replace(SETTINGS, peers=peers)


def test_figures_are_asked_for_by_controllers_and_whom_the_policy_names(net: Net) -> None:
    """Networks that hold each other, or controllers, are one to nft; neighbours it lists as they were given."""
    control = Peer("control.example.net", (STRANGER,), (Role.CONTROL,))
    settings = replace(SETTINGS, peers=(*SETTINGS.peers, control))
    net.bring(settings)
    assert net.knock(STRANGER, HOME, 8447) == "open"
    assert net.knock(MX, HOME, 8447) == "refused"
    assert net.knock(MX6, HOME6, 8447) == "refused"
    within = ("198.18.7.11", "198.18.7.10/31", "198.18.7.96/28", "2001:db8:7::/64", "203.0.113.0/24", "203.0.113.7")
    networks = (*within, "198.51.100.1", "198.51.100.2", "198.51.100.64/26", "198.51.100.128/26")
    net.bring(replace(settings, policy=Policy(metrics_from=networks)))
    assert net.knock(MX, HOME, 8447) == "open"
    assert net.knock(MX6, HOME6, 8447) == "open"
    assert net.knock(STRANGER, HOME, 8447) == "open"
    assert net.knock(OTHER_HOME, HOME, 8447) == "refused"
