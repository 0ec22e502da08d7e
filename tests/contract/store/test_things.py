"""Mailboxes, aliases, domains, nodes; keys, tokens, positions, reports: what is kept, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import world
from world import MS1, MS2

from roost.domain.cluster import Domain, Node, Policy
from roost.domain.errors import AlreadyExists, NotFound, StillInUse
from roost.ports.store import JoinToken, Key, Position, Report
from roost.store import open_store
from roost.store.store import SqlStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """A small cluster."""
    world.found(store)


def texts(things: object) -> list[str]:
    return [str(thing.address) for thing in things]  # type: ignore[attr-defined]


def test_what_was_put_is_read(store: SqlStore) -> None:
    """Every field, also letters beyond ASCII."""
    wanted = [
        world.box(1, "john", quota=2**40, suspended=True),
        world.box(2, "jörg", label="xn--jrg-sna", home=MS2, password="{SCRAM-SHA-256}a,b=="),
    ]
    alias = world.alias("grüße", "jörg", "john+news", "x@elsewhere.test")
    policy = Policy(ttl=5, forwarders=("192.0.2.53", "2001:db8::1"), over_quota="refuse")
    node = Node.parse("mx2.example.net", ["mx", "log"], ["2001:db8::2", "192.0.2.99"])
    with store.write("me") as tx:
        tx.put_mailboxes(wanted, "mailbox added")
        tx.put_alias(alias, "alias added")
        tx.set_cluster("example.net", policy)
        tx.put_node(node, "node added")
    with store.read() as view:
        assert [view.mailbox(mailbox.address) for mailbox in wanted] == wanted
        assert view.mailbox(world.address("nobody")) is None
        assert view.alias(alias.address) == alias
        assert view.alias(world.address("john")) is None
        assert view.cluster().policy == policy
        assert node in view.cluster().nodes


def test_lists_are_sorted_filtered_and_paged(store: SqlStore) -> None:
    """By address, byte by byte, on both databases."""
    everybody = ["zoe", "adam", "éva", "adam-b", "adam_c", "adam.d", "john@example.org"]
    world.add(store, *everybody)
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "zoe", MS2)], "mailbox changed")
        for name in ("b-list", "a-list", "a-list@example.org"):
            tx.put_alias(world.alias(name, "adam"), "alias added")
    addresses = sorted(str(world.address(text)) for text in everybody)
    with store.read() as view:
        assert texts(view.mailboxes()) == addresses
        assert texts(view.mailboxes(after=addresses[2], limit=2)) == addresses[3:5]
        assert texts(view.mailboxes(domain="example.org")) == ["john@example.org"]
        assert texts(view.mailboxes(home=MS2)) == ["zoe@example.com"]
        assert texts(view.mailboxes(domain="example.org", home=MS2)) == []
        assert texts(view.aliases()) == ["a-list@example.com", "a-list@example.org", "b-list@example.com"]
        assert texts(view.aliases(domain="example.com", after="a-list@example.com")) == ["b-list@example.com"]
        assert (view.count_mailboxes(), view.homes()) == (7, {MS1: 6, MS2: 1})
        assert view.count_mailboxes(domain="example.com") == 6
        assert view.count_mailboxes(domain="example.com", home=MS1) == 5
        assert view.labels("example.com", ["adam", "nobody", "zoe"]) == {"adam", "zoe"}
        wanted = [world.address(text) for text in ("adam", "b-list", "nobody", "b-list@example.org")]
        assert view.existing(wanted) == set(wanted[:2])


def test_an_address_is_one_thing(store: SqlStore) -> None:
    """A mailbox or an alias; neither is put in the place of another."""
    world.add(store, "john")
    with store.write("me") as tx:
        tx.put_alias(world.alias("sales", "john"), "alias added")
        for mailbox in (world.box(9, "john"), world.box(9, "sales"), world.box(9, "new@nowhere.test")):
            with pytest.raises((AlreadyExists, NotFound)):
                tx.put_mailboxes([mailbox], "mailbox added")
        with pytest.raises(NotFound):
            tx.put_mailboxes([world.box(9, "new", "ms9.example.net")], "mailbox added")
        with pytest.raises(AlreadyExists):
            tx.put_alias(world.alias("john", "x@elsewhere.test"), "alias added")
        with pytest.raises(NotFound):
            tx.put_alias(world.alias("sales@nowhere.test", "john"), "alias added")
        assert tx.revision() == 9


def test_labels_are_unique_in_a_domain(store: SqlStore) -> None:
    """Beside what is there, within a batch, and when a mailbox changes; other domains do not matter."""
    world.add(store, "john")
    with store.write("me") as tx:
        with pytest.raises(AlreadyExists, match="john"):
            tx.put_mailboxes([world.box(9, "johnny", label="john")], "mailbox added")
        with pytest.raises(AlreadyExists, match="shared"):
            tx.put_mailboxes([world.box(8, "a", label="shared"), world.box(9, "b", label="shared")], "mailbox added")
        tx.put_mailboxes([world.box(8, "john@example.org")], "mailbox added")
        tx.put_mailboxes([world.box(9, "mary")], "mailbox added")
        with pytest.raises(AlreadyExists, match="john"):
            tx.put_mailboxes([world.box(9, "mary", label="john")], "mailbox changed")


def test_numbers_are_never_given_again(store: SqlStore) -> None:
    """Not after a removal; the directory of the one before may be there still."""
    world.add(store, "john", "mary")
    with store.write("me") as tx:
        tx.remove_mailbox(world.address("mary"))
        assert tx.new_numbers(2) == range(3, 5)
    world.add(store, "mary")
    with store.read() as view:
        mary = view.mailbox(world.address("mary"))
        assert mary is not None
        assert mary.number == 5


def test_a_number_belongs_to_one_mailbox(store: SqlStore) -> None:
    """Two addresses with one number would share a directory."""
    world.add(store, "john")
    with store.write("me") as tx, pytest.raises(AlreadyExists):
        tx.put_mailboxes([world.box(1, "mary")], "mailbox added")


def test_who_leads_here(store: SqlStore) -> None:
    """Aliases are found by what they lead to, with or without a subaddress, at most ten."""
    world.add(store, "john", "mary")
    with store.write("me") as tx:
        tx.put_alias(world.alias("sales", "john", "mary"), "alias added")
        tx.put_alias(world.alias("news", "john+news", "john+other"), "alias added")
        assert list(map(str, tx.aliases_to(world.address("john")))) == ["news@example.com", "sales@example.com"]
        assert list(map(str, tx.aliases_to(world.address("john+x")))) == ["news@example.com", "sales@example.com"]
        tx.put_alias(world.alias("sales", "mary"), "alias changed")
        tx.remove_alias(world.address("news"))
        assert tx.aliases_to(world.address("john")) == []
        assert list(map(str, tx.aliases_to(world.address("mary")))) == ["sales@example.com"]
        for n in range(12):
            tx.put_alias(world.alias(f"list{n}", "john"), "alias added")
        assert len(tx.aliases_to(world.address("john"))) == 10


def test_what_is_in_use_stays(store: SqlStore) -> None:
    """Nodes with mailboxes, domains with mailboxes or aliases; and what is not there cannot go."""
    world.add(store, "john")
    with store.write("me") as tx:
        tx.put_alias(world.alias("sales@example.org", "john"), "alias added")
        for remove, name in (
            (tx.remove_node, MS1),
            (tx.remove_domain, "example.com"),
            (tx.remove_domain, "example.org"),
        ):
            with pytest.raises(StillInUse):
                remove(name)
        tx.remove_alias(world.address("sales@example.org"))
        tx.remove_mailbox(world.address("john"))
        tx.remove_node(MS1)
        tx.remove_domain("example.com")
        for remove, name in ((tx.remove_node, MS1), (tx.remove_domain, "example.com")):
            with pytest.raises(NotFound):
                remove(name)
        with pytest.raises(NotFound):
            tx.remove_alias(world.address("sales@example.org"))
    with store.read() as view:
        assert MS1 not in {node.name for node in view.cluster().nodes}
        assert [domain.name for domain in view.cluster().domains] == ["example.org"]


def test_two_domains_cannot_share_a_zone(store: SqlStore) -> None:
    """The personal hostnames would meet."""
    with store.write("me") as tx, pytest.raises(AlreadyExists, match=r"example\.com"):
        tx.put_domain(Domain.parse("example.edu", "pop.example.com"), "domain added")


def test_keys(store: SqlStore) -> None:
    """Kept, listed by age, removed; each change is logged, without the secret's hash."""
    old = Key("k1", "root", "a" * 64, NOW, None)
    new = Key("k2", "script", "b" * 64, NOW + timedelta(1), NOW + timedelta(9))
    store.put_key(new, "me")
    store.put_key(old, "me")
    with store.read() as view:
        assert view.keys() == [old, new]
        assert (view.key("k2"), view.key("k3")) == (new, None)
    store.remove_key("k1", "me")
    with pytest.raises(NotFound):
        store.remove_key("k1", "me")
    with store.read() as view:
        assert view.keys() == [new]
        events = view.events(after=7)
    assert [(event.verb, event.subject) for event in events] == [
        ("key added", "k2"),
        ("key added", "k1"),
        ("key removed", "k1"),
    ]
    assert "aaaa" not in repr(events)


