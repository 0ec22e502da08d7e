"""The evidence of a mailbox (``roost.domain.evidence``), from Dovecot's own mouth, and quickly.

What is taken is the same on 2.3 and 2.4 and in every format: the size is the one with CRLF at each line's end, time
is in seconds, and flags are sorted. Two things are remembered from one look to the next within a move, so that the
look in a hold is short:

* what never changes of a message: GUID, INTERNALDATE, size, UIDL, content. Which message it is say UID, UIDVALIDITY
  and the folder's GUID;
* a folder's flags, for as long as its HIGHESTMODSEQ, UIDNEXT and number of messages are what they were. Dovecot
  counts every change of a flag there, and dsync's own state rests on it.

Measured with 20,000 messages in mdbox on two busy processors: first look 130 to 160 ms, a later one 15 ms where
nothing has changed and 50 ms where something has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roost.domain.evidence import Evidence, Folder
from roost.drivers.dovecot.doveadm import Doveadm, fields

_LOOK = (
    ("mailbox status", "messages uidnext uidvalidity highestmodseq guid", "*"),
    ("mailbox list", "-s"),
    ("quota get",),
)
_LASTING = "uid guid date.received.unixtime size.virtual pop3.uidl"
_SIZE = 2
"""Place of the size among the lasting values."""

_CONTENT_AT_ONCE = 1 << 23
"""Bytes of messages that are asked for together."""

_REMEMBERED_MOVES = 32
_SECONDS = 600.0


@dataclass(frozen=True)
class _Found:
    """One folder as it is now."""

    name: str
    messages: int
    uidnext: int
    uidvalidity: int
    modseq: int
    guid: str


@dataclass
class _Seen:
    """What is remembered of one folder: for each UID its flags, what never changes, and its content's digest."""

    found: _Found
    flags: dict[int, bytes] = field(default_factory=dict)
    lasting: dict[int, bytes] = field(default_factory=dict)
    content: dict[int, bytes] = field(default_factory=dict)


class Witness:
    """Looks at the mailboxes of this node's Dovecot."""

    def __init__(self, doveadm: Doveadm) -> None:
        self._doveadm = doveadm
        self._seen: dict[int, dict[str, _Seen]] = {}

    def forget(self, move: int) -> None:
        """Forget what was seen in a move: a copy that is made anew is another mailbox."""
        self._seen.pop(move, None)

    def look(self, move: int, user: str, home: Path, *, deep: bool) -> Evidence:
        """Return the evidence of a mailbox whose mail is in this home now; raises ``DaemonFailed``."""
        status, subscribed, quota = self._doveadm.run_all(_LOOK, user=user, seconds=_SECONDS)
        columns = fields(status)
        found = [
            _Found(name, int(messages), int(uidnext), int(uidvalidity), int(modseq), guid)
            for name, messages, uidnext, uidvalidity, modseq, guid in zip(
                *(columns[n::6] for n in range(6)), strict=True
            )
        ]
        seen, changed = self._remembered(move, found)
        acl = self._take_flags(user, found, changed)
        self._take_lasting(user, changed)
        if deep:
            for folder in seen:
                self._take_content(user, folder)
        folders = {folder.found.name: _evidence(folder, deep) for folder in seen}
        extras = {
            "subscriptions": _digest(sorted(fields(subscribed))),
            "acl": acl,
            "quota": _digest(fields(quota)),
            "sieve": _sieve(home),
            "metadata": _metadata(home),
        }
        return Evidence(folders, extras, deep)

    def _remembered(self, move: int, found: Sequence[_Found]) -> tuple[list[_Seen], list[_Seen]]:
        """Return what is remembered of each folder, and of those what has changed or is new."""
        before = self._seen.pop(move, {})
        now, changed = {}, []
        for folder in found:
            seen = before.get(folder.guid)
            if seen is None or seen.found.uidvalidity != folder.uidvalidity:
                seen = _Seen(folder)
                changed.append(seen)
            elif seen.found != folder:
                seen.found = folder
                changed.append(seen)
            now[folder.guid] = seen
        while len(self._seen) >= _REMEMBERED_MOVES:
            self._seen.pop(next(iter(self._seen)))
        self._seen[move] = now
        return list(now.values()), changed

    def _take_flags(self, user: str, found: Sequence[_Found], changed: Sequence[_Seen]) -> str:
        """Ask for flags, and return the digest of all ACLs, for which one has to ask folder by folder."""
        commands: list[tuple[str, ...]] = [("acl get", "--", folder.name) for folder in found]
        commands += [("fetch", "uid flags", "mailbox-guid", folder.found.guid) for folder in changed]
        answers = self._doveadm.run_all(commands, user=user, seconds=_SECONDS)
        for folder, answer in zip(changed, answers[len(found) :], strict=True):
            folder.flags = _flags(answer)
        acls = [[folder.name, *fields(answer)] for folder, answer in zip(found, answers, strict=False)]
        return _digest(sorted(map("\t".join, acls)))

    def _take_lasting(self, user: str, changed: Sequence[_Seen]) -> None:
        """Ask for what never changes of those messages that are new."""
        asked, commands = [], []
        for folder in changed:
            new = [uid for uid in folder.flags if uid not in folder.lasting]
            if new:
                asked.append(folder)
                commands.append(("fetch", _LASTING, "mailbox-guid", folder.found.guid, "uid", f"{new[0]}:{new[-1]}"))
        if not asked:
            return
        for folder, answer in zip(asked, self._doveadm.run_all(commands, user=user, seconds=_SECONDS), strict=True):
            values = answer.split(b"\t")
            lasting = zip(values[1::5], values[2::5], values[3::5], values[4::5], strict=False)
            folder.lasting.update(zip(map(int, values[:-1:5]), map(b"\t".join, lasting), strict=False))

    def _take_content(self, user: str, folder: _Seen) -> None:
        """Read the contents that have not been read yet."""
        for uids in _portions([uid for uid in folder.flags if uid not in folder.content], folder.lasting):
            some = ",".join(map(str, uids))
            answer = self._doveadm.run(
                "fetch", "uid text", "mailbox-guid", folder.found.guid, "uid", some, user=user, seconds=_SECONDS
            )
            values = answer.split(b"\t")
            for uid, text in zip(values[:-1:2], values[1::2], strict=False):
                folder.content[int(uid)] = hashlib.sha256(text).hexdigest().encode()


