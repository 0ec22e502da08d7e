"""Accounts for every message of a mailbox that programs have worked on: what should be there, and is it?

The programs of ``roost.lab.remote`` keep journals of what the servers *acknowledged*; :func:`faults` takes the
mailbox as it was before, these journals, and the mailbox as it is now, and returns what is wrong. Nothing wrong is an
empty list. It decides only: no machine is asked.

A message is known by its folder and its *token*, which stands in its Message-ID and its body and is given once; the
programs copy a message into another folder once at most. An event is a mapping with ``at`` (seconds since the epoch),
``what``, and for these the fields named:

=============  =====================================================================================================
``taken``      ``token``: an MX answered 250, so it must be in INBOX, once
``appended``   ``folder``, ``token``, ``uid``, ``flags``
``flagged``    ``folder``, ``token``, ``flags``: all that it has now
``copied``     ``folder`` (the one that it went to), ``token``, ``uid``, ``flags``
``expunged``   ``folder``, ``token``
``unsure``     ``op`` (take, append, flag, copy, expunge), ``folder``, ``token``: asked, and the connection broke
``seen``       ``folder``, ``token``, ``uid``: a client has it in its cache
``uidl``       ``token``, ``uidl``: a POP3 client has downloaded it
``again``      ``token`` or ``uidl``: a POP3 client would download it a second time
=============  =====================================================================================================

Others say how connections went; ``roost.lab.pauses`` reads those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Event = Mapping[str, Any]

INBOX = "INBOX"


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    DOUBLED = "doubled"
    RESURRECTED = "resurrected"
    STRANGE = "strange"
    """A message that nobody has put there."""

    FLAGS = "flags"
    UID = "uid"
    UIDVALIDITY = "uidvalidity"
    UIDL = "uidl"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, in a sentence."""

    kind: Kind
    said: str


