"""Aliases, domains, nodes and keys: what goes, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import world
from world import MS1, MX1

from roost.control import aliases, domains, keys, node_lives, nodes, policy
from roost.domain.cluster import Role, Suspended
from roost.domain.errors import (
    AliasLoop,
    AlreadyExists,
    BadAddress,
    BadName,
    BadSetting,
    NotAuthenticated,
    NotFound,
    StillInUse,
)
from roost.store.store import SqlStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def put(store: SqlStore, address: str, *targets: str, exists: bool = False) -> list[str]:
    return aliases.put(store, "me", address, list(targets), exists=exists).did


def test_aliases(store: SqlStore) -> None:
    """Inside, outside, in order, each target once."""
    world.add(store, "john", "mary")
    said = put(store, "Sales@example.com", "mary@example.com", "x@elsewhere.test", "MARY@example.com")
    assert said == ["Alias sales@example.com added: leads to mary@example.com, x@elsewhere.test."]
    put(store, "all@example.org", "sales@example.com", "john+all@example.com")
    put(store, "sales@example.com", "john@example.com", exists=True)
    with store.read() as view:
        assert [str(t) for t in aliases.find(view, "SALES@example.com").targets] == ["john@example.com"]
        revision = view.revision()
    assert put(store, "sales@example.com", "john@example.com", exists=True) == []
    with store.read() as view:
        assert view.revision() == revision


@pytest.mark.parametrize(
    ("address", "targets", "error"),
    [
        ("john@example.com", ["x@elsewhere.test"], AlreadyExists),
        ("sales@example.com", ["x@elsewhere.test"], AlreadyExists),
        ("new@example.com", [], BadAddress),
        ("new+x@example.com", ["john@example.com"], BadAddress),
        ("new@example.com", ["nonsense"], BadAddress),
        ("new@nowhere.test", ["john@example.com"], NotFound),
        ("new@example.com", ["nobody@example.org"], NotFound),
    ],
)
def test_aliases_that_are_refused(store: SqlStore, address: str, targets: list[str], error: type[Exception]) -> None:
    """What exists, what is malformed, what would lead nowhere."""
    world.add(store, "john")
    put(store, "sales@example.com", "john@example.com")
    with pytest.raises(error):
        put(store, address, *targets)
    with pytest.raises(NotFound):
        put(store, "unknown@example.com", "john@example.com", exists=True)


@pytest.mark.parametrize("target", ["a", "b", "c", "c+x", "a+x"])
def test_loops(store: SqlStore, target: str) -> None:
    """However long, also by a subaddress, also beside a good target."""
    world.add(store, "john")
    put(store, "a@example.com", "john@example.com")
    put(store, "b@example.com", "a@example.com")
    put(store, "c@example.com", "john@example.com", "b+x@example.com")
    with pytest.raises(AliasLoop, match=r"a@example\.com"):
        put(store, "a@example.com", "john@example.com", f"{target}@example.com", exists=True)
    put(store, "a@example.com", "x@elsewhere.test", exists=True)


def test_a_diamond_is_no_loop(store: SqlStore) -> None:
    """Two ways to one end."""
    world.add(store, "john")
    put(store, "a@example.com", "john@example.com")
    put(store, "b@example.com", "a@example.com")
    put(store, "c@example.com", "a@example.com", "b@example.com")


def test_an_alias_in_use_stays(store: SqlStore) -> None:
    """Else the one that leads to it would lead nowhere."""
    world.add(store, "john")
    put(store, "a@example.com", "john@example.com")
    put(store, "b@example.com", "a@example.com")
    with pytest.raises(StillInUse, match=r"b@example\.com"):
        aliases.remove(store, "me", "a@example.com")
    aliases.remove(store, "me", "b@example.com")
    aliases.remove(store, "me", "a@example.com")
    with pytest.raises(NotFound):
        aliases.remove(store, "me", "a@example.com")


def test_domains(store: SqlStore) -> None:
    """Added with a zone of their own, changed, removed when empty."""
    domains.add(store, "me", "Bücher.example", None, quota=7, suspended=Suspended.DEFER)
    with store.read() as view:
        made = domains.find(view.cluster(), "bücher.example")
        assert domains.records(view, made) == [
            f"{made.name}. MX 10 {MX1}.",
            f"pop.{made.name}. NS ns1.example.net.",
        ]
    assert (made.access_zone, made.quota) == ("pop.xn--bcher-kva.example", 7)
    assert domains.change(store, "me", made.name, quota=7).revision == 0
    assert domains.change(store, "me", made.name, quota=8).revision == 9
    world.add(store, f"john@{made.name}")
    with pytest.raises(StillInUse, match="1 mailbox"):
        domains.remove(store, "me", made.name)
    put(store, "list@example.org", "x@elsewhere.test")
    with pytest.raises(StillInUse, match="aliases"):
        domains.remove(store, "me", "example.org")
    with pytest.raises(BadSetting):
        domains.change(store, "me", made.name, quota=-1)
    with store.write("me") as tx:
        tx.remove_mailbox(world.address(f"john@{made.name}"))
    domains.remove(store, "me", made.name)
    with pytest.raises(NotFound):
        domains.remove(store, "me", made.name)


@pytest.mark.parametrize(
    ("name", "zone", "error"),
    [
        ("example.com", None, AlreadyExists),
        ("example.edu", "pop.example.com", AlreadyExists),
        ("example.edu", "example.net", AlreadyExists),
        ("example.edu", "example.edu", BadName),
        ("example.edu", "example.com", BadName),
        ("example.edu", "com", BadName),
        ("example.edu", "ms1.example.net", BadName),
        ("a.b.example", "b.example", BadName),
        ("pop.example.com", None, BadName),
        ("x.pop.example.com", None, BadName),
        ("example.edu", "x.pop.example.com", BadName),
        ("not a name", None, BadName),
    ],
)
def test_domains_that_are_refused(store: SqlStore, name: str, zone: str | None, error: type[Exception]) -> None:
    """An access zone holds personal hostnames and nothing else, and lies in no other."""
    with pytest.raises(error):
        domains.add(store, "me", name, zone)
    with store.read() as view:
        assert view.revision() == 7


def test_a_zone_around_a_zone_is_refused(store: SqlStore) -> None:
    """The outer one's personal hostnames could meet the inner one."""
    domains.add(store, "me", "a.example", "in.outer.example")
    with pytest.raises(BadName, match=r"in\.outer\.example"):
        domains.add(store, "me", "b.example", "outer.example")


