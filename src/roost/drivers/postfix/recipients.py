"""The table ``recipients`` in three LMDB files, each of which Postfix asks for one thing.

==============  ===========================  ==================================  ==============================
file            key                          value                               Postfix's parameter
==============  ===========================  ==================================  ==============================
recipients      john@example.test            john@john.pop.example.test          virtual_alias_maps
hops            john.pop.example.test        lmtp:inet:[ms1.example.net]:24      transport_maps
refusals        john@example.test            550 5.2.1 This mailbox …            check_recipient_access
==============  ===========================  ==================================  ==============================

The position lies in ``recipients``, in the same transaction as the rows. What an address needs is written before it
and taken away after it, so whatever is accepted at RCPT has its next hop; cut off in between, the batch is applied
again, since the position has not moved.
"""

from __future__ import annotations

from collections.abc import Iterator

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.postfix.lmdb_file import LmdbFile
from roost.drivers.postfix.place import Place
from roost.drivers.postfix.spelling import canonical, spellings
from roost.ports.driver import Batch

_POSITION = "\x01position"  # no address begins so
_STRAY_HOP = "!next hop "
_STRAY_REFUSAL = "!refusal "


class Recipients:
    """Implements ``roost.ports.driver.TableStore``."""

    table = Table.RECIPIENTS

    def __init__(self, place: Place) -> None:
        self._recipients = LmdbFile(place.recipients)
        self._hops = LmdbFile(place.hops)
        self._refusals = LmdbFile(place.refusals)
        self._port = place.home_port

    def position(self) -> int:
        """Return the revision."""
        for file in (self._recipients, self._hops, self._refusals):
            file.check()
        text = self._recipients.get(_POSITION) or "0"
        return int(text) if text.isdigit() else 0

    def apply(self, batch: Batch) -> None:
        """Apply a batch; what Postfix answers is so at once."""
        if batch.since is not None and batch.since != self.position():
            raise DaemonFailed(f"The recipients have revision {self.position()}, not {batch.since}.")
        before: list[tuple[str, str | None]] = []
        rows: list[tuple[str, str | None]] = []
        hops_after: dict[str, None] = {}
        refusals_before: list[tuple[str, str | None]] = []
        refusals_after: list[tuple[str, str | None]] = []
        for key, value in batch.rows:
            if key.startswith("!"):
                self._remove_stray(key)
                continue
            old = self._hostname(self._recipients.get(key))
            new = ""
            if value is not None:
                to, hop, refuse = _checked(key, value)
                new = self._hostname(to[0]) if hop else ""
                if new:
                    before.append((new, self._next_hop(hop)))
                    hops_after.pop(new, None)
                places = refusals_before if refuse else refusals_after
                places += [(spelled, refuse or None) for spelled in spellings(key)]
                rows += [(spelled, ", ".join(to)) for spelled in spellings(key)]
            else:
                rows += [(spelled, None) for spelled in spellings(key)]
                refusals_after += [(spelled, None) for spelled in spellings(key)]
            if old and old != new and old not in dict(before):
                hops_after[old] = None
        self._hops.write(before)
        self._refusals.write(refusals_before)
        if batch.since is not None:
            rows.append((_POSITION, str(batch.upto)))
        self._recipients.write(rows)
        self._hops.write([(hostname, None) for hostname in hops_after if self._hops.get(hostname) is not None])
        self._refusals.write([(key, None) for key, _ in refusals_after if self._refusals.get(key) is not None])

    def _hostname(self, target: str | None) -> str:
        """Return the personal hostname in an alias that leads to one mailbox, '' for any other."""
        if not target or "," in target:
            return ""
        return target.rpartition("@")[2]

    def _next_hop(self, home: str) -> str:
        return f"lmtp:inet:[{home}]:{self._port}"

    def _remove_stray(self, key: str) -> None:
        if key.startswith(_STRAY_HOP):
            self._hops.write([(key.removeprefix(_STRAY_HOP), None)])
        elif key.startswith(_STRAY_REFUSAL):
            self._refusals.write([(key.removeprefix(_STRAY_REFUSAL), None)])
        else:
            self._recipients.write([(key.removeprefix("!"), None)])

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield what Postfix would answer from. An entry that belongs to no row has a key with ``!`` before it."""
        hops = refusals = 0
        for key, text in self._recipients.items():
            if key == _POSITION:
                continue
            address = canonical(key)
            refuse = self._refusals.get(key) or ""
            refusals += bool(refuse)
            if address != key:
                # The other spelling: right where it says the same as the row itself.
                same = self._recipients.get(address) == text and refuse == (self._refusals.get(address) or "")
                if not same:
                    yield f"!{key}", {}
                continue
            hop = self._hop_of(text)
            hops += bool(hop)
            if any(self._recipients.get(other) != text for other in spellings(key)[1:]):
                yield key, {}
                continue
            yield key, {"to": text.split(", "), "hop": self._home(hop), "refuse": refuse}
        if hops != self._hops.count():
            used = {self._hostname(text) for key, text in self._recipients.items() if key != _POSITION}
            yield from ((f"{_STRAY_HOP}{key}", {}) for key, _ in self._hops.items() if key not in used)
        if refusals != self._refusals.count():
            for key, _ in self._refusals.items():
                if self._recipients.get(key) is None:
                    yield f"{_STRAY_REFUSAL}{key}", {}

    def _hop_of(self, target: str) -> str:
        hostname = self._hostname(target)
        return (self._hops.get(hostname) or "") if hostname else ""

    def _home(self, hop: str) -> str:
        home = hop.removeprefix("lmtp:inet:[").partition("]")[0]
        return home if hop == self._next_hop(home) else hop

    def clear(self) -> None:
        """Forget everything."""
        self._recipients.empty()
        self._hops.empty()
        self._refusals.empty()


def _checked(key: str, value: Value) -> tuple[list[str], str, str]:
    to, hop, refuse = value.get("to"), value.get("hop"), value.get("refuse")
    if not isinstance(to, list) or not to or not isinstance(hop, str) or not isinstance(refuse, str):
        raise DaemonFailed(f"The row of {key!r} cannot be taken: it has no list of addresses, next hop and refusal.")
    if any("," in address or "\n" in address for address in to) or "\n" in refuse:
        raise DaemonFailed(f"The row of {key!r} cannot be taken: a comma or line end stands in it.")
    return to, hop, refuse
