"""The account of a mailbox: what is right passes, and every kind of damage is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from roost.lab.accounting import INBOX, Event, Kind, Message, Snapshot, faults

SEEN = frozenset({"\\Seen"})
WORK = "Work"


def _old(number: int, flags: frozenset[str] = frozenset()) -> Message:
    return Message(INBOX, number, f"old.{number}", flags, f"uidl{number}")


BEFORE = Snapshot({INBOX: 7, WORK: 8}, (_old(1), _old(2, SEEN), _old(3)), frozenset({WORK}))

EVENTS: list[Event] = [
    {"at": 1, "what": "taken", "token": "new.1"},
    {"at": 2, "what": "appended", "folder": WORK, "token": "w.1", "uid": 1, "flags": ["\\Draft"]},
    {"at": 3, "what": "flagged", "folder": INBOX, "token": "old.1", "flags": ["\\Seen"]},
    {"at": 4, "what": "copied", "folder": WORK, "token": "old.1", "uid": 2, "flags": ["\\Seen"]},
    {"at": 5, "what": "expunged", "folder": INBOX, "token": "old.3"},
    {"at": 6, "what": "seen", "folder": INBOX, "token": "new.1", "uid": 4},
    {"at": 7, "what": "uidl", "token": "new.1", "uidl": "uidl4"},
    {"at": 8, "what": "served", "seconds": 0.1},
]

AFTER = Snapshot(
    {INBOX: 7, WORK: 8, "Trash": 9},
    (
        replace(_old(1), flags=SEEN),
        _old(2, SEEN),
        Message(INBOX, 4, "new.1", frozenset(), "uidl4"),
        Message(WORK, 1, "w.1", frozenset({"\\Draft"})),
        Message(WORK, 2, "old.1", SEEN),
    ),
    frozenset({WORK}),
)


def _kinds(events: list[Event], after: Snapshot, before: Snapshot = BEFORE) -> set[Kind]:
    return {fault.kind for fault in faults(before, events, after)}


def _without(token: str, folder: str = INBOX) -> Snapshot:
    kept = tuple(m for m in AFTER.messages if (m.folder, m.token) != (folder, token))
    return replace(AFTER, messages=kept)


def _with(*more: Message) -> Snapshot:
    return replace(AFTER, messages=(*AFTER.messages, *more))


def _changed(token: str, **fields: Any) -> Snapshot:
    messages = tuple(replace(m, **fields) if (m.folder, m.token) == (INBOX, token) else m for m in AFTER.messages)
    return replace(AFTER, messages=messages)


def test_nothing_is_wrong() -> None:
    assert faults(BEFORE, EVENTS, AFTER) == []


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (_without("old.2"), {Kind.LOST}),
        (_without("new.1"), {Kind.LOST}),
        (_without("w.1", WORK), {Kind.LOST}),
        (_with(Message(INBOX, 9, "new.1", SEEN, "uidl9")), {Kind.DOUBLED}),
        (_with(Message(INBOX, 9, "old.2", SEEN)), {Kind.DOUBLED}),
        (_with(_old(3)), {Kind.RESURRECTED}),
        (_with(replace(_old(3), uid=12, uidl="uidl12")), {Kind.RESURRECTED}),
        (_with(Message(INBOX, 9, "whose")), {Kind.STRANGE}),
        (_changed("old.1", flags=frozenset()), {Kind.FLAGS}),
        (_changed("old.2", flags=SEEN | {"\\Flagged"}), {Kind.FLAGS}),
        (_changed("new.1", flags=SEEN), {Kind.FLAGS}),
        (_changed("old.2", uid=22), {Kind.UID}),
        (_changed("new.1", uid=5), {Kind.UID}),
        (_changed("new.1", uid=3), {Kind.UID}),
        (_changed("old.2", uidl="another"), {Kind.UIDL}),
        (_changed("new.1", uidl="another"), {Kind.UIDL}),
        (replace(AFTER, uidvalidity={INBOX: 70, WORK: 8}), {Kind.UIDVALIDITY}),
        (replace(AFTER, uidvalidity={INBOX: 7}), {Kind.LOST}),
        (replace(AFTER, subscribed=frozenset()), {Kind.SUBSCRIPTION}),
    ],
)
def test_damage_is_named(after: Snapshot, kinds: set[Kind]) -> None:
    assert _kinds(EVENTS, after) == kinds


def test_a_second_download_is_a_fault() -> None:
    again = {"at": 9, "what": "again", "token": "old.1", "uidl": "other"}
    assert _kinds([*EVENTS, again], AFTER) == {Kind.UIDL}


def test_the_uid_of_a_message_that_was_expunged_is_not_given_again() -> None:
    before = replace(BEFORE, messages=(*BEFORE.messages, Message(WORK, 9, "gone")))
    events = [*EVENTS, {"at": 9, "what": "expunged", "folder": WORK, "token": "gone"}]
    assert _kinds(events, AFTER, before) == set()
    events += [{"at": 10, "what": "appended", "folder": WORK, "token": "w.2", "uid": 9, "flags": []}]
    assert _kinds(events, _with(Message(WORK, 9, "w.2")), before) == {Kind.UID}


def test_a_sender_reads_his_answer_late() -> None:
    """A client expunged the message before the sender's journal has that it was taken."""
    events: list[Event] = [
        {"at": 1, "what": "seen", "folder": INBOX, "token": "quick", "uid": 5},
        {"at": 2, "what": "expunged", "folder": INBOX, "token": "quick"},
        {"at": 3, "what": "taken", "token": "quick"},
    ]
    assert _kinds([*EVENTS, *events], AFTER) == set()
    assert _kinds([*EVENTS, *events], _with(Message(INBOX, 5, "quick"))) == {Kind.RESURRECTED}