def test_nodes(store: SqlStore) -> None:
    """Added, and removed when nothing lives there."""
    nodes.add(store, "me", "ms3.example.net", ["storage"], ["192.0.2.30"])
    for name, address in (
        ("ms3.example.net", "192.0.2.31"),
        ("ms4.example.net", "192.0.2.30"),
    ):
        with pytest.raises(AlreadyExists):
            nodes.add(store, "me", name, ["storage"], [address])
    with pytest.raises(BadName):
        nodes.add(store, "me", "ms4.pop.example.com", ["storage"], ["192.0.2.31"])
    nodes.add(store, "me", "control.example.net", ["control"], ["192.0.2.40"])
    with pytest.raises(StillInUse, match="controller"):
        node_lives.retire(store, "me", "control.example.net", NOW, give_up=True)
    world.add(store, "john")
    with pytest.raises(StillInUse, match="home of 1"):
        node_lives.retire(store, "me", MS1, NOW, give_up=True)
    node_lives.retire(store, "me", "ms3.example.net", NOW, give_up=True)
    with pytest.raises(NotFound):
        node_lives.retire(store, "me", "ms3.example.net", NOW, give_up=True)
    with store.read() as view:
        assert "ms3.example.net" not in {node.name for node in view.cluster().with_role(Role.STORAGE)}


def _revision(store: SqlStore) -> int:
    with store.read() as view:
        return view.revision()


