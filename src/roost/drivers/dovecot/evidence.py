"""The evidence of a mailbox (``roost.domain.evidence``), from Dovecot's own mouth, and quickly.

What is taken is the same on 2.3 and 2.4 and in every format: the size is the one with CRLF at each line's end, time
is in seconds, and flags are sorted. What never changes of a message (GUID, INTERNALDATE, size, UIDL, content) is
remembered from one look to the next within a move; so the look in a hold asks for flags of all messages, and for the
rest of those only that are new since. UID, UIDVALIDITY and GUID of the folder say which message it is.

Measured with 20,000 messages in mdbox on two slow processors: first look 140 ms, a later one 55 ms.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roost.domain.evidence import Evidence, Folder
from roost.drivers.dovecot.doveadm import Doveadm, fields

_LOOK = (
    ("mailbox status", "messages uidnext uidvalidity guid", "*"),
    ("fetch", "mailbox-guid uid flags", "ALL"),
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


@dataclass
class _Seen:
    """What is remembered of one folder: for each UID the values that never change, and the content's digest."""

    uidvalidity: int
    lasting: dict[int, bytes] = field(default_factory=dict)
    content: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """One folder as it is now; ``flags`` maps each UID to its flags, in the order of UIDs."""

    name: str
    messages: int
    uidnext: int
    uidvalidity: int
    guid: str
    flags: dict[int, bytes]


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
        status, flags, subscribed, quota = self._doveadm.run_all(_LOOK, user=user, seconds=_SECONDS)
        found = _folders(status, flags)
        seen = self._remembered(move, found)
        acl = self._complete(user, found, seen)
        if deep:
            for folder in found:
                self._read(user, folder, seen[folder.guid])
        folders = {folder.name: _evidence(folder, seen[folder.guid], deep) for folder in found}
        extras = {
            "subscriptions": _digest(sorted(fields(subscribed))),
            "acl": acl,
            "quota": _digest(fields(quota)),
            "sieve": _sieve(home),
            "metadata": _metadata(home),
        }
        return Evidence(folders, extras, deep)

    def _remembered(self, move: int, found: Sequence[_Found]) -> dict[str, _Seen]:
        """Return what is remembered of these folders, made new where a folder is another one now."""
        before = self._seen.pop(move, {})
        now = {}
        for folder in found:
            seen = before.get(folder.guid)
            now[folder.guid] = seen if seen and seen.uidvalidity == folder.uidvalidity else _Seen(folder.uidvalidity)
        while len(self._seen) >= _REMEMBERED_MOVES:
            self._seen.pop(next(iter(self._seen)))
        self._seen[move] = now
        return now

    def _complete(self, user: str, found: Sequence[_Found], seen: dict[str, _Seen]) -> str:
        """Ask for what is new, and return the digest of all ACLs, for which one has to ask folder by folder."""
        commands: list[tuple[str, ...]] = [("acl get", folder.name) for folder in found]
        asked = []
        for folder in found:
            new = [uid for uid in folder.flags if uid not in seen[folder.guid].lasting]
            if new:
                commands.append(("fetch", _LASTING, "mailbox-guid", folder.guid, "uid", f"{new[0]}:{new[-1]}"))
                asked.append(folder)
        answers = self._doveadm.run_all(commands, user=user, seconds=_SECONDS)
        for folder, answer in zip(asked, answers[len(found) :], strict=True):
            values = answer.split(b"\t")
            lasting = zip(values[1::5], values[2::5], values[3::5], values[4::5], strict=False)
            seen[folder.guid].lasting.update(zip(map(int, values[:-1:5]), map(b"\t".join, lasting), strict=False))
        acls = [[folder.name, *fields(answer)] for folder, answer in zip(found, answers, strict=False)]
        return _digest(sorted(map("\t".join, acls)))

    def _read(self, user: str, folder: _Found, seen: _Seen) -> None:
        """Read the contents that have not been read yet."""
        for uids in _portions([uid for uid in folder.flags if uid not in seen.content], seen.lasting):
            answer = self._doveadm.run(
                "fetch", "uid text", "mailbox-guid", folder.guid, "uid", ",".join(map(str, uids)),
                user=user, seconds=_SECONDS,
            )  # fmt: skip
            values = answer.split(b"\t")
            for uid, text in zip(values[:-1:2], values[1::2], strict=False):
                seen.content[int(uid)] = hashlib.sha256(text).hexdigest().encode()


def _folders(status: bytes, flags: bytes) -> list[_Found]:
    """Read the two answers."""
    values = flags.split(b"\t")
    by_guid: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
    known: dict[bytes, bytes] = {}
    for guid, uid, words in zip(values[:-1:3], values[1::3], values[2::3], strict=False):
        sorted_ = known.get(words)
        if sorted_ is None:
            # Keywords come in the order in which each index came to know them; \Recent is nobody's but a session's.
            sorted_ = known[words] = b" ".join(sorted(word for word in words.split() if word != b"\\Recent"))
        by_guid[guid][int(uid)] = sorted_
    columns = fields(status)
    return [
        _Found(name, int(messages), int(uidnext), int(uidvalidity), guid, by_guid[guid.encode()])
        for name, messages, uidnext, uidvalidity, guid in zip(*(columns[n::5] for n in range(5)), strict=True)
    ]


def _evidence(folder: _Found, seen: _Seen, deep: bool) -> Folder:
    lines = [b"%d\t%b\t%b" % (uid, seen.lasting.get(uid, b"?"), flags) for uid, flags in folder.flags.items()]
    if deep:
        lines += [seen.content.get(uid, b"?") for uid in folder.flags]
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    return Folder(folder.uidvalidity, folder.uidnext, folder.messages, folder.guid, digest)


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