def test_a_token_is_used_once(store: SqlStore, url: str) -> None:
    """However many ask at the same time, of two controllers; an unknown one is not used at all."""
    other = open_store(url)
    for turn in range(5):
        token = JoinToken(f"t{turn}", MS1, "c" * 64, NOW + timedelta(hours=1), None)
        store.put_token(token, "me")
        with ThreadPoolExecutor(8) as pool:
            asked = [(store, other)[n % 2] for n in range(8)]
            won = list(pool.map(lambda each, token=token: each.use_token(token.id, NOW), asked))
        assert won.count(True) == 1
        with store.read() as view:
            assert view.token(token.id) == replace(token, used=NOW)
    assert store.use_token("unknown", NOW) is False
    with store.read() as view:
        assert [event.verb for event in view.events(after=7)] == ["token added", "token used"] * 5
    other.close()


def test_positions(store: SqlStore) -> None:
    """The last of each node and table; a node that is gone has none, and cannot leave any."""
    store.put_positions([Position(MS1, "accounts", 5, NOW), Position(MS1, "settings", 6, NOW)])
    later = NOW + timedelta(seconds=1)
    gone = Position("gone.example.net", "names", 1, NOW)
    store.put_positions([Position(MS1, "accounts", 7, later), Position(MS1, "accounts", 8, later), gone])
    store.put_positions([])
    with store.read() as view:
        assert view.positions() == [Position(MS1, "accounts", 8, later), Position(MS1, "settings", 6, NOW)]
        assert view.revision() == 7
    with store.write("me") as tx:
        tx.remove_node(MS1)
    with store.read() as view:
        assert view.positions() == []


def test_reports_and_values(store: SqlStore) -> None:
    """The last word of each node, of each kind; values of the controller's own."""
    store.put_report(Report(MS1, "drift", NOW, "{}"))
    store.put_report(Report(MS1, "drift", NOW, '{"a": 1}'))
    store.put_report(Report(MS2, "health", NOW, "{}"))
    with pytest.raises(NotFound):
        store.put_report(Report("gone.example.net", "drift", NOW, "{}"))
    store.put_value("check", "1")
    store.put_value("check", "2")
    with store.read() as view:
        assert view.reports("drift") == [Report(MS1, "drift", NOW, '{"a": 1}')]
        assert (view.value("check"), view.value("unknown")) == ("2", None)
