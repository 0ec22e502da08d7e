"""Comparing and repairing a node's large tables.

The node sums the digests of its rows in 256 buckets, as the store does; only buckets that differ are fetched row by
row. What differs is put right in one batch that leaves the table's revision as it is, unless the brake refuses.
"""

from __future__ import annotations

from typing import Protocol

from roost.domain.change import FOUND, Change, Kind, brake
from roost.domain.desired import BUCKETS, Table, Value, bucket_of, digest_of
from roost.domain.errors import ControllerAway
from roost.ports.driver import Batch, TableStore
from roost.wire.agent_messages import BucketReply, BucketRequest, DigestReply, DigestRequest, DriftFinding

_TRIES = 5
ANY_POSITION = 2**62
"""A position ahead of every revision: compare with the store as it is, whatever the node's position says."""


class Comparer(Protocol):
    """The controller, as far as comparing needs it."""

    def digests(self, request: DigestRequest) -> DigestReply: ...
    def bucket(self, request: BucketRequest) -> BucketReply: ...


class Moving(ControllerAway):
    """The table kept changing while it was compared: try again later."""

    code = "table-moving"


def compare(
    store: TableStore, controller: Comparer, *, any_position: bool = False
) -> tuple[list[tuple[Change, str, Value | None]], int, int]:
    """Return what differs (change, key, the row's value as it should be), how many rows there are, and the head.

    Raises ``Moving`` where the table changed each time in the middle of it.
    """
    for _ in range(_TRIES):
        position = ANY_POSITION if any_position else store.position()
        counts, sums, total = [0] * BUCKETS, [0] * BUCKETS, 0
        for key, value in store.rows():
            bucket = bucket_of(key)
            counts[bucket] += 1
            sums[bucket] += digest_of(key, value)
            total += 1
        request = DigestRequest(table=store.table, position=position, buckets=list(zip(counts, sums, strict=True)))
        reply = controller.digests(request)
        if not reply.comparable or (not any_position and store.position() != position):
            continue
        found = _differences(store, controller, position, set(reply.differ)) if reply.differ else []
        if found is not None:
            return found, total, reply.head
    raise Moving(f"The table {store.table} changed while it was compared.")


def _differences(
    store: TableStore, controller: Comparer, position: int, buckets: set[int]
) -> list[tuple[Change, str, Value | None]] | None:
    """Return what differs in the buckets; None where the store has moved on."""
    here: dict[str, Value] = {key: value for key, value in store.rows() if bucket_of(key) in buckets}
    there: dict[str, Value] = {}
    for bucket in sorted(buckets):
        reply = controller.bucket(BucketRequest(table=store.table, position=position, bucket=bucket))
        if not reply.comparable:
            return None
        there.update(reply.rows)
    found: list[tuple[Change, str, Value | None]] = []
    for key, value in there.items():
        if key not in here:
            found.append((Change(Kind.CREATE, f"{store.table}: {key}"), key, value))
        elif here[key] != value:
            found.append((Change(Kind.UPDATE, f"{store.table}: {key}"), key, value))
    found += [(Change(Kind.DELETE, f"{store.table}: {key}"), key, None) for key in here if key not in there]
    return found


def repair(
    store: TableStore, found: list[tuple[Change, str, Value | None]], rows: int, *, lifted: bool = False
) -> None:
    """Put right what differs; raises ``TooMuchChange`` where the brake refuses, and then changes nothing."""
    if not found:
        return
    if not lifted:
        brake([change for change, _, _ in found], rows)
    store.apply(Batch([(key, value) for _, key, value in found], store.position(), None))


def findings(driver: str, found: list[tuple[Change, str, Value | None]], *, repaired: bool) -> list[DriftFinding]:
    """Return a report's lines; keys only, never values."""
    return [
        DriftFinding(driver=driver, what=change.what, found=FOUND[change.kind], repaired=repaired)
        for change, _, _ in found
    ]


def resync(
    store: TableStore, controller: Comparer, *, lifted: bool = False
) -> list[tuple[Change, str, Value | None]]:
    """Make a table the store's, whatever its position says: a backup was restored. Returns what was put right."""
    found, rows, head = compare(store, controller, any_position=True)
    repair(store, found, rows, lifted=lifted)
    store.apply(Batch([], head, store.position()))
    return found


def table_names(stores: dict[Table, TableStore]) -> list[str]:
    """Return the tables' names, sorted."""
    return sorted(str(table) for table in stores)
