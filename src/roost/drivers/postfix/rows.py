"""Reading the three files back as rows, so that comparing finds every difference.

Keys of ours, besides the owners of hostnames (``entries.py``): in ``recipients`` the position and the notes of
``recipients.py``; in the other two files that they have begun, and what came last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from roost.domain.desired import Value
from roost.drivers.postfix.entries import OURS, hostname_in, owner_key, value_of
from roost.drivers.postfix.mapfile import MapFile, Raw, Transaction, text

REVISION = f"{OURS}revision"
BEGUN = f"{OURS}begun"
"""In the two other files: that they belong to the aliases. One that was lost and made anew does not have it."""

LED = f"{OURS}led"
"""In the two other files: what the last batch brought there that its aliases had yet to follow, a name a line."""

LEFT = f"{OURS}left "
"""Begins a note: the address follows; its value is the hostname that was left behind, or ''."""

_STRANGE = "!"


class Files(NamedTuple):
    """The three files."""

    aliases: MapFile
    hops: MapFile
    refusals: MapFile


def rows(files: Files, port: int) -> Iterator[tuple[str, Value]]:
    """Yield every row; what has no canonical form, and what belongs to no row, under ``!``, the file and the key."""
    for chunk in files.aliases.chunks():
        with files.hops.read() as hops, files.refusals.read() as refusals:
            found = [(item, _row(item, hops, refusals, port)) for item in chunk if not _is_note(item[0])]
        for (key, value), row in found:
            yield row or _strange(files.aliases, key, value)
    for file in (files.hops, files.refusals):
        for chunk in file.chunks():
            with files.aliases.read() as aliases, files.hops.read() as hops:
                fits = _hop_fits if file is files.hops else _refusal_fits
                orphans = [(key, value) for key, value in chunk if not fits(text(key), hops, aliases)]
            for key, value in orphans:
                yield _strange(file, key, value)


def find_strange(files: Files, key: str) -> tuple[MapFile, bytes] | None:
    """Return where something strange stands that ``rows`` yields under this key; None for any other key."""
    for file in files:
        prefix = _prefix(file)
        if key.startswith(prefix):
            return file, unquote_to_bytes(key.removeprefix(prefix))
    return None


def _is_note(key: bytes) -> bool:
    return key.startswith(LEFT.encode()) or key == f"{REVISION}\0".encode()


def _row(item: Raw, hops: Transaction, refusals: Transaction, port: int) -> tuple[str, Value] | None:
    """Return the row that an alias belongs to, or None where it is no address."""
    address, alias = text(item[0]), text(item[1])
    if address is None or alias is None or address.startswith((OURS, _STRANGE)):
        return None
    hop, hostname = "", hostname_in(alias)
    if hostname and hops.get(owner_key(hostname)) == address:
        hop = hops.get(hostname) or "missing"
    return address, value_of(alias, hop, refusals.get(address) or "", port)


def _hop_fits(name: str | None, hops: Transaction, aliases: Transaction) -> bool:
    if name is None or name in (BEGUN, LED):
        return name is not None
    hostname = name.removeprefix(OURS)
    owner = hops.get(owner_key(hostname))
    return owner is not None and hostname_in(aliases.get(owner) or "") == hostname


def _refusal_fits(name: str | None, hops: Transaction, aliases: Transaction) -> bool:
    del hops
    return name in (BEGUN, LED) or (name is not None and aliases.get(name) is not None)


def _prefix(file: MapFile) -> str:
    return f"{_STRANGE}{file.path.stem}/"


def _strange(file: MapFile, key: bytes, value: bytes) -> tuple[str, Value]:
    """Return a row for what only a hand can have made; a key beginning with ``!`` stays distinct by its quoting."""
    return _prefix(file) + quote_from_bytes(key, safe="@"), {"value": quote_from_bytes(value, safe="@:[] ")}
