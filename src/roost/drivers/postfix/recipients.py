"""The table ``recipients`` as Postfix reads it: a ``TableStore`` (``roost.ports.driver``) in three LMDB files.

``entries.py`` has the format of the rows. The position is in the file of the aliases, under a key of ours, and is
written in one transaction with the rows of a batch. What RCPT accepts always has its next hop, because the files
are written in this order:

1. next hops and refusals of the rows that come or change, with a list of those that are new there;
2. the aliases that come, change or go, the position, and a note for each row that leaves something behind in the
   other files (the row went, or its hostname changed);
3. what was left behind goes; the notes go with the next batch.

Cut off before the end of 2, the position is the old one and the batch comes again; but rows that have gone meanwhile
come no more, so what the list of 1 names and no alias followed is removed. Cut off in 3, the notes say what is still
to do. Every batch and every tick begin with both. Whoever looks into two files at once opens them in the order
aliases, next hops, refusals: the agent does so from two threads. One changed row costs two commits, one that goes
two as well, whatever the number of rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.domain.trace import base_of
from roost.drivers.postfix.entries import Entry, entry_of, home_in, hostname_in, owner_key
from roost.drivers.postfix.layout import Layout
from roost.drivers.postfix.mapfile import MapFile, NoFile, Transaction, text
from roost.drivers.postfix.moved import Moved
from roost.drivers.postfix.rows import BEGUN, LED, LEFT, REVISION, Files, find_strange, rows
from roost.ports.driver import Batch

_ROW_BYTES = 64
"""About what LMDB needs for a row besides key and value."""

_LONGEST_KEY = 500
"""LMDB takes keys of up to 511 bytes; nothing that it could hold is longer (``mdb_env_get_maxkeysize``)."""

_LOOKED_UP_AT_ONCE = 500


class Recipients:
    """Implements ``TableStore`` for ``Table.RECIPIENTS``."""

    def __init__(self, layout: Layout) -> None:
        self._port = layout.lmtp
        self._files = Files(MapFile(layout.recipients), MapFile(layout.hops), MapFile(layout.refusals))
        self._aliases, self._hops, self._refusals = self._files
        self._applying = threading.Lock()
        self.moved = Moved()

    @property
    def table(self) -> Table:
        """Return ``recipients``."""
        return Table.RECIPIENTS

    def settle(self) -> None:
        """Finish what a crash has cut off, if there are files; raises ``DaemonFailed``."""
        with self._applying, suppress(NoFile):
            self._finish(self._notes())
            self._take_back()

    def close(self) -> None:
        """Let go of the files; Postfix still reads them."""
        for file in self._files:
            file.close()

    def position(self) -> int:
        """Return the revision; 0 where a file is missing, damaged, or was made anew."""
        try:
            with self._aliases.read() as aliases:
                revision = aliases.get(REVISION) or ""
            for file in (self._hops, self._refusals):
                with file.read() as transaction:
                    if transaction.get(BEGUN) is None:
                        return 0
        except NoFile:
            return 0
        return int(revision) if revision.isascii() and revision.isdigit() else 0

    def apply(self, batch: Batch) -> None:
        """Make the rows so, with the position; see the port and the order above."""
        with self._applying:
            self._make()
            if batch.since is not None and self.position() not in (batch.since, batch.upto):
                raise DaemonFailed(
                    f"The recipients are at revision {self.position()}; the batch begins at {batch.since}.",
                    remedy="Ask for the table's position and go on from there.",
                )
            entries = {k: entry_of(k, v, self._port) for k, v in batch.rows if v is not None}
            gone = [key for key, value in batch.rows if value is None and not self._remove_strange(key)]
            done = self._notes()
            self._finish(done)
            self._take_back()
            self._lead(entries, begin=batch.since is not None)
            self._finish(self._turn(entries, gone, done, batch))

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every row; what has no canonical form under ``!``, the file and the key."""
        return rows(self._files, self._port)

    def homes_of(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return the home of each recipient that has one, as the next hops say; addresses are as a queue has them.

        On an MX these are personal addresses already, on a backup MX they are what the sender wrote.
        """
        found: dict[str, str] = {}
        wanted = [address for address in addresses if len(address) < _LONGEST_KEY]
        for begin in range(0, len(wanted), _LOOKED_UP_AT_ONCE):
            # Postfix and the agent's writer wait for a reader, so it is short.
            with suppress(NoFile), self._aliases.read() as aliases, self._hops.read() as hops:
                for address in wanted[begin : begin + _LOOKED_UP_AT_ONCE]:
                    hop = hops.get(hostname_in(address))
                    if hop is None:
                        hop = hops.get(hostname_in(aliases.get(base_of(address)) or ""))
                    if home := home_in(hop or ""):
                        found[address] = home
        return found

    def clear(self) -> None:
        """Empty it, the aliases first: what they accept must have a next hop."""
        with self._applying:
            self._make()
            for file in self._files:
                file.empty()

    def complete(self) -> None:
        """See that there are files, also where there is no recipient; the agent lets Postfix run from now on."""
        with self._applying:
            self._make()

    def _make(self) -> None:
        # The aliases come last: what they accept must have a next hop.
        for file in (self._hops, self._refusals, self._aliases):
            file.make()

    def _lead(self, entries: dict[str, Entry], *, begin: bool) -> None:
        """Step 1: write next hops and refusals, each file only where something differs."""
        hops: dict[str, str] = {BEGUN: "1"} if begin else {}
        refusals: dict[str, str | None] = {BEGUN: "1"} if begin else {}
        with self._aliases.read() as aliases:
            fresh = {key: entry for key, entry in entries.items() if aliases.get(key) != entry.alias}
        for key, entry in entries.items():
            refusals[key] = entry.refusal or None
            if entry.hop:
                hops[entry.hostname] = entry.hop
                hops[owner_key(entry.hostname)] = key
        with self._hops.read() as known:
            self.moved.note(
                entry.hostname
                for entry in entries.values()
                if entry.hop and known.get(entry.hostname) not in (None, entry.hop)
            )
        if names := [entry.hostname for entry in fresh.values() if entry.hop]:
            hops[LED] = "\n".join(names)
        if names := [key for key, entry in fresh.items() if entry.refusal]:
            refusals[LED] = "\n".join(names)
        _write(self._hops, hops)
        _write(self._refusals, refusals)

    def _take_back(self) -> None:
        """Remove what step 1 of a batch has brought and its step 2 has not followed."""
        hops: dict[str, str | None] = {}
        refusals: dict[str, str | None] = {}
        with self._aliases.read() as aliases:
            with self._hops.read() as known:
                for hostname in _lines(known.get(LED)):
                    owner = known.get(owner_key(hostname))
                    if owner is not None and hostname_in(aliases.get(owner) or "") != hostname:
                        hops[hostname] = hops[owner_key(hostname)] = None
            with self._refusals.read() as known:
                for address in _lines(known.get(LED)):
                    if aliases.get(address) is None:
                        refusals[address] = None
        _write(self._hops, hops)
        _write(self._refusals, refusals)

    def _turn(self, entries: dict[str, Entry], gone: Iterable[str], done: Iterable[str], batch: Batch) -> set[str]:
        """Step 2: write the aliases with the position; return the addresses that left something behind."""
        left = set()
        size = sum(len(key) + len(entry.alias) + _ROW_BYTES for key, entry in entries.items())
        with self._aliases.write(size) as aliases:
            for address in done:
                aliases.delete(LEFT + address)
            for key, entry in entries.items():
                old = aliases.get(key)
                if old == entry.alias:
                    continue
                if old is not None and hostname_in(old) not in ("", entry.hostname):
                    aliases.put(LEFT + key, hostname_in(old))
                    left.add(key)
                aliases.put(key, entry.alias)
            for key in gone:
                aliases.put(LEFT + key, hostname_in(aliases.get(key) or ""))
                aliases.delete(key)
                left.add(key)
            if batch.since is not None:
                aliases.put(REVISION, str(batch.upto))
        return left

    def _notes(self) -> set[str]:
        """Return the addresses that have a note."""
        start, found = LEFT.encode(), set()
        with self._aliases.read() as aliases:
            cursor = aliases.inner.cursor()
            there = cursor.set_range(start)
            while there and bytes(cursor.key()).startswith(start):
                found.add((text(cursor.key()) or "").removeprefix(LEFT))
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
                hostname = aliases.get(LEFT + address) or ""
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
        found = find_strange(self._files, key)
        if found is None:
            return False
        file, name = found
        with file.write(0) as transaction:
            transaction.inner.delete(name)
        return True


def _lines(text: str | None) -> list[str]:
    return text.split("\n") if text else []


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
