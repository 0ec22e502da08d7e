"""The cluster as the planner sees it: what the store knows of mailboxes and nodes, as a ``Fleet``.

What is decided here, beside the reading:

* **Costs** are learned from all nodes' minutes of a day (``roost.balance.costs``). A minute in which a machine was
  busier than it has processors is left out: such counters are those of a larger machine around it.
* A mailbox that is measured for less than a day has no habits yet: what it does now counts as usual. In its first ten
  minutes nothing is believed.
* A mailbox that is being moved counts at its target, and its copy at its source. Whoever was moved lately stays; so
  does for a day who could not be, unless somebody has called it off.
* A node that is away, ill, on its way out, has not told its load lately, or whose strength nobody knows, is
  **closed**: it gives and takes nothing. What a drain moves counts where it goes, as any move does.

Costs some seconds for a million mailboxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roost.balance.costs import Costs, Learned, Minutes, demand, learn
from roost.balance.fleet import NONE, Fleet, Floats, Mailboxes, Nodes, Peaks, State
from roost.balance.habits import hour_of, week_of
from roost.balance.predict import peaks
from roost.control import usage
from roost.control.followers import Followers
from roost.control.usage import NodeUse
from roost.domain.cluster import Policy
from roost.domain.errors import Refused
from roost.domain.load import Capacity, Dimension
from roost.domain.move import ARRIVING
from roost.domain.move import State as MoveState
from roost.domain.node_load import MEASURES, NodeLoad, Strength
from roost.domain.ties import CLASSES_MOST
from roost.domain.usage import HOUR, WEEK, Counts, rate_of
from roost.ports.store import Reader, Store

LEARN_MINUTES = 24 * 60
SILENT_MINUTES = 10
"""A node that has told nothing of its load for so long is closed."""

_AGAIN = timedelta(days=1)
"""After so long it is tried again to move a mailbox that could not be moved."""

_YOUNG_MINUTES, _FRESH_MINUTES = 24 * 60, 10
_BUSIER = 1.1
_RATES = np.array([rate_of(code) for code in range(1024)])
_MEASURES = len(Counts._fields)
_LISTS = ("patterns", "ties")
_FREE = (None,) * 4
_UNOFFERED = 1 << CLASSES_MOST
"""The class of service, as a bit, that no node offers."""

_LEFT = {MoveState.SETTLING, MoveState.DONE}


@dataclass(frozen=True)
class Measured:
    """The fleet, and what its numbers stand for."""

    fleet: Fleet
    numbers: NDArray[np.int64]
    """The mailboxes' own numbers, by their place in the fleet."""

    costs: Costs
    refused: dict[str, int]
    """Of how many mailboxes the figures were not believed, by why."""

    closed: dict[str, str]
    """Why nodes neither give nor take."""


@dataclass(frozen=True)
class _Rows:
    """What is known of mailboxes, as columns. Of one that nobody has told of, ``since`` is the present."""

    numbers: NDArray[np.int64]
    home: NDArray[np.int32]
    told: NDArray[np.bool_]
    since: NDArray[np.int64]
    at: NDArray[np.int64]
    hour: Peaks
    week: Peaks
    size: NDArray[np.int64]
    patterns: list[str]
    ties: list[tuple[Any, ...]]
    """Of those that have any: number, together, apart, pin, class; None for none."""


def uses(store: Store, now: datetime) -> list[NodeUse]:
    """Return the storage nodes, with their last minutes."""
    return usage.of_nodes(store, now, SILENT_MINUTES)


def capacity_of(use: NodeUse) -> list[float]:
    """Return what a node has of each dimension; of what nobody knows, 1."""
    return list(_capacity(use.strength).row)


def read(store: Store, followers: Followers, now: datetime) -> Measured:
    """Return what is measured. Raises ``Refused`` where there is no node whose strength is known."""
    known = usage.of_nodes(store, now, LEARN_MINUTES)
    with store.read() as view:
        policy = view.cluster().policy
        rows = _rows(view, {use.node.name: place for place, use in enumerate(known)}, now)
        moved, arriving, kept = _moves(view, known, rows, policy, now)
    closed = dict(_closed(known, followers, now))
    if len(closed) == len(known):
        told = "; ".join(f"{name} {why}" for name, why in closed.items()) or "there is none"
        raise Refused(
            f"No storage node can be planned with: {told}.",
            field="nodes",
            remedy="See 'roost status' and 'roost node load'; 'roost node set' declares what a node has.",
        )
    speed = np.array([use.strength.speed for use in known])
    learned = learn(_minutes(known), len(known))
    nodes = _nodes(known, closed)
    usual, present = (
        demand(rates, rows.size.astype(np.float64), speed[rows.home], learned.costs)
        for rates in (rows.week, rows.hour)
    )
    found = _predicted(rows, usual, present, nodes, now)
    base = _base(known, learned, found.demand, rows, kept[0])
    home = np.where(arriving >= 0, arriving, rows.home).astype(np.int32)
    boxes = Mailboxes.of(
        home,
        found.demand,
        np.where(rows.told, rows.size, 0),
        stays=found.stays | moved,
        logins=rows.week[:, 0] * 86_400,
        **_ties(rows, known),
    )
    fleet = Fleet(replace(nodes, base=base, kept=kept.sum(axis=0)), boxes)
    refused = {str(reason): len(who) for reason, who in found.refused.items()}
    return Measured(fleet, rows.numbers, learned.costs, refused, closed)


