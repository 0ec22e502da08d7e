"""What a node's resolver answers while DNS is well, half dead and dead."""

from __future__ import annotations

import time
from dataclasses import replace

import dns.message
import dns.query
import dns.rcode
import pytest

from roost.domain.cluster import Policy
from roost.domain.errors import DaemonFailed
from roost.ports.driver import Batch
from roost.ports.host import File

from .conftest import Net

JOHN = "john.pop.example.test"
AT_MS1 = ["NOERROR", f"{JOHN}. ms1.cluster.test.", "ms1.cluster.test. 198.18.0.31"]
AT_MS2 = ["NOERROR", f"{JOHN}. ms2.cluster.test.", "ms2.cluster.test. 198.18.0.32"]


def test_a_personal_hostname_leads_to_the_home(net: Net) -> None:
    """The CNAME lies in one zone of ours, its target in the other; neither is asked of the world outside."""
    assert net.resolver.said(JOHN) == AT_MS1
    assert net.resolver.said("nobody.pop.example.test") == ["NXDOMAIN"]


def test_a_move_is_seen_within_the_ttl(net: Net) -> None:
    """TTL 1 here; nothing in the resolver lengthens it."""
    assert net.resolver.said(JOHN) == AT_MS1
    moved = [(f"{JOHN}/CNAME", {"zone": "pop.example.test", "ttl": 1, "data": ["ms2.cluster.test."]})]
    for server in net.servers:
        (table,) = server.driver.tables(net.settings, server.host)
        table.apply(Batch(moved, 8, 7))
    assert net.resolver.until_said(AT_MS2, JOHN, 10) < 3


def test_everything_else_is_asked_of_the_forwarder(net: Net) -> None:
    """Also .test and private addresses, which Unbound would by itself say do not exist."""
    assert net.resolver.said("example.test", "MX") == ["NOERROR", "example.test. 10 mx.example.test."]
    assert net.resolver.said("4.3.168.192.in-addr.arpa", "PTR")[1:] == [
        "4.3.168.192.in-addr.arpa. inside.example.test."
    ]


def test_what_is_not_there_is_not_believed_for_long(net: Net) -> None:
    """The world says that its NXDOMAIN holds for an hour; a minute is enough."""
    assert net.resolver.said("new.example.test") == ["NXDOMAIN"]
    (soa,) = net.resolver.ask("new.example.test", "A").authority
    assert soa.ttl <= 60


def test_one_dead_server_is_not_felt(net: Net) -> None:
    """Neither one that refuses at once, nor one whose process hangs."""
    net.servers[0].services.freeze()
    for number in range(20):
        began = time.monotonic()
        assert net.resolver.said(f"n{number}.pop.example.test") == ["NXDOMAIN"]
        assert time.monotonic() - began < 5
    net.servers[0].services.kill()
    assert net.resolver.said(JOHN) == AT_MS1


def test_without_any_server_a_name_is_unknown_and_not_absent(net: Net) -> None:
    """SERVFAIL lets mail wait, NXDOMAIN would let it bounce; the answer is there soon after a server is."""
    assert net.resolver.said("example.test", "MX")[0] == "NOERROR"
    for server in net.servers:
        server.services.kill()
    assert net.resolver.said(JOHN) == ["SERVFAIL"]
    assert net.resolver.said("nobody.pop.example.test") == ["SERVFAIL"]
    assert net.resolver.said("example.test", "MX")[0] == "NOERROR"
    time_of_death = time.monotonic()
    while time.monotonic() - time_of_death < 5:
        assert net.resolver.said(JOHN) == ["SERVFAIL"]
    net.servers[1].services.enable("named")
    net.resolver.until_said(AT_MS1, JOHN, 20)


def test_hanging_servers_are_unknown_too(net: Net) -> None:
    """Frozen servers and dropped packets look alike: silence."""
    for server in net.servers:
        server.services.freeze()
    assert net.resolver.said(JOHN) == ["SERVFAIL"]
    for server in net.servers:
        server.services.thaw()
    net.resolver.until_said(AT_MS1, JOHN, 20)


def test_a_new_domain_is_served_after_a_reload(net: Net) -> None:
    """The process stays the same; a second run changes nothing."""
    process = net.resolver.services.process
    more = replace(net.settings, policy=Policy())
    assert net.resolver.bring(more) == {net.resolver.place.conf}
    assert net.resolver.services.process is process
    net.resolver.until_said(AT_MS1, JOHN, 10)
    assert net.resolver.bring(more) == frozenset()


def test_a_wrong_file_is_refused_in_the_checkers_words(net: Net) -> None:
    """And the running Unbound goes on with what it had."""
    found = net.resolver.host.read(net.resolver.place.conf)
    assert found is not None
    net.resolver.host.write(File(found.path, found.content + "server:\n\tno-such-option: 1\n", 0o644, found.owner))
    with pytest.raises(DaemonFailed, match="no-such-option"):
        net.resolver.driver.check(net.resolver.host)
    assert net.resolver.said(JOHN) == AT_MS1


def test_a_silent_unbound_is_noticed(net: Net) -> None:
    """A process that hangs is active and does not answer."""
    net.resolver.services.freeze()
    with pytest.raises(DaemonFailed, match="does not answer"):
        net.resolver.driver.alive(net.resolver.host, net.resolver.services)
    net.resolver.services.thaw()
    net.resolver.driver.alive(net.resolver.host, net.resolver.services)


def test_it_answers_this_machine_alone_and_says_nothing_of_itself(net: Net) -> None:
    place = net.resolver.place
    for name in ("version.bind", "hostname.bind", "id.server"):
        query = dns.message.make_query(name, "TXT", "CH")
        said = dns.query.udp(query, place.addresses[0], timeout=5, port=place.port)
        assert (said.rcode(), said.answer) == (dns.rcode.REFUSED, [])
    listening = net.resolver.host.run(["ss", "-Hlnup", f"sport = :{place.port}"]).out
    assert {line.split()[3].rpartition(":")[0] for line in listening.splitlines()} == {place.addresses[0]}
