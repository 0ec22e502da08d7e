"""What comes next in a move: pure decisions over the table of states in ``roost.domain.move``.

Each function is given a move as it is and what was heard, and returns the step to take, or None. A report that
answers an order of an earlier attempt says nothing any more; ``moved`` alone is believed at any time, because the
source's write was the hand-over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from roost.control.followers import SILENT, Seen
from roost.domain.cluster import Cluster
from roost.domain.desired import Table, tables_of
from roost.domain.move import Move, Part, Said, State
from roost.domain.node_life import Life
from roost.ports.store import Step

ATTEMPTS = 5
"""So many hand-overs are tried; then the move is undone."""

_OF_HOMES = frozenset({Table.RECIPIENTS, Table.NAMES, Table.ACCOUNTS})
"""Tables that say where a mailbox lives; a change of its home leaves the position of the others as it was."""

LONGEST_SETTLING = timedelta(hours=24)
"""After so long a move is done, whoever still lacks the rows or comes to the old home."""

REMEMBERED = 40
"""Seconds for which an MX may send mail to the old home although it has the new one: Postfix's queue manager
remembers for half a minute where the last recipient's mail goes."""

LONGEST_UNDOING = timedelta(hours=1)
"""For so long the target may be away while it is to drop its copy; it is not the owner, so nothing depends on it."""


@dataclass(frozen=True)
class Heard:
    """A node's report of its part in a move; ``body`` is JSON text."""

    move: int
    part: Part
    said: Said
    attempt: int
    words: str = ""
    body: str = ""


def turned(move: Move, state: State, now: datetime, *, reason: str = "", **more: object) -> Step:
    """Return the step into a state; ``more`` are other fields of the move."""
    new = replace(move, state=state, changed=now, reason=reason, **more)  # type: ignore[arg-type]
    return Step(move, new, f"move {state}")


def upon(move: Move, heard: Heard, now: datetime) -> Step | None:
    """Return the step that a report brings, of those that need nothing but the report."""
    if heard.attempt != move.attempts:
        return None
    match heard.said, move.state:
        case Said.READY, State.COPYING if heard.part is Part.TARGET and not move.paused:
            return turned(move, State.HOLDING, now, attempts=move.attempts + 1)
        case Said.FAILED, State.HOLDING if heard.part is Part.TARGET:
            if move.attempts < ATTEMPTS:
                return turned(move, State.COPYING, now, reason=heard.words)
            reason = f"{ATTEMPTS} hand-overs failed. The last one: {heard.words}"
            return turned(move, State.UNDOING, now, reason=reason)
        case Said.REFUSED, State.PREPARING | State.COPYING | State.HOLDING:
            node = move.source if heard.part is Part.SOURCE else move.target
            return turned(move, State.UNDOING, now, reason=f"{node} says: {heard.words}")
    return None


def prepared(move: Move, seen: Mapping[str, Seen], now: datetime) -> Step | None:
    """Go on to copy where both nodes have their orders and the target has the closed account."""
    return None if unprepared(move, seen) else turned(move, State.COPYING, now)


def unprepared(move: Move, seen: Mapping[str, Seen]) -> tuple[str, ...]:
    """Return which of the two nodes has not got all that it needs for the move."""
    wanted = ((move.source, Table.MOVES), (move.target, Table.MOVES), (move.target, Table.ACCOUNTS))
    lacking = {node for node, table in wanted if _position(seen, node, table) < move.revision}
    return tuple(node for node in (move.source, move.target) if node in lacking)


def undone(
    move: Move, dropped: Collection[Part], seen: Mapping[str, Seen], now: datetime, *, waited: timedelta
) -> Step | None:
    """End an undoing where both parts are dropped, or where waiting for one that is away would change nothing.

    Before the first hand-over the source cannot have given the mailbox away, so nobody who is away needs to be
    heard. After that the source must say so itself; the target's copy is worth nothing then. ``waited`` is for how
    long the nodes have been asked, or could be heard.
    """

    def idle(part: Part, node: str) -> bool:
        away = node not in seen or not seen[node].connected(now)
        if move.attempts:
            return away and part is Part.TARGET and waited >= LONGEST_UNDOING
        return away and waited >= SILENT

    parts = {Part.SOURCE: move.source, Part.TARGET: move.target}
    if all(part in dropped or idle(part, node) for part, node in parts.items()):
        return turned(move, State.UNDONE, now, reason=move.reason)
    return None


def lacking(move: Move, cluster: Cluster, seen: Mapping[str, Seen]) -> tuple[str, ...]:
    """Return the nodes that do not have the new home yet; for one that may be switched off nobody waits."""
    scopes = {"", move.source, move.target}
    return tuple(
        node.name
        for node in cluster.nodes
        if node.joined
        and node.life is not Life.DRAINED
        and any(
            table in _OF_HOMES and scope in scopes and _position(seen, node.name, table) < move.revision
            for table, scope in tables_of(node)
        )
    )


@dataclass(frozen=True)
class Settling:
    """How far a new home has come: the nodes that lack it, since when none does (None: some do), and the seconds
    for which nobody came to the old one (-1: the source has not said so)."""

    without: tuple[str, ...]
    complete: datetime | None
    idle: int


def settled(move: Move, settling: Settling, ttl: int, now: datetime) -> Step | None:
    """End a move where every node has the new home, old DNS answers have expired, and nobody comes any more."""
    quiet = max(ttl, REMEMBERED)
    if settling.complete and now - settling.complete >= timedelta(seconds=quiet) and settling.idle >= quiet:
        return turned(move, State.DONE, now)
    if now - move.changed < LONGEST_SETTLING:
        return None
    hours = int(LONGEST_SETTLING.total_seconds() // 3600)
    if settling.without:
        why = f"{', '.join(settling.without)} did not take the new home"
    elif settling.idle < 0:
        why = f"{move.source} did not say whether anybody comes to it"
    else:
        why = f"somebody still came to {move.source}"
    return turned(move, State.DONE, now, reason=f"Done after {hours} hours, although {why}.")


def _position(seen: Mapping[str, Seen], node: str, table: Table) -> int:
    return seen[node].positions.get(table, 0) if node in seen else 0
