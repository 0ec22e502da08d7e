"""The table ``names`` in BIND's zones, by dynamic update (RFC 2136) from this node's agent to its own BIND.

**Revision.** Each zone has a TXT record ``_roost.<zone>`` with the revision that it has; the position of the
table is that of the cluster's zone, which every batch changes last, so a batch that is cut off anywhere is not
counted and is applied again. That last message has a prerequisite: the record must still be the one that was
seen (compare and set). Anyone who may query the server may ask for it.

**Serial number.** The SOA's serial follows the revision modulo 2**32. RFC 2136 section 3.4.2.2 ignores an SOA
whose serial is not greater in the arithmetic of RFC 1982, and section 3.6 then has the server increment it by
itself: so it grows with every change, repairs too, and wraps, without our knowing where it stands.

**Rows.** A row replaces what is there under its owner and type; a CNAME, which must stand alone (RFC 1034,
3.6.2), replaces everything under its owner, and an address record also removes a CNAME: whatever was put there
by hand gives way in one message.

**Cost.** One changed row costs two messages, whatever the size of the zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dns.exception
import dns.name

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.bind import records, wire, zones
from roost.drivers.bind.link import Link, WrongRevision
from roost.drivers.bind.place import Place
from roost.ports.driver import Batch
from roost.ports.host import Host

_CHUNK = 500
"""Rows in one message: some 40 kB of the 64 kB that fit; one with very long names is halved until it fits."""

_Change = tuple[str, Value | None]


class NamesTable:
    """Implements ``roost.ports.driver.TableStore``. ``served`` are the zones, the cluster's own first."""

    def __init__(self, host: Host, place: Place, served: Sequence[str]) -> None:
        self._link = Link(host, place)
        self._host = host
        self._place = place
        self._served = frozenset(served)
        self._cluster = served[0]
        self._order = tuple(served)
        # The TXT as it was last seen or left; spares a query for each batch. None: not known.
        self._known: str | None = None

    @property
    def table(self) -> Table:
        """Return which table it is."""
        return Table.NAMES

    def position(self) -> int:
        """Return the revision of the cluster's zone; 0 where it has none, is damaged, or could not be loaded.

        Raises ``DaemonFailed`` where BIND does not answer, or does not serve the zone yet.
        """
        return _number(self._look())

    def _look(self) -> str:
        self._known = zones.revision_text(self._link, self._cluster)
        return self._known

    def apply(self, batch: Batch) -> None:
        """Make the rows so; see the port.

        A batch whose ``upto`` the table has already is applied again, since its answer may have been lost. One
        that begins elsewhere raises ``DaemonFailed``, as does a row of a zone that BIND does not serve (yet).
        """
        if batch.since is not None:
            self._expect(batch)
        parts = self._by_zone(batch.rows)
        own = parts.pop(self._cluster, [])
        with self._link.conversation():
            for zone, rows in sorted(parts.items()):
                self._change(zone, rows, batch)
            if own or batch.since is not None:
                self._change(self._cluster, own, batch)

    def _expect(self, batch: Batch) -> None:
        seen = self._known
        if seen is None or _number(seen) != batch.since:
            seen = self._look()
        if _number(seen) not in (batch.since, batch.upto):
            raise DaemonFailed(
                f"The zones are at revision {_number(seen)}; the batch begins at {batch.since}.",
                remedy="Ask for the table's position and go on from there.",
            )

    def _by_zone(self, rows: Sequence[_Change]) -> dict[str, list[_Change]]:
        parts: dict[str, list[_Change]] = {}
        for key, value in rows:
            if value is None:
                owner = key.removeprefix(records.STRANGE).rpartition("/")[0]
                zone = records.zone_of(owner, self._served)
                if zone is None:
                    continue  # its zone was taken from the settings before, and all its rows with it
            else:
                zone = str(value.get("zone", ""))
                if zone not in self._served:
                    raise DaemonFailed(
                        f"The row {key!r} lies in the zone {zone!r}, which this server does not serve yet.",
                        remedy="The settings name the zones; they come first.",
                    )
            parts.setdefault(zone, []).append((key, value))
        return parts

    def _change(self, zone: str, rows: list[_Change], batch: Batch) -> None:
        """Send one zone's rows, those that go first, and with the last of them the revision and the serial."""
        rows.sort(key=lambda row: row[1] is not None)
        for start in range(0, max(len(rows), 1), _CHUNK):
            last = start + _CHUNK >= len(rows)
            self._send(zone, rows[start : start + _CHUNK], batch if last else None)

    def _send(self, zone: str, rows: Sequence[_Change], batch: Batch | None) -> None:
        """Send one message; ``batch`` is given where it is the zone's last and carries the revision."""
        message = wire.Update(zone)
        counts = batch is not None and batch.since is not None and zone == self._cluster
        if counts:
            _require(message, zone, self._known)
        for key, value in rows:
            _put(message, key, value)
        if batch is not None and batch.since is not None:
            _mark(message, zone, batch.upto, zones.apex_of(self._host, self._place))
        try:
            self._link.update(zone, message)
        except dns.exception.TooBig:
            half = len(rows) // 2
            self._send(zone, rows[:half], None)
            self._send(zone, rows[half:], batch)
            return
        except WrongRevision:
            self._known = None
            raise
        if batch is not None and counts:
            self._known = str(batch.upto)

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every record of every zone as rows, by transfer; see the port.

        Left out is what the driver keeps right itself: SOA and NS at the apex, the revision, and what a deeper
        zone hides (the servers' addresses in a zone above the cluster's, which BIND wants to find there).
        """
        for zone in self._order:
            origin = dns.name.from_text(zone)
            hides = any(other.endswith(f".{zone}") for other in self._order)
            for rrset in self._link.transfer(zone):
                if records.is_ours(origin, rrset):
                    continue
                key, value = records.row_of(zone, rrset)
                owner = key.removeprefix(records.STRANGE).rpartition("/")[0]
                if not hides or records.zone_of(owner, self._served) == zone:
                    yield key, value

    def complete(self) -> None:
        """Let the world ask."""
        if not zones.is_open(self._host, self._place):
            zones.open_(self._host, self._link, self._place)

    def clear(self) -> None:
        """Empty every zone and set the position to 0; queries are refused until a snapshot is loaded."""
        self._known = None
        zones.empty(self._host, self._link, self._place, self._order)


def _number(text: str) -> int:
    """Return the revision in a TXT's text; 0 where it is none."""
    return int(text) if text.isdecimal() and text.isascii() else 0


def _require(message: wire.Update, zone: str, seen: str | None) -> None:
    """Let the message hold only where the revision is still what was seen."""
    owner = f"{records.REVISION_LABEL}.{zone}"
    if seen:
        message.require_data(owner, wire.TYPE_TXT, wire.text_data(seen))
    else:
        message.require_absence(owner, wire.TYPE_TXT)


def _mark(message: wire.Update, zone: str, revision: int, apex: zones.Apex) -> None:
    owner = f"{records.REVISION_LABEL}.{zone}"
    message.remove(owner)
    message.put(owner, wire.TYPE_TXT, 0, wire.text_data(str(revision)))
    message.put(zone, wire.TYPE_SOA, apex.ttl, apex.soa_data(revision))


def _put(message: wire.Update, key: str, value: Value | None) -> None:
    """Add to a message what makes one row so."""
    owner, kind = records.parse_key(key)
    if value is None:
        message.remove(owner, kind)
        return
    ttl, data = records.parse_value(key, kind, value)
    if kind == wire.TYPE_CNAME:
        message.remove(owner)
    else:
        message.remove(owner, kind)
        message.remove(owner, wire.TYPE_CNAME)
    for text in data:
        message.put(owner, kind, ttl, wire.row_data(kind, text))
