"""The files of the drivers hosts and unbound: what a node knows of names without and with DNS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from roost.domain.cluster import Policy, Role
from roost.domain.desired import MailDomain, NodeSettings, Peer
from roost.domain.errors import DaemonFailed
from roost.drivers.hosts import Hosts
from roost.drivers.unbound import Place, Unbound
from roost.host.fake import FakeHost, FakeServices
from roost.ports.host import Facts, Ran

FACTS = Facts(13, {}, processors=2)
SETTINGS = NodeSettings(
    node="ms1.example.net",
    roles=(Role.STORAGE,),
    addresses=("198.18.0.31", "2001:db8::31"),
    cluster_domain="example.net",
    revision=1,
    peers=(
        Peer("ns2.example.net", ("198.18.0.22",), (Role.DNS,)),
        Peer("ns1.example.net", ("198.18.0.21", "2001:db8::21"), (Role.DNS,)),
        Peer("ms1.example.net", ("198.18.0.31", "2001:db8::31"), (Role.STORAGE,)),
    ),
    domains=(MailDomain("example.com", "pop.example.com"), MailDomain("a.test", "pop.a.test")),
    service_names=("ms1.example.net",),
    policy=Policy(),
)


def unbound_conf(settings: NodeSettings) -> list[str]:
    (file,) = (f for f in Unbound().render(settings, FACTS) if f.path == "/etc/unbound/unbound.conf")
    return [line.strip() for line in file.content.splitlines()]


def test_hosts_has_every_address_of_every_node() -> None:
    """Sorted by name; only the node itself has its short name."""
    (file,) = Hosts().render(SETTINGS, FACTS)
    assert (file.path, file.mode) == ("/etc/hosts", 0o644)
    assert file.content.splitlines()[-5:] == [
        "198.18.0.31 ms1.example.net ms1",
        "2001:db8::31 ms1.example.net ms1",
        "198.18.0.21 ns1.example.net",
        "2001:db8::21 ns1.example.net",
        "198.18.0.22 ns2.example.net",
    ]
    assert "127.0.0.1 localhost" in file.content.splitlines()


def test_rendering_does_not_depend_on_the_order_of_peers() -> None:
    """Or files would differ from one revision to the next."""
    turned = replace(SETTINGS, peers=SETTINGS.peers[::-1], domains=SETTINGS.domains[::-1])
    assert Hosts().render(turned, FACTS) == Hosts().render(SETTINGS, FACTS)
    assert Unbound().render(turned, FACTS) == Unbound().render(SETTINGS, FACTS)


def test_our_zones_are_asked_of_our_servers() -> None:
    """The cluster's domain and each access zone, never a mail domain itself."""
    lines = unbound_conf(SETTINGS)
    assert [line for line in lines if line.startswith("name:")] == [
        'name: "example.net."',
        'name: "pop.a.test."',
        'name: "pop.example.com."',
    ]
    assert lines.count("stub-addr: 198.18.0.21@53") == 3
    assert lines.count("stub-addr: 2001:db8::21@53") == 3
    assert 'local-zone: "pop.a.test." transparent' in lines


def test_without_forwarders_it_asks_the_root_and_validates() -> None:
    """And Unbound's built-in answers stay."""
    lines = unbound_conf(SETTINGS)
    assert 'module-config: "validator iterator"' in lines
    assert "forward-zone:" not in lines
    assert "do-not-query-localhost: yes" in lines


def test_with_forwarders_they_are_asked_for_the_rest() -> None:
    """A forwarder on this machine must be allowed."""
    lines = unbound_conf(replace(SETTINGS, policy=Policy(forwarders=("192.0.2.1", "127.0.0.5"))))
    assert 'module-config: "iterator"' in lines
    assert lines[-3:] == ['name: "."', "forward-addr: 192.0.2.1@53", "forward-addr: 127.0.0.5@53"]
    assert "do-not-query-localhost: no" in lines


def test_a_cluster_without_dns_servers_has_no_stub_zones() -> None:
    """A stub without an address would be refused by Unbound."""
    assert "stub-zone:" not in unbound_conf(replace(SETTINGS, peers=()))


def test_only_a_first_activation_restarts_unbound() -> None:
    """A reload keeps the socket, so that no query is lost."""
    driver, host, services = Unbound(), FakeHost(), FakeServices()
    place = Place()
    everything = frozenset({place.conf, place.defaults, place.resolv_conf})
    driver.activate(host, services, everything)
    driver.activate(host, services, frozenset({place.conf}))
    driver.activate(host, services, frozenset({place.resolv_conf}))
    driver.activate(host, services, frozenset())
    driver.activate(host, services, everything)
    assert [verb for verb, _unit in services.calls] == ["enable", "reload", "restart", "enable", "restart"]


def test_the_checker_is_heard() -> None:
    """Its words are the error's."""
    host = FakeHost()
    host.answers["unbound-checkconf"] = Ran((), 1, "", "fatal error: no such zone")
    with pytest.raises(DaemonFailed, match="no such zone"):
        Unbound().check(host)