# Mailboxes


def _rows(view: Reader, places: dict[str, int], now: datetime) -> _Rows:
    minute = int(now.timestamp() // 60)
    parts = [_part(part, places, minute) for part in view.load_rows()] or [_part([], places, minute)]
    columns: dict[str, Any] = {}
    for column in fields(_Rows):
        found = [getattr(part, column.name) for part in parts]
        columns[column.name] = (
            [one for some in found for one in some] if column.name in _LISTS else np.concatenate(found)
        )
    return _Rows(**columns)


def _part(part: Sequence[tuple[Any, ...]], places: dict[str, int], minute: int) -> _Rows:
    """Return a chunk's columns. Mailboxes on what is no storage node any more are left out."""
    kept = [row for row in part if row[1] in places]
    told = np.array([row[6] is not None for row in kept], np.bool_)
    nothing = (0,) * 2 * _MEASURES
    codes = np.array([row[8:-3] if row[6] is not None else nothing for row in kept], np.int64).reshape(
        -1, len(nothing)
    )
    rates = _RATES[np.clip(codes, 0, len(_RATES) - 1)]
    at = np.array([minute if row[7] is None else row[7] for row in kept], np.int64)
    gone = np.maximum(minute - at, 0)[:, None] * 60.0
    return _Rows(
        numbers=np.array([row[0] for row in kept], np.int64),
        home=np.array([places[row[1]] for row in kept], np.int32),
        told=told,
        since=np.array([minute if row[6] is None else row[6] for row in kept], np.int64),
        at=at,
        hour=(rates[:, :_MEASURES] * 0.5 ** (gone / HOUR)).astype(np.float32),
        week=(rates[:, _MEASURES:] * 0.5 ** (gone / WEEK)).astype(np.float32),
        size=np.array([row[-3] or 0 for row in kept], np.int64),
        patterns=[row[-1] or "" for row in kept],
        ties=[(row[0], *row[2:6]) for row in kept if row[2:6] != _FREE],
    )


def _ties(rows: _Rows, uses: Sequence[NodeUse]) -> dict[str, NDArray[Any]]:
    """Return what ties mailboxes, as the planner has it: groups and nodes as numbers, classes as bits."""
    if not rows.ties:
        return {}
    numbers, together, apart, pin, classes = zip(*rows.ties, strict=True)
    at = np.searchsorted(rows.numbers, numbers)
    places, bits = {use.node.name: place for place, use in enumerate(uses)}, _bits(uses)

    def column(otherwise: int, kind: type[np.generic], values: list[int]) -> NDArray[Any]:
        found = np.full(len(rows.numbers), otherwise, kind)
        found[at] = values
        return found

    def groups(names: Sequence[str | None]) -> NDArray[Any]:
        known: dict[str, int] = {}
        return column(NONE, np.int32, [NONE if n is None else known.setdefault(n, len(known)) for n in names])

    return {
        "together": groups(together),
        "apart": groups(apart),
        "pin": column(NONE, np.int32, [NONE if name is None else places.get(name, NONE) for name in pin]),
        "classes": column(0, np.uint32, [0 if name is None else bits.get(name, _UNOFFERED) for name in classes]),
    }


def _bits(uses: Sequence[NodeUse]) -> dict[str, int]:
    """Return the classes that nodes offer, each as a bit."""
    offered = sorted({name for use in uses for name in use.node.classes})
    return {name: 1 << place for place, name in enumerate(offered[:CLASSES_MOST])}


def _predicted(rows: _Rows, usual: Floats, present: Floats, nodes: Nodes, now: datetime) -> Any:
    """Return the peaks. Of the young the present counts as usual; of who is quite new nothing is known."""
    age, hour = rows.at - rows.since, hour_of(now)
    young = age < _YOUNG_MINUTES
    old = [pattern if not is_young else "" for pattern, is_young in zip(rows.patterns, young.tolist(), strict=True)]
    week = week_of(old, usual[:, Dimension.CPU])
    by_hour = np.array([week[hour], week[hour], 1.0, 1.0])
    usual[young] = present[young] / np.maximum(by_hour, 0.25)
    usual[~rows.told | (age < _FRESH_MINUTES)] = np.nan
    return peaks(usual, present, week, hour, nodes.capacity.max(axis=0))


def _moves(
    view: Reader, uses: Sequence[NodeUse], rows: _Rows, policy: Policy, now: datetime
) -> tuple[NDArray[np.bool_], NDArray[np.int32], Floats]:
    """Return who was moved lately, where those come who are on their way (-1: nobody), and the bytes of kept copies:
    of those that have left their nodes, and of those that will have."""
    places = {use.node.name: place for place, use in enumerate(uses)}
    row_of = _finder(rows.numbers)
    moved = np.zeros(len(rows.numbers), np.bool_)
    arriving = np.full(len(rows.numbers), -1, np.int32)
    kept = np.zeros((2, len(uses)))
    rest, keep = (now - timedelta(days=days) for days in (policy.balance_rest_days, policy.keep_days))
    for move in view.moves_since(min(rest, keep, now - _AGAIN)):
        row = row_of(move.number)
        if row is None:
            continue
        failed = move.state is MoveState.UNDONE and not move.aborting and move.changed >= now - _AGAIN
        moved[row] |= move.open or failed or (move.state is MoveState.DONE and move.changed >= rest)
        source = places.get(move.source)
        if move.state in ARRIVING and move.target in places:
            arriving[row] = places[move.target]
            if source is not None:
                kept[1, source] += rows.size[row]
        elif move.state in _LEFT and source is not None and (move.open or move.changed >= keep):
            kept[0, source] += rows.size[row]
    return moved, arriving, kept


def _finder(numbers: NDArray[np.int64]) -> Any:
    """Return what finds the place of a mailbox's number; they are sorted."""

    def find(number: int) -> int | None:
        place = int(np.searchsorted(numbers, number))
        return place if place < len(numbers) and numbers[place] == number else None

    return find


# Nodes


def _closed(uses: Sequence[NodeUse], followers: Followers, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the nodes that neither give nor take, and why."""
    for use in uses:
        seen = followers.seen(use.node.name)
        lacking = [name for name in MEASURES if not getattr(use.strength, name) > 0]
        last = use.minutes[-1][0] if use.minutes else None
        if not use.node.joined:
            yield use.node.name, "has not joined yet"
        elif use.node.life.leaving:
            yield use.node.name, f"is {use.node.life}: what it has leaves by itself"
        elif not seen.connected(now):
            yield use.node.name, "is not connected"
        elif seen.health:
            driver, words = min(seen.health.items())
            yield use.node.name, f"is not well ({driver}: {words.rstrip('.')})"
        elif lacking:
            yield use.node.name, f"has not said how strong it is ({', '.join(lacking)})"
        elif last is None or now.timestamp() / 60 - last > SILENT_MINUTES:
            yield use.node.name, f"has not told its load for {SILENT_MINUTES} minutes"


def _nodes(uses: Sequence[NodeUse], closed: dict[str, str]) -> Nodes:
    """Return the nodes. What nobody knows of one that is closed does not matter, but must be something."""
    bits = _bits(uses)
    return Nodes.of(
        [use.node.name for use in uses],
        [_capacity(use.strength) for use in uses],
        state=[State.CLOSED if use.node.name in closed else State.OPEN for use in uses],
        classes=[sum(bits.get(name, 0) for name in use.node.classes) for use in uses],
    )


def _capacity(strength: Strength) -> Capacity:
    return Capacity(*(getattr(strength, name) or 1.0 for name in MEASURES))


def _minutes(uses: Sequence[NodeUse]) -> Minutes:
    """Return all nodes' minutes that may be their own."""
    found = [
        (
            place,
            (minute.cpu - minute.mail_cpu) * use.strength.speed,
            minute.reads + minute.writes,
            minute.logins,
            minute.deliveries,
            (minute.bytes_in + minute.bytes_out) / 1e6,
            minute.connected / 3600,
        )
        for place, use in enumerate(uses)
        for _, minute in use.minutes
        if _is_own(minute, use.strength)
    ]
    rows = np.array(found, np.float64).reshape(-1, 7)
    return Minutes(rows[:, 0].astype(np.int32), rows[:, 1], rows[:, 2], rows[:, 3:])


def _is_own(minute: NodeLoad, strength: Strength) -> bool:
    most = strength.processors or strength.cpu
    return minute.mail_cpu <= minute.cpu and (not most or minute.cpu <= most * _BUSIER)


def _base(uses: Sequence[NodeUse], learned: Learned, taken: Any, rows: _Rows, kept: Floats) -> Floats:
    """Return what is taken on each node by others than mailboxes: what there is in all, less what these take."""
    base = np.zeros((len(uses), len(Dimension)))
    base[:, :2] = learned.base
    for place, use in enumerate(uses):
        if use.minutes:
            last = use.minutes[-1][1]
            base[place, Dimension.MEMORY] = last.memory - last.memory_available
            base[place, Dimension.DISK] = last.disk - last.disk_free - kept[place]
    for dimension in (Dimension.MEMORY, Dimension.DISK):
        base[:, dimension] -= np.bincount(rows.home, taken[:, dimension], len(uses))
    return np.maximum(base, 0)
