"""The proof of a move: what one side's mailbox is, in a form that can be compared, kept and signed.

Both nodes compute the same thing from their own Dovecot. Of every message of every folder a digest takes in: UID,
GUID, flags and keywords, INTERNALDATE, size, POP3 UIDL; ``deep``: also a digest of its content. Two sides that hold
the same mailbox give equal evidence, field by field, also where one runs Dovecot 2.3 and the other 2.4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Folder:
    """One folder: ``messages`` is a count, ``digest`` hexadecimal SHA-256 over all its messages by UID."""

    uidvalidity: int
    uidnext: int
    messages: int
    guid: str
    digest: str


@dataclass(frozen=True)
class Evidence:
    """One side of a mailbox. ``extras`` maps what is not a folder to a digest.

    The keys of ``extras``: ``subscriptions``, ``sieve`` (scripts and which is active), ``acl``, ``metadata``,
    ``quota`` (messages and bytes as Dovecot counts them).
    """

    folders: Mapping[str, Folder]
    extras: Mapping[str, str] = field(default_factory=dict)
    deep: bool = False

    @property
    def messages(self) -> int:
        """Return the number of messages in all folders."""
        return sum(folder.messages for folder in self.folders.values())

    def text(self) -> str:
        """Return it as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Evidence:
        """Read what ``text`` wrote; raises ``ValueError``."""
        try:
            found = json.loads(text)
            folders = {str(name): Folder(**folder) for name, folder in found["folders"].items()}
            return cls(folders, {str(k): str(v) for k, v in found["extras"].items()}, bool(found["deep"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no evidence: {error}") from error


def differences(source: Evidence, target: Evidence) -> list[str]:
    """Return in sentences how the target differs from the source; empty where they agree."""
    found = []
    for name in sorted({*source.folders, *target.folders}):
        here, there = source.folders.get(name), target.folders.get(name)
        if there is None:
            found.append(f"The folder {name!r} is missing on the target.")
        elif here is None:
            found.append(f"The folder {name!r} is on the target only.")
        elif here != there:
            found += _of_folder(name, here, there)
    for name in sorted({*source.extras, *target.extras}):
        if source.extras.get(name) != target.extras.get(name):
            found.append(f"{name.capitalize()} differ.")
    if source.deep != target.deep:
        found.append("Only one side has compared contents.")
    return found


_OF_NO_MESSAGE = ("sieve", "acl", "metadata")


def differing(source: Evidence, target: Evidence) -> frozenset[str] | None:
    """Return the GUIDs of the source's folders that are not the same on the target.

    None where something differs that may belong to any folder.
    """
    if any(source.extras.get(name) != target.extras.get(name) for name in _OF_NO_MESSAGE):
        return None
    return frozenset(folder.guid for name, folder in source.folders.items() if target.folders.get(name) != folder)


def _of_folder(name: str, here: Folder, there: Folder) -> list[str]:
    names = {"uidvalidity": "UIDVALIDITY", "uidnext": "UIDNEXT", "messages": "number of messages", "guid": "GUID"}
    found = [
        f"The {said} of {name!r} is {getattr(here, what)} on the source, {getattr(there, what)} on the target."
        for what, said in names.items()
        if getattr(here, what) != getattr(there, what)
    ]
    return found or [f"Messages of {name!r} differ in UID, flags, date, size or content."]