def _flags(answer: bytes) -> dict[int, bytes]:
    """Read UIDs and flags; keywords come in the order in which each index came to know them."""
    values = answer.split(b"\t")
    known: dict[bytes, bytes] = {}
    found = {}
    for uid, words in zip(values[:-1:2], values[1::2], strict=False):
        ordered = known.get(words)
        if ordered is None:
            # \Recent is a session's, not the message's.
            ordered = known[words] = b" ".join(sorted(word for word in words.split() if word != b"\\Recent"))
        found[int(uid)] = ordered
    return found


def _evidence(folder: _Seen, deep: bool) -> Folder:
    lines = [b"%d\t%b\t%b" % (uid, folder.lasting.get(uid, b"?"), flags) for uid, flags in folder.flags.items()]
    if deep:
        lines += [folder.content.get(uid, b"?") for uid in folder.flags]
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    found = folder.found
    return Folder(found.uidvalidity, found.uidnext, found.messages, found.guid, digest)


def _portions(uids: Sequence[int], lasting: dict[int, bytes]) -> Iterator[list[int]]:
    """Yield so many of the messages at once as are not too large together."""
    portion: list[int] = []
    size = 0
    for uid in uids:
        portion.append(uid)
        size += int(lasting[uid].split(b"\t")[_SIZE]) if uid in lasting else 0
        if size > _CONTENT_AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _sieve(home: Path) -> str:
    """Return the digest of the scripts and of which is active; they are plain files in both versions."""
    lines = []
    for path in sorted((home / "sieve").glob("*.sieve")):
        lines += [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]
    active = home / ".dovecot.sieve"
    return _digest([*lines, active.readlink().name if active.is_symlink() else ""])


def _metadata(home: Path) -> str:
    """Return the digest of the annotations: a file of keys and values in turn, in any order."""
    try:
        lines = (home / "dovecot-attributes").read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        lines = []
    return _digest(sorted(map("\t".join, zip(lines[::2], lines[1::2], strict=False))))


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