def test_nodes_that_change(store: SqlStore) -> None:
    """Roles and addresses are replaced; a role that others depend on stays."""
    nodes.add(store, "me", "ms3.example.net", ["storage"], ["192.0.2.30"])
    nodes.change(store, "me", "ms3.example.net", ["dns", "mx"], None)
    nodes.change(store, "me", "ms3.example.net", None, ["192.0.2.33", "2001:db8::33"])
    with store.read() as view:
        changed = nodes.find(view.cluster(), "ms3.example.net")
    assert (changed.roles, changed.addresses) == ({Role.DNS, Role.MX}, ("192.0.2.33", "2001:db8::33"))
    assert nodes.change(store, "me", "ms3.example.net", ["mx", "dns"], None).revision == 0, "nothing to change"
    before = _revision(store)
    world.add(store, "john")
    for roles, addresses, error in (
        (["mx", "backup-mx"], None, BadSetting),
        ([], None, BadSetting),
        (None, ["nonsense"], BadName),
        (None, [], BadSetting),
    ):
        with pytest.raises(error):
            nodes.change(store, "me", "ms3.example.net", roles, addresses)
    with pytest.raises(StillInUse, match="home of 1"):
        nodes.change(store, "me", MS1, ["dns"], None)
    with pytest.raises(AlreadyExists):
        nodes.change(store, "me", MS1, None, ["192.0.2.33"])
    with pytest.raises(NotFound):
        nodes.change(store, "me", "ms9.example.net", ["dns"], None)
    nodes.add(store, "me", "control.example.net", ["control"], ["192.0.2.40"])
    with pytest.raises(StillInUse, match="controller"):
        nodes.change(store, "me", "control.example.net", ["dns"], None)
    assert _revision(store) == before + 2, "one mailbox and one node"


def test_joining(store: SqlStore) -> None:
    """By a token, once, in time."""
    nodes.add(store, "me", "ms3.example.net", ["storage"], ["192.0.2.30"])

    def token() -> str:
        return nodes.new_token(store, "me", "ms3.example.net", "fingerprint", now=NOW, minutes=60).text

    first = token()
    identity = first.split(".")[0]
    for wrong in ("", "nonsense", f"{identity}.wrong.fingerprint", f"{identity}..", first[1:]):
        with pytest.raises(NotAuthenticated, match="wrong"):
            nodes.redeem(store, wrong, NOW)
    with pytest.raises(NotAuthenticated, match="expired"):
        nodes.redeem(store, first, NOW + timedelta(minutes=60))
    joined = nodes.redeem(store, first, NOW + timedelta(minutes=59))
    assert joined.joined
    with pytest.raises(NotAuthenticated, match="used"):
        nodes.redeem(store, first, NOW)
    assert nodes.redeem(store, token(), NOW) == joined
    with store.read() as view:
        assert joined in view.cluster().nodes
        assert first.split(".")[1] not in repr(view.events(limit=100))
        assert {event.actor for event in view.events(limit=100) if event.verb == "node joined"} == {
            "node ms3.example.net"
        }


def test_keys(store: SqlStore) -> None:
    """Made, shown, expired; the last stays."""
    first = keys.make(store, "me", "root", NOW, None)
    second = keys.make(store, "me", "script", NOW, 2)
    assert keys.verify(store, first.text, NOW + timedelta(days=999)) == first.key
    assert keys.verify(store, second.text, NOW + timedelta(days=1)).name == "script"
    with pytest.raises(NotAuthenticated, match="expired"):
        keys.verify(store, second.text, NOW + timedelta(days=2))
    for wrong in ("", "roost.x.y", first.text[:-1], f"{first.text}x", first.text.replace("roost", "other")):
        with pytest.raises(NotAuthenticated):
            keys.verify(store, wrong, NOW)
    keys.remove(store, "me", first.key.id)
    with pytest.raises(NotFound):
        keys.remove(store, "me", first.key.id)
    with pytest.raises(StillInUse):
        keys.remove(store, "me", second.key.id)


def test_policy(store: SqlStore) -> None:
    """Known settings only; nothing changed is no revision."""
    done = policy.change(store, "me", {"ttl": 30, "forwarders": ["192.0.2.53"]})
    assert done.revision == 8
    assert policy.change(store, "me", {"ttl": 30}).revision == 0
    with pytest.raises(BadSetting):
        policy.change(store, "me", {"unknown": 1})
    with pytest.raises(BadSetting):
        policy.change(store, "me", {"forwarders": ["nonsense"]})
    with store.read() as view:
        assert view.cluster().policy.forwarders == ("192.0.2.53",)
