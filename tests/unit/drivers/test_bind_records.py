"""Rows as DNS records and back, BIND's files, and UPDATE messages: what needs no daemon."""

from __future__ import annotations

from dataclasses import replace

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.update
import pytest

from roost.domain.cluster import Policy, Role
from roost.domain.desired import MailDomain, NodeSettings, Peer, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.bind import Bind, records, render, wire
from roost.ports.host import Facts

FACTS = Facts(13, {})
SETTINGS = NodeSettings(
    node="ns1.example.net",
    roles=(Role.DNS,),
    addresses=("198.18.0.21",),
    cluster_domain="example.net",
    revision=3,
    peers=(
        Peer("ns1.example.net", ("198.18.0.21", "2001:db8::21"), (Role.DNS,)),
        Peer("ms1.example.net", ("198.18.0.31",), (Role.STORAGE,)),
    ),
    domains=(MailDomain("example.com", "pop.example.com"), MailDomain("a.test", "pop.a.test")),
    service_names=("ns1.example.net",),
    policy=Policy(),
)


def files(settings: NodeSettings) -> dict[str, str]:
    return {file.path: file.content for file in Bind().render(settings, FACTS)}


def read(key: str, value: Value) -> tuple[int, list[str]]:
    _owner, kind = records.parse_key(key)
    return records.parse_value(key, kind, value)


def test_the_driver_owns_three_files() -> None:
    """And no secret is in any of them: keys are made on the node."""
    content = files(SETTINGS)
    assert sorted(content) == [
        "/etc/bind/named.conf",
        "/etc/bind/roost.apex",
        "/etc/systemd/system/named.service.d/roost.conf",
    ]
    assert not any("secret" in text for text in content.values())


def test_zones_are_read_back_from_the_file() -> None:
    """The cluster's first: it carries the position."""
    conf = files(SETTINGS)["/etc/bind/named.conf"]
    assert render.zones_in(conf) == ("example.net", "pop.a.test", "pop.example.com")
    assert render.transfer_key_in(conf) == "roost-transfer.ns1.example.net"


def test_updates_are_taken_from_loopback_with_our_key_only() -> None:
    """The address match list says: not from elsewhere, and then by the key."""
    conf = files(SETTINGS)["/etc/bind/named.conf"]
    assert conf.count('allow-update { !{ !{ 127.0.0.1; }; any; }; key "roost-local"; };') == 3


def test_foreign_secondaries_are_notified_with_the_key() -> None:
    """And appear nowhere without the policy."""
    named = files(replace(SETTINGS, policy=Policy(notify_secondaries=("192.0.2.53",))))["/etc/bind/named.conf"]
    assert 'also-notify { 192.0.2.53 port 53 key "roost-transfer.ns1.example.net"; };' in named
    assert "also-notify { };" in files(SETTINGS)["/etc/bind/named.conf"]


@pytest.mark.parametrize(
    ("kind", "data", "row"),
    [
        ("CNAME", ["MS1.Example.NET."], ("john.pop.example.com/CNAME", ["ms1.example.net."])),
        ("A", ["198.18.0.131", "198.18.0.31"], ("john.pop.example.com/A", ["198.18.0.31", "198.18.0.131"])),
        ("AAAA", ["2001:DB8:0::31"], ("john.pop.example.com/AAAA", ["2001:db8::31"])),
        ("TXT", ['"by hand"'], ("!john.pop.example.com/TXT", ['"by hand"'])),
    ],
)
def test_records_become_rows_in_the_stores_form(kind: str, data: list[str], row: tuple[str, list[str]]) -> None:
    """Lower case, numerical order; what no row can be is marked."""
    rrset = dns.rrset.from_text("John.Pop.example.com.", 60, "IN", kind, *data)
    assert records.row_of("pop.example.com", rrset) == (
        row[0],
        {"zone": "pop.example.com", "ttl": 60, "data": row[1]},
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("no-slash", {"zone": "z.test", "ttl": 60, "data": ["a."]}),
        ("a.z.test/NOSUCH", {"zone": "z.test", "ttl": 60, "data": ["a."]}),
        ("a.z.test/CNAME", {"zone": "z.test", "ttl": 60, "data": ["a.", "b."]}),
        ("a.z.test/CNAME", {"zone": "z.test", "ttl": -1, "data": ["a."]}),
        ("a.z.test/A", {"zone": "z.test", "ttl": 60, "data": []}),
    ],
)
def test_rows_that_are_none_are_refused(key: str, value: Value) -> None:
    """They could come from a store of another version only."""
    with pytest.raises(DaemonFailed):
        read(key, value)


def test_the_zone_of_a_name_is_the_deepest() -> None:
    """Whole labels count."""
    zones = {"example.net", "pop.example.net"}
    assert records.zone_of("john.pop.example.net", zones) == "pop.example.net"
    assert records.zone_of("xpop.example.net", zones) == "example.net"
    assert records.zone_of("example.org", zones) is None


def test_a_message_says_what_the_librarys_would() -> None:
    """Our own octets are read by the library as the same update."""
    ours = wire.Update("pop.example.com")
    ours.require_absence("_roost.pop.example.com", wire.TYPE_TXT)
    ours.remove("john.pop.example.com")
    ours.put("john.pop.example.com", wire.TYPE_CNAME, 60, wire.name_data("ms1.example.net."))
    ours.put("pop.example.com", wire.TYPE_TXT, 0, wire.text_data("7"))
    theirs = dns.update.UpdateMessage("pop.example.com", id=ours.id)
    theirs.absent("_roost", "TXT")
    theirs.delete("john")
    theirs.add("john", 60, "CNAME", "ms1.example.net.")
    theirs.add("@", 0, "TXT", "7")
    assert dns.message.from_wire(ours.to_wire()) == dns.message.from_wire(theirs.to_wire())
    assert dns.message.from_wire(ours.to_wire()).sections[2] == dns.message.from_wire(theirs.to_wire()).sections[2]


def test_a_message_that_is_too_large_is_not_made() -> None:
    """The caller then sends half of it."""
    message = wire.Update("pop.example.com")
    for number in range(1000):
        message.put(f"u{number}.pop.example.com", wire.TYPE_CNAME, 60, wire.name_data(f"{'a' * 60}.example.net."))
    with pytest.raises(dns.exception.TooBig):
        message.to_wire()


@pytest.mark.parametrize("data", ["", "not an address", "2001:db8::1"])
def test_data_that_is_no_address_is_refused(data: str) -> None:
    """With words, not an exception of a library."""
    with pytest.raises(DaemonFailed, match="no data of type 1"):
        wire.row_data(wire.TYPE_A, data)
