"""The table ``recipients`` as Postfix reads it: a ``TableStore`` (``roost.ports.driver``) in three LMDB files.

``entries.py`` has the format of the rows. The position is in the file of the aliases, under a key of ours, and is
written in one transaction with the rows of a batch. What RCPT accepts always has its next hop, because the files
are written in this order:

1. next hops and refusals of the rows that come or change;
2. the aliases that come, change or go, the position, and a note for each row that leaves something behind in the
   other files (the row went, or its hostname changed);
3. what was left behind goes; the notes go with the next batch.

Cut off before the end of 2, the position is the old one and the batch comes again. Cut off in 3, the notes say
what is still to do: every batch and the opening begin with them. One changed row costs two commits, one that goes
two as well, whatever the number of rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote_from_bytes, unquote_to_bytes

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.postfix.entries import OURS, Entry, entry_of, hostname_in, owner_key, value_of
from roost.drivers.postfix.layout import Layout
from roost.drivers.postfix.mapfile import MapFile, Transaction, text
from roost.ports.driver import Batch

_REVISION = f"{OURS}revision"
_BEGUN = f"{OURS}begun"
"""In the two other files: that they belong to the aliases. One that was lost and made anew does not have it."""

_LEFT = f"{OURS}left "
"""Begins a note: the address follows; its value is the hostname that was left behind, or ''."""

_STRANGE = "!"
_ROW_BYTES = 64


class Recipients:
    """Implements ``TableStore`` for ``Table.RECIPIENTS``."""

    def __init__(self, layout: Layout) -> None:
        self._port = layout.lmtp
        self._aliases = MapFile(layout.recipients)
        self._hops = MapFile(layout.hops)
        self._refusals = MapFile(layout.refusals)
        self._applying = threading.Lock()

    @property
    def table(self) -> Table:
        """Return ``recipients``."""
        return Table.RECIPIENTS

    def prepare(self) -> None:
        """Make the files if they are missing, and finish what a crash has cut off; raises ``DaemonFailed``."""
        with self._applying:
            for file in self._files():
                file.prepare()
            self._finish(self._notes())

    def close(self) -> None:
        """Let go of the files; Postfix still reads them."""
        for file in self._files():
            file.close()

    def position(self) -> int:
        """Return the revision; 0 where a file is new, was damaged or was lost."""
        with self._aliases.read() as aliases:
            revision = aliases.get(_REVISION) or ""
        if not (revision.isascii() and revision.isdigit()):
            return 0
        for file in (self._hops, self._refusals):
            with file.read() as transaction:
                if transaction.get(_BEGUN) is None:
                    return 0
        return int(revision)

    def apply(self, batch: Batch) -> None:
        """Make the rows so, with the position; see the port and the order above."""
        with self._applying:
            if batch.since is not None and self.position() not in (batch.since, batch.upto):
                raise DaemonFailed(
                    f"The recipients are at revision {self.position()}; the batch begins at {batch.since}.",
                    remedy="Ask for the table's position and go on from there.",
                )
            entries = {k: entry_of(k, v, self._port) for k, v in batch.rows if v is not None}
            gone = [key for key, value in batch.rows if value is None and not self._remove_strange(key)]
            done = self._notes()
            self._finish(done)
            self._lead(entries, begin=batch.since is not None)
            self._finish(self._turn(entries, gone, done, batch))

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every row; what has no canonical form under ``!``, the file and the key."""
        for key, alias in self._aliases.items():
            if key.startswith(OURS.encode()):
                if not key.startswith((_REVISION.encode(), _LEFT.encode())):
                    yield _strange(self._aliases, key, alias)
                continue
            address, to = text(key), text(alias)
            if address is None or to is None or address.startswith(_STRANGE):
                yield _strange(self._aliases, key, alias)
                continue
            yield address, value_of(to, self._hop_of(address, to), self._refusal_of(address), self._port)
        yield from self._orphans()

    def complete(self) -> None:
        """Do nothing: Postfix is not started before (``waits_for_table``)."""

    def clear(self) -> None:
        """Empty it, the aliases first: what they accept must have a next hop."""
        with self._applying:
            for file in self._files():
                file.empty()

    def _files(self) -> tuple[MapFile, MapFile, MapFile]:
        return (self._aliases, self._hops, self._refusals)

    # Writing

    def _lead(self, entries: dict[str, Entry], *, begin: bool) -> None:
        """Step 1: write next hops and refusals, each file only where something differs."""
        hops: dict[str, str] = {_BEGUN: "1"} if begin else {}
        refusals: dict[str, str | None] = {_BEGUN: "1"} if begin else {}
        for key, entry in entries.items():
            refusals[key] = entry.refusal or None
            if entry.hop:
                hops[entry.hostname] = entry.hop
                hops[owner_key(entry.hostname)] = key
        _write(self._hops, hops)
        _write(self._refusals, refusals)

    def _turn(self, entries: dict[str, Entry], gone: Iterable[str], done: Iterable[str], batch: Batch) -> set[str]:
        """Step 2: write the aliases with the position; return the addresses that left something behind."""
        left = set()
        size = sum(len(key) + len(entry.alias) + _ROW_BYTES for key, entry in entries.items())
        with self._aliases.write(size) as aliases:
            for address in done:
                aliases.delete(_LEFT + address)
            for key, entry in entries.items():
                old = aliases.get(key)
                if old == entry.alias:
                    continue
                if old is not None and hostname_in(old) not in ("", entry.hostname):
                    aliases.put(_LEFT + key, hostname_in(old))
                    left.add(key)
                aliases.put(key, entry.alias)
            for key in gone:
                aliases.put(_LEFT + key, hostname_in(aliases.get(key) or ""))
                aliases.delete(key)
                left.add(key)
            if batch.since is not None:
                aliases.put(_REVISION, str(batch.upto))
        return left

    def _notes(self) -> set[str]:
        """Return the addresses that have a note."""
        start, found = _LEFT.encode(), set()
        with self._aliases.read() as aliases:
            cursor = aliases.inner.cursor()
            there = cursor.set_range(start)
            while there and cursor.key().startswith(start):
                found.add((text(cursor.key()) or "").removeprefix(_LEFT))
                there = cursor.next()
        return found

    def _finish(self, addresses: set[str]) -> None:
        """Step 3: remove next hops and refusals that no row has any more."""
        if not addresses:
            return
        hops: dict[str, str | None] = {}
        refusals: dict[str, str | None] = {}
        with self._aliases.read() as aliases, self._hops.read() as known:
            for address in addresses:
                now = aliases.get(address)
                hostname = aliases.get(_LEFT + address) or ""
                if now is None:
                    refusals[address] = None
                elif hostname == hostname_in(now):
                    continue  # it came back
                if hostname and known.get(owner_key(hostname)) == address:
                    hops[hostname] = hops[owner_key(hostname)] = None
        _write(self._hops, hops)
        _write(self._refusals, refusals)

    def _remove_strange(self, key: str) -> bool:
        """Remove what ``rows`` yields under this key; False where it is not such a key."""
        for file in self._files():
            prefix = _strange_prefix(file)
            if key.startswith(prefix):
                with file.write(0) as transaction:
                    transaction.inner.delete(unquote_to_bytes(key.removeprefix(prefix)))
                return True
        return False

    # Reading

    def _hop_of(self, address: str, alias: str) -> str:
        hostname = hostname_in(alias)
        if not hostname:
            return ""
        with self._hops.read() as hops:
            if hops.get(owner_key(hostname)) != address:
                return ""
            return hops.get(hostname) or "missing"

    def _refusal_of(self, address: str) -> str:
        with self._refusals.read() as refusals:
            return refusals.get(address) or ""

    def _orphans(self) -> Iterator[tuple[str, Value]]:
        """Yield what stands in the other files and belongs to no row."""
        for key, value in self._hops.items():
            name = text(key)
            if name == _BEGUN:
                continue
            hostname = (name or "").removeprefix(OURS)
            with self._hops.read() as hops, self._aliases.read() as aliases:
                owner = hops.get(owner_key(hostname))
                fine = owner is not None and hostname_in(aliases.get(owner) or "") == hostname
            if not fine:
                yield _strange(self._hops, key, value)
        for key, value in self._refusals.items():
            name = text(key)
            if name == _BEGUN:
                continue
            with self._aliases.read() as aliases:
                fine = name is not None and aliases.get(name) is not None
            if not fine:
                yield _strange(self._refusals, key, value)


def _write(file: MapFile, wanted: dict[str, str] | dict[str, str | None]) -> None:
    """Make the keys so, None for none, in one transaction, or in none where they are so already."""
    with file.read() as transaction:
        different = {key: value for key, value in wanted.items() if transaction.get(key) != value}
    if not different:
        return
    size = sum(len(key) + len(value or "") + _ROW_BYTES for key, value in different.items())
    with file.write(size) as transaction:
        for key, value in different.items():
            _set(transaction, key, value)


def _set(transaction: Transaction, key: str, value: str | None) -> None:
    if value is None:
        transaction.delete(key)
    else:
        transaction.put(key, value)


def _strange_prefix(file: MapFile) -> str:
    return f"{_STRANGE}{file.path.stem}/"


def _strange(file: MapFile, key: bytes, value: bytes) -> tuple[str, Value]:
    return _strange_prefix(file) + quote_from_bytes(key, safe="@"), {"value": quote_from_bytes(value, safe="@:[] ")}