@dataclass(frozen=True)
class Message:
    """A message as a mailbox holds it. ``flags`` without ``\\Recent``; ``uidl`` for INBOX where POP3 was asked."""

    folder: str
    uid: int
    token: str
    flags: frozenset[str] = frozenset()
    uidl: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A whole mailbox. ``uidvalidity`` has every folder that can be selected."""

    uidvalidity: Mapping[str, int]
    messages: tuple[Message, ...]
    subscribed: frozenset[str] = frozenset()

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Snapshot:
        """Read what ``remote/account.py`` printed."""
        messages = []
        validity = {}
        for folder, found in answer["folders"].items():
            validity[folder] = int(found["uidvalidity"])
            uidls = answer["uidls"] if folder == INBOX and answer["uidls"] else [""] * len(found["messages"])
            if len(uidls) != len(found["messages"]):
                raise ValueError(f"POP3 has {len(uidls)} messages, IMAP {len(found['messages'])}")
            for (uid, token, flags), uidl in zip(found["messages"], uidls, strict=True):
                messages.append(Message(folder, int(uid), token, _plain(flags), uidl))
        return cls(validity, tuple(messages), frozenset(answer["subscribed"]))


def _plain(flags: Iterable[str]) -> frozenset[str]:
    r"""Leave out ``\Recent``, which tells of sessions and not of the message (RFC 3501 section 2.3.2)."""
    return frozenset(flag for flag in flags if flag.lower() != "\\recent")


@dataclass
class _Entry:
    """What is known of a message: ``there`` and ``flags`` are None where either is right."""

    there: bool | None = None
    flags: frozenset[str] | None = None
    uids: set[int] = field(default_factory=set)
    uidls: set[str] = field(default_factory=set)


class _Book:
    """The state that follows from what was before and from the events."""

    def __init__(self, before: Snapshot) -> None:
        self.entries: dict[tuple[str, str], _Entry] = {}
        self.again: list[str] = []
        for message in before.messages:
            key = (message.folder, message.token)
            if key in self.entries:
                raise ValueError(f"{message.token} is twice in {message.folder} before anything began")
            uidls = {message.uidl} if message.uidl else set()
            self.entries[key] = _Entry(there=True, flags=message.flags, uids={message.uid}, uidls=uidls)

    def _entry(self, folder: str, token: str) -> _Entry:
        return self.entries.setdefault((folder, token), _Entry())

    def note(self, event: Event) -> None:
        """Take down one event."""
        what = event["what"]
        folder, token = event.get("folder", INBOX), event.get("token", "")
        if what == "taken":
            # Clients may have worked on it before its sender had read the answer.
            self.entries.setdefault((INBOX, token), _Entry(there=True, flags=frozenset()))
        elif what in {"appended", "copied"}:
            entry = self._entry(folder, token)
            entry.there, entry.flags = True, _plain(event["flags"])
            entry.uids.add(event["uid"])
        elif what == "flagged":
            entry = self._entry(folder, token)
            entry.flags = _plain(event["flags"])
            entry.there = True if entry.there is None else entry.there
        elif what == "expunged":
            self._entry(folder, token).there = False
        elif what == "unsure":
            self._doubt(event["op"], folder, token)
        elif what == "seen":
            self._sight(folder, token).uids.add(event["uid"])
        elif what == "uidl":
            self._sight(INBOX, token).uidls.add(event["uidl"])
        elif what == "again":
            self.again.append(token or event["uidl"])

    def _sight(self, folder: str, token: str) -> _Entry:
        """Return the entry of a message that a client has met; whether it was expunged since is not told by that."""
        return self.entries.setdefault((folder, token), _Entry())

    def _doubt(self, op: str, folder: str, token: str) -> None:
        entry = self._entry(folder, token)
        entry.flags = None
        if op != "flag":
            entry.there = None


def faults(before: Snapshot, events: Iterable[Event], after: Snapshot) -> list[Fault]:
    """Return all that is wrong with a mailbox after these events."""
    book = _Book(before)
    # What the doors took comes first: it must be there even where a client has met it already.
    for event in sorted(events, key=lambda event: (event["what"] != "taken", event["at"])):
        book.note(event)
    found: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in after.messages:
        found[message.folder, message.token].append(message)
    wrong = _of_folders(before, after)
    for key, entry in book.entries.items():
        wrong += _of_message(*key, entry, found.pop(key, []))
    for (folder, token), messages in found.items():
        wrong.append(Fault(Kind.STRANGE, f"Nobody has put {token} into {folder}, UID {messages[0].uid}."))
    wrong += _of_uids(book, after)
    wrong += [Fault(Kind.UIDL, f"A POP3 client would download {what} again.") for what in book.again]
    return wrong


def _of_folders(before: Snapshot, after: Snapshot) -> list[Fault]:
    wrong = []
    for folder, validity in before.uidvalidity.items():
        now = after.uidvalidity.get(folder)
        if now is None:
            wrong.append(Fault(Kind.LOST, f"The folder {folder!r} is gone."))
        elif now != validity:
            wrong.append(Fault(Kind.UIDVALIDITY, f"The UIDVALIDITY of {folder!r} was {validity} and is {now}."))
    for folder in sorted(before.subscribed ^ after.subscribed):
        said = "no longer" if folder in before.subscribed else "now"
        wrong.append(Fault(Kind.SUBSCRIPTION, f"{folder!r} is {said} subscribed."))
    return wrong


def _of_message(folder: str, token: str, entry: _Entry, found: list[Message]) -> list[Fault]:
    wrong = []
    if entry.there and not found:
        wrong.append(Fault(Kind.LOST, f"{token} is not in {folder}."))
    if entry.there is False and found:
        return [Fault(Kind.RESURRECTED, f"{token} was expunged from {folder} and is there, UID {found[0].uid}.")]
    if len(found) > 1:
        uids = ", ".join(str(message.uid) for message in found)
        wrong.append(Fault(Kind.DOUBLED, f"{token} is {len(found)} times in {folder}: UIDs {uids}."))
    # Of several it is the one that clients know, if that is there.
    now = sorted(found, key=lambda message: (message.uid not in entry.uids, message.uid))[:1]
    known = entry.uids | {message.uid for message in now}
    if len(known) > 1:
        wrong.append(Fault(Kind.UID, f"{token} in {folder} had more than one UID: {sorted(known)}."))
    uidls = entry.uidls | {message.uidl for message in now if message.uidl}
    if len(uidls) > 1:
        wrong.append(Fault(Kind.UIDL, f"{token} had more than one UIDL: {', '.join(sorted(uidls))}."))
    if now and entry.flags is not None and now[0].flags != entry.flags:
        are, should = (" ".join(sorted(flags)) or "none" for flags in (now[0].flags, entry.flags))
        wrong.append(Fault(Kind.FLAGS, f"The flags of {token} in {folder} should be {should} and are {are}."))
    return wrong


def _of_uids(book: _Book, after: Snapshot) -> list[Fault]:
    """No UID may ever have meant two messages of a folder (RFC 3501 section 2.3.1.1)."""
    meant: dict[tuple[str, int], set[str]] = defaultdict(set)
    for (folder, token), entry in book.entries.items():
        for uid in entry.uids:
            meant[folder, uid].add(token)
    for message in after.messages:
        meant[message.folder, message.uid].add(message.token)
    return [
        Fault(Kind.UID, f"UID {uid} of {folder} meant {' and '.join(sorted(tokens))}.")
        for (folder, uid), tokens in meant.items()
        if len(tokens) > 1
    ]
