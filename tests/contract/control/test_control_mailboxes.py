"""Mailboxes, as an administrator adds, changes and removes them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import world
from world import MS1, MS2

from roost.control import aliases, mailboxes, nodes
from roost.control.mailboxes import Wanted
from roost.domain.errors import (
    AlreadyExists,
    BadAddress,
    BadImport,
    BadPassword,
    BadSetting,
    NotFound,
    Refused,
    StillInUse,
)
from roost.store.store import SqlStore

HASH = "{SHA512-CRYPT}$6$abcdefgh$0123456789"


def want(address: str, home: str | None = None, quota: int = 0) -> Wanted:
    return Wanted(address, password_hash=HASH, home=home, quota=quota)


def add(store: SqlStore, *addresses: str, home: str | None = None) -> None:
    for address in addresses:
        mailboxes.add(store, "me", want(address, home))


def homes(store: SqlStore) -> dict[str, int]:
    with store.read() as view:
        return view.homes()


def label(store: SqlStore, address: str) -> str:
    with store.read() as view:
        return mailboxes.find(view, address).label


def test_it_is_added_on_the_emptiest_home(store: SqlStore) -> None:
    """Unless a home is named; the answer says where, and what the hostname is."""
    add(store, "a@example.com", "b@example.com", home=MS1)
    done = mailboxes.add(store, "me", want("John@Example.COM"))
    assert done.did == [f"Mailbox john@example.com added on {MS2}; its hostname is john.pop.example.com."]
    add(store, "c@example.com", "d@example.com")
    assert homes(store) == {MS1: 3, MS2: 2}
    with store.read() as view:
        assert done.revision == view.revision() - 2
        john = mailboxes.find(view, "JOHN@example.com")
    assert (john.number, john.password, john.home) == (3, HASH, MS2)


def test_a_clear_password_is_hashed(store: SqlStore) -> None:
    """Nothing of it is left anywhere in the store."""
    mailboxes.add(store, "me", Wanted("john@example.com", password="open sesame"))
    mailboxes.change(store, "me", "john@example.com", password="another sesame")
    with store.read() as view:
        assert mailboxes.find(view, "john@example.com").password.startswith("{ARGON2ID}$argon2id$")
        assert "sesame" not in repr(world.everything(view))


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (want("john@example.com"), AlreadyExists, "address"),
        (want("JOHN@example.com"), AlreadyExists, "address"),
        (want("sales@example.com"), AlreadyExists, "address"),
        (want("john"), BadAddress, "address"),
        (want("john+news@example.com"), BadAddress, "address"),
        (want("john@nowhere.test"), NotFound, "address"),
        (want("new@example.com", "ms9.example.net"), NotFound, "home"),
        (want("new@example.com", world.MX1), NotFound, "home"),
        (want("new@example.com", quota=-1), BadSetting, "quota"),
        (Wanted("new@example.com"), BadPassword, "password"),
        (Wanted("new@example.com", password="x", password_hash=HASH), BadPassword, "password"),
        (Wanted("new@example.com", password_hash="{MD5}no"), BadPassword, "password_hash"),
    ],
)
def test_what_cannot_be_added(store: SqlStore, wanted: Wanted, error: type[Exception], field: str) -> None:
    """The error names the field, and nothing has changed."""
    add(store, "john@example.com")
    aliases.put(store, "me", "sales@example.com", ["john@example.com"], exists=False)
    with pytest.raises(error) as caught:
        mailboxes.add(store, "me", wanted)
    assert getattr(caught.value, "field", None) == field
    with store.read() as view:
        assert view.revision() == 9


def test_no_home_has_joined(store: SqlStore) -> None:
    """Nobody is placed on a machine that is not there yet."""
    with store.write("me") as tx:
        for name in (MS1, MS2):
            tx.remove_node(name)
    nodes.add(store, "me", "ms3.example.net", ["storage"], ["192.0.2.30"])
    with pytest.raises(Refused, match="joined"):
        mailboxes.add(store, "me", want("john@example.com"))
    mailboxes.add(store, "me", want("john@example.com", "ms3.example.net"))


def test_labels(store: SqlStore) -> None:
    """Legal and unique, and the same again for a mailbox that is added again."""
    odd = ["john.doe", "john_doe", "john-doe", "jörg", "xn--jrg-sna", "-x-", "o'brien"]
    mailboxes.add_many(store, "me", [want(f"{local}@example.com") for local in odd])
    labels = {local: label(store, f"{local}@example.com") for local in odd}
    assert len(set(labels.values())) == len(odd)
    assert labels["john-doe"] == "john-doe"
    assert labels["jörg"] == "xn--jrg-sna"
    for local in odd:
        mailboxes.remove(store, "me", f"{local}@example.com")
    for local in reversed(odd):
        mailboxes.add(store, "me", want(f"{local}@example.com"))
    assert {local: label(store, f"{local}@example.com") for local in odd} == labels


def test_a_label_that_is_taken(store: SqlStore) -> None:
    """The second candidate is taken then, also between the lines of one import."""
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(tx.new_numbers(1)[0], "other", label="john")], "mailbox added")
    mailboxes.add_many(store, "me", [want("john@example.com"), want("mary@example.com")])
    assert label(store, "john@example.com").startswith("john-")
    assert label(store, "mary@example.com") == "mary"


def findings(store: SqlStore, wanted: Sequence[Wanted]) -> list[tuple[int, str]]:
    with pytest.raises(BadImport) as caught:
        mailboxes.add_many(store, "me", wanted)
    return [(finding.line, finding.field) for finding in caught.value.findings]


def test_an_import_is_all_or_nothing(store: SqlStore) -> None:
    """Every fault is told with its line."""
    add(store, "john@example.com")
    wanted = [
        want("a@example.com"),
        want("john@example.com"),
        want("a@example.com"),
        want("nonsense"),
        Wanted("b@example.com"),
        want("c@example.com", "nowhere.example.net"),
        want("d@nowhere.test"),
        want("e@example.com", quota=-1),
        want("f@example.com"),
    ]
    assert findings(store, wanted) == [
        (2, "address"),
        (3, "address"),
        (4, "address"),
        (5, "password"),
        (6, "home"),
        (7, "address"),
        (8, "quota"),
    ]
    assert homes(store) == {MS1: 1}
    done = mailboxes.add_many(store, "me", [wanted[0], wanted[8]])
    assert (done.revision, done.did) == (10, ["2 mailboxes added."])
    assert homes(store) == {MS1: 2, MS2: 1}
    assert mailboxes.add_many(store, "me", []).revision == 0


def test_a_long_import_finds_twins_far_apart(store: SqlStore) -> None:
    """Beyond the chunk in which the store is asked."""
    wanted = [want(f"user{n}@example.com") for n in range(1200)]
    assert findings(store, [*wanted, want("USER3@example.com")]) == [(1201, "address")]
    mailboxes.add_many(store, "me", wanted)
    assert homes(store) == {MS1: 600, MS2: 600}


def test_changes(store: SqlStore) -> None:
    """Only what is given; nothing to change is no revision."""
    add(store, "john@example.com")
    done = mailboxes.change(store, "me", "john@example.com", quota=5, suspended=True)
    assert done.did == ["Mailbox john@example.com: quota 5, suspended."]
    assert mailboxes.change(store, "me", "john@example.com", quota=5).revision == 0
    with store.read() as view:
        john = mailboxes.find(view, "john@example.com")
    assert (john.password, john.quota, john.suspended) == (HASH, 5, True)
    with pytest.raises(NotFound):
        mailboxes.change(store, "me", "nobody@example.com", quota=1)
    with pytest.raises(BadSetting):
        mailboxes.change(store, "me", "john@example.com", quota=-1)


def test_removal(store: SqlStore) -> None:
    """Not while an alias leads to it, in any spelling."""
    add(store, "john@example.com")
    aliases.put(store, "me", "sales@example.com", ["john+sales@example.com"], exists=False)
    with pytest.raises(StillInUse, match=r"sales@example\.com"):
        mailboxes.remove(store, "me", "john@example.com")
    aliases.remove(store, "me", "sales@example.com")
    mailboxes.remove(store, "me", "john@example.com")
    with pytest.raises(NotFound):
        mailboxes.remove(store, "me", "john@example.com")
    add(store, "john@example.com")
    with store.read() as view:
        assert mailboxes.find(view, "john@example.com").number == 2


def test_a_dry_run_says_the_same_and_does_nothing(store: SqlStore) -> None:
    """With every check; also the numbers are given again."""
    add(store, "john@example.com")
    dry = mailboxes.add(store, "me", want("mary@example.com"), dry_run=True)
    assert dry.revision == 0
    mailboxes.change(store, "me", "john@example.com", quota=9, dry_run=True)
    mailboxes.remove(store, "me", "john@example.com", dry_run=True)
    with pytest.raises(AlreadyExists):
        mailboxes.add(store, "me", want("john@example.com"), dry_run=True)
    with store.read() as view:
        assert (view.revision(), view.count_mailboxes()) == (8, 1)
        assert mailboxes.find(view, "john@example.com").quota == 0
    assert mailboxes.add(store, "me", want("mary@example.com")).did == dry.did
    with store.read() as view:
        assert mailboxes.find(view, "mary@example.com").number == 2
