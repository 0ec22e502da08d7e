"""Whom domains and users allow and deny: what is taken, what is refused, and the rows that MX hosts are fed."""

from __future__ import annotations

import pytest
import world

from roost.control import domains, mailboxes, policy, senders
from roost.control.feed import Feed
from roost.domain.desired import Table
from roost.domain.errors import BadAddress, BadName, BadSetting, NotFound, RoostError
from roost.domain.senders import Verdict
from roost.ports.store import EPOCH
from roost.store.store import SqlStore

ALLOW, DENY = Verdict.ALLOW, Verdict.DENY


def rows(store: SqlStore, after: int = 0) -> dict[str, str | None]:
    """Return what mx1 is told."""
    with store.read() as view:
        epoch = view.value(EPOCH) or ""
    news = Feed(store, 100).answer("mx1.example.net", epoch, {"senders": after}, held=0)
    page = news.pages.get(Table.SENDERS)
    return {key: None if value is None else str(value["verdict"]) for key, value in (page.rows if page else ())}


def test_entries_become_rows_of_the_mx(store: SqlStore) -> None:
    """In canonical form, changed in place, and gone with a tombstone."""
    world.add(store, "john")
    said = senders.put(store, "me", "John@Example.com", "Bad@Spam.test", DENY).did
    assert said == ["bad@spam.test may not write to john@example.com."]
    senders.put(store, "me", "example.com", "2001:DB8::0:7", ALLOW)
    assert rows(store) == {"john@example.com bad@spam.test": "deny", "example.com 2001:db8::7": "allow"}

    senders.put(store, "me", "john@example.com", "bad@spam.test", ALLOW)
    assert senders.put(store, "me", "john@example.com", "bad@spam.test", ALLOW).revision == 0
    senders.remove(store, "me", "example.com", "2001:db8::7")
    assert rows(store) == {"john@example.com bad@spam.test": "allow", "example.com 2001:db8::7": None}


def test_entries_go_with_their_owner(store: SqlStore) -> None:
    """Of a mailbox, of a domain."""
    world.add(store, "john")
    senders.put(store, "me", "john@example.com", "bad@spam.test", DENY)
    senders.put(store, "me", "example.org", "spam.test", DENY)
    mailboxes.remove(store, "me", "john@example.com")
    domains.remove(store, "me", "example.org")
    assert rows(store) == {"john@example.com bad@spam.test": None, "example.org spam.test": None}
    with store.read() as view:
        assert view.senders() == []


def test_a_dry_run_changes_nothing(store: SqlStore) -> None:
    """It says what would be done."""
    assert senders.put(store, "me", "example.com", "spam.test", DENY, dry_run=True).did
    assert rows(store) == {}


@pytest.mark.parametrize(
    ("owner", "sender", "field", "error"),
    [
        ("nobody@example.com", "spam.test", "owner", NotFound),
        ("elsewhere.test", "spam.test", "owner", NotFound),
        ("john+x@example.com", "spam.test", "owner", BadAddress),
        ("example.com", "spam", "sender", BadName),
        ("example.com", "@spam.test", "sender", RoostError),
        ("example.com", "a b@spam.test", "sender", RoostError),
    ],
)
def test_entries_that_are_refused(
    store: SqlStore, owner: str, sender: str, field: str, error: type[RoostError]
) -> None:
    """Each names the field."""
    world.add(store, "john")
    with pytest.raises(error) as raised:
        senders.put(store, "me", owner, sender, DENY)
    assert raised.value.field == field


def test_entries_are_listed_page_by_page(store: SqlStore) -> None:
    """Sorted by owner and sender, filtered by either."""
    world.add(store, "john")
    for owner, sender in (("john@example.com", "b.test"), ("example.com", "c.test"), ("john@example.com", "a.test")):
        senders.put(store, "me", owner, sender, DENY)
    with store.read() as view:
        found = [(entry.owner, entry.sender) for entry in view.senders(limit=2)]
        assert found == [("example.com", "c.test"), ("john@example.com", "a.test")]
        assert [e.sender for e in view.senders(after="john@example.com a.test")] == ["b.test"]
        assert [e.sender for e in view.senders(owner="example.com")] == ["c.test"]
        assert len(view.senders(domain="example.com")) == 3


@pytest.mark.parametrize(
    ("setting", "value", "field"),
    [
        ("spam_score", 15, "spam_score"),
        ("reject_score", 6, "spam_score"),
        ("greylist_score", 6, "greylist_score"),
        ("forbidden_attachments", ["exe", "a b"], "forbidden_attachments"),
        ("dns_lists", ["not a zone"], "dns_lists"),
    ],
)
def test_policy_of_the_filter_that_is_refused(store: SqlStore, setting: str, value: object, field: str) -> None:
    """It names the field, and what to do."""
    with pytest.raises(RoostError) as raised:
        policy.change(store, "me", {setting: value})
    assert (raised.value.field, bool(raised.value.remedy)) == (field, True)


def test_policy_of_the_filter_is_read_leniently(store: SqlStore) -> None:
    """A dot before an ending, capitals, doubles."""
    policy.change(store, "me", {"forbidden_attachments": [".EXE", "exe", "scr"]})
    with store.read() as view:
        assert view.cluster().policy.forbidden_attachments == ("exe", "scr")
    with pytest.raises(BadSetting):
        policy.change(store, "me", {"forbidden_attachments": "exe"})