def test_seen_but_lost() -> None:
    """What a client has seen and the door took must be there in the end."""
    events: list[Event] = [
        {"at": 1, "what": "seen", "folder": INBOX, "token": "quick", "uid": 5},
        {"at": 3, "what": "taken", "token": "quick"},
    ]
    assert _kinds([*EVENTS, *events], AFTER) == {Kind.LOST}


@pytest.mark.parametrize("op", ["take", "append", "copy", "expunge"])
def test_what_was_never_answered_may_be_there_or_not(op: str) -> None:
    events = [*EVENTS, {"at": 9, "what": "unsure", "op": op, "folder": INBOX, "token": "doubt"}]
    assert _kinds(events, AFTER) == set()
    there = Message(INBOX, 9, "doubt", SEEN)
    assert _kinds(events, _with(there)) == set()
    assert _kinds(events, _with(there, replace(there, uid=10))) == {Kind.DOUBLED}


def test_a_flag_in_doubt_does_not_excuse_the_message() -> None:
    events = [*EVENTS, {"at": 9, "what": "unsure", "op": "flag", "folder": INBOX, "token": "old.2"}]
    assert _kinds(events, _changed("old.2", flags=frozenset())) == set()
    assert _kinds(events, _without("old.2")) == {Kind.LOST}


def test_what_was_there_twice_cannot_be_accounted_for() -> None:
    with pytest.raises(ValueError, match="twice"):
        faults(replace(BEFORE, messages=(_old(1), replace(_old(1), uid=2))), [], AFTER)


def test_an_answer_is_read() -> None:
    answer = {
        "folders": {INBOX: {"uidvalidity": 7, "messages": [[1, "old.1", ["\\Seen", "\\Recent"]]]}},
        "uidls": ["uidl1"],
        "subscribed": [WORK],
    }
    read = Snapshot.of_answer(answer)
    assert read == Snapshot({INBOX: 7}, (replace(_old(1), flags=SEEN),), frozenset({WORK}))
    with pytest.raises(ValueError, match="POP3"):
        Snapshot.of_answer({**answer, "uidls": []} | {"uidls": ["a", "b"]})
