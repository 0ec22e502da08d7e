"""Plans that spread the load: made, kept for some time, and applied as a batch of moves.

A plan that was shown is kept under a number, so that just that one is applied, and no other that would have been made
meanwhile. The last eight are kept. It is refused where too much of what it stood on has changed: a mailbox lives
elsewhere, a node is gone or as strong as another; little of that, and it is applied without those mailboxes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from roost.balance import fleet
from roost.balance.fleet import Floats
from roost.balance.forecast import what_if
from roost.balance.moves import Budget, Plan
from roost.balance.plan import plan
from roost.control import measured, move_orders, moves
from roost.control.followers import Followers
from roost.control.measured import Measured
from roost.control.move_orders import Which
from roost.control.moves import Asked, Wanted
from roost.control.writing import Done, writing
from roost.domain.cluster import Suspended
from roost.domain.errors import BadSetting, NotFound, Refused
from roost.domain.load import Capacity
from roost.domain.move import OPEN, Move, State
from roost.ports.store import Reader, Store

BATCH = "plan-"
"""How the batch of a plan's moves begins."""

VALID = timedelta(hours=24)
_KEPT = 8
_LAST = "balance plan"
_CHANGED_SHARE = 0.1
"""A plan of which more than this part, and more than one mailbox, no longer holds is refused."""

_STRENGTH_SHARE = 0.1
_SAID_MAX = 10
_MANY = 10_000


@dataclass(frozen=True)
class Step:
    """Mailboxes that go together, as (number, address); and why, in a sentence."""

    mailboxes: list[tuple[int, str]]
    source: str
    target: str
    bytes: int
    cause: str
    reason: str


@dataclass(frozen=True)
class Levels:
    """How full a node is in each dimension (cpu, io, memory, disk), 1 being all that it has: as it is, and after the
    plan. ``capacity`` is what it has; ``closed`` why it neither gives nor takes, '' where it does."""

    node: str
    before: list[float]
    after: list[float]
    capacity: list[float]
    closed: str = ""


@dataclass(frozen=True)
class Kept:
    """A plan. ``id`` is 0 for one that is not kept; ``goal`` the level that no node should be above, by dimension;
    ``left`` what the plan could not do; ``refused`` of how many mailboxes the figures were not believed, by why."""

    id: int
    at: datetime
    steps: list[Step]
    nodes: list[Levels]
    goal: list[float]
    left: list[str]
    refused: dict[str, int]
    costs: dict[str, list[float]]
    costs_minutes: int
    applied: str = ""
    """The batch that was asked for, '' where it was not applied."""

    @property
    def mailboxes(self) -> int:
        """Return how many move."""
        return sum(len(step.mailboxes) for step in self.steps)

    @property
    def bytes(self) -> int:
        """Return how much is copied."""
        return sum(step.bytes for step in self.steps)


def make(store: Store, followers: Followers, budget: Budget, now: datetime) -> Kept:
    """Make a plan of what is measured now, and keep it."""
    state = measured.read(store, followers, now)
    made = told(store, state, plan(state.fleet, budget), now)
    return keep(store, made)


def told(store: Store, state: Measured, found: Plan, now: datetime) -> Kept:
    """Return a plan with the names of what it moves."""
    wanted = [int(state.numbers[one]) for move in found.moves for one in move.mailboxes]
    with store.read() as view:
        known = view.numbered(wanted)

    def address(place: int) -> str:
        mailbox = known.get(int(state.numbers[place]))
        return str(mailbox.address) if mailbox else f"mailbox {state.numbers[place]}"

    nodes = found.fleet.nodes
    return Kept(
        id=0,
        at=now,
        steps=[
            Step(
                [(int(state.numbers[one]), address(one)) for one in move.mailboxes],
                nodes.names[move.source],
                nodes.names[move.target],
                move.bytes,
                str(move.cause),
                move.reason(found.fleet, address),
            )
            for move in found.moves
        ],
        nodes=[
            Levels(
                name,
                _rounded(found.before[place]),
                _rounded(found.after[place]),
                _rounded(nodes.capacity[place]),
                state.closed.get(name, ""),
            )
            for place, name in enumerate(nodes.names)
        ],
        goal=_rounded(found.goal),
        left=[
            f"{nodes.names[one.node]} stays at {one.level:.0%} of its {one.dimension.word}"
            + (f" with {one.mailboxes} mailboxes" if one.mailboxes else "")
            + f": {one.why}."
            for one in found.left
        ],
        refused=state.refused,
        costs={"cpu": list(state.costs.cpu), "io": list(state.costs.io)},
        costs_minutes=state.costs.minutes,
    )


def _rounded(row: Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in row.tolist()]


# Kept


def keep(store: Store, made: Kept) -> Kept:
    """Give a plan a number, and keep it in the place of the oldest."""
    with store.read() as view:
        number = int(view.value(_LAST) or 0) + 1
    numbered = replace(made, id=number)
    _put(store, numbered)
    store.put_value(_LAST, str(number))
    return numbered


def _put(store: Store, made: Kept) -> None:
    store.put_value(_place(made.id), json.dumps({**asdict(made), "at": made.at.isoformat()}))


def _place(number: int) -> str:
    return f"{_LAST} {number % _KEPT}"


def find(view: Reader, number: int = 0) -> Kept:
    """Return a plan, the last one for 0; raises ``NotFound``."""
    number = number or int(view.value(_LAST) or 0)
    text = view.value(_place(number)) if number else None
    values: dict[str, Any] = json.loads(text) if text else {"id": 0}
    if not number or values["id"] != number:
        raise NotFound(
            f"There is no plan {number}." if number else "No plan was made yet.",
            field="plan",
            remedy=f"Make one with 'roost balance plan'; the last {_KEPT} are kept.",
        )
    values["at"] = datetime.fromisoformat(values["at"])
    values["steps"] = [
        Step(**{**step, "mailboxes": [(one, address) for one, address in step["mailboxes"]]})
        for step in values["steps"]
    ]
    values["nodes"] = [Levels(**levels) for levels in values["nodes"]]
    return Kept(**values)


# Applied


@dataclass(frozen=True)
class _Checked:
    """What of a plan still holds, and what does not, in sentences."""

    wanted: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


def apply(
    store: Store, followers: Followers, actor: str, number: int, now: datetime, *, dry_run: bool = False
) -> Asked:
    """Ask for the moves of a plan, as one batch; see the module for what is refused, with ``Refused``."""
    strengths = _strengths(store, now)
    with store.read() as view:
        made = find(view, number)
        batch = f"{BATCH}{made.id}"
        # What was asked for just before a crash was not noted any more.
        if made.applied or any(view.count_moves(State, parent=batch).values()):
            raise Refused(
                f"Plan {made.id} was applied already, as the batch {batch}.",
                field="plan",
                remedy="Make a new one with 'roost balance plan'.",
            )
        if now - made.at > VALID:
            raise _outdated(made, [f"it was made at {made.at:%Y-%m-%d %H:%M} UTC, more than a day ago"])
        checked = _check(view, made, strengths)
    if len(checked.changed) > max(1, _CHANGED_SHARE * made.mailboxes) or (checked.changed and not checked.wanted):
        raise _outdated(made, checked.changed)
    if not checked.wanted:
        return Asked(did=[f"Plan {made.id} moves nobody: no node is much fuller than the others."])
    wanted = Wanted(mailboxes=checked.wanted, parent=batch, reasons=checked.reasons)
    asked = moves.ask(store, followers, actor, wanted, now, dry_run=dry_run)
    asked.did += [f"Left out: {words}." for words in checked.changed]
    if not dry_run:
        with writing(store, actor) as (tx, _):
            tx.note(
                "plan applied",
                f"plan {made.id}",
                {"batch": batch, "mailboxes": str(len(asked.ids)), "bytes": str(made.bytes)},
            )
        _put(store, replace(made, applied=batch))
    return asked


def _outdated(made: Kept, changed: Sequence[str]) -> Refused:
    shown = "; ".join(changed[:_SAID_MAX])
    more = f"; and {len(changed) - _SAID_MAX} more" if len(changed) > _SAID_MAX else ""
    return Refused(
        f"Plan {made.id} no longer fits: {shown}{more}.",
        field="plan",
        remedy="Make a new one with 'roost balance plan'.",
    )


def _strengths(store: Store, now: datetime) -> dict[str, list[float]]:
    return {use.node.name: measured.capacity_of(use) for use in measured.uses(store, now)}


def _check(view: Reader, made: Kept, strengths: dict[str, list[float]]) -> _Checked:
    """Compare a plan with what there is."""
    found = _Checked()
    refusing = {domain.name for domain in view.cluster().domains if domain.suspended is Suspended.REFUSE}
    numbers = [number for step in made.steps for number, _ in step.mailboxes]
    known, moving = view.numbered(numbers), view.open_moves(numbers)
    differ = {}
    for levels in made.nodes:
        now = strengths.get(levels.node)
        if now is None:
            differ[levels.node] = f"{levels.node} is no storage node any more"
        elif not levels.closed and not np.allclose(now, levels.capacity, rtol=_STRENGTH_SHARE):
            differ[levels.node] = f"{levels.node} is not as strong as it was"
    for step in made.steps:
        for number, address in step.mailboxes:
            mailbox = known.get(number)
            if words := differ.get(step.source) or differ.get(step.target):
                found.changed.append(f"{address} ({words})")
            elif mailbox is None:
                found.changed.append(f"{address} was removed")
            elif mailbox.home != step.source:
                found.changed.append(f"{address} lives on {mailbox.home} and not on {step.source}")
            elif number in moving:
                found.changed.append(f"{address} is being moved to {moving[number].target}")
            elif mailbox.suspended and mailbox.address.domain in refusing:
                found.changed.append(f"{address} is suspended, and its domain refuses mail for such mailboxes")
            else:
                found.wanted.append((str(mailbox.address), step.target))
                found.reasons[str(mailbox.address)] = step.reason
    return found


def stop(store: Store, actor: str, now: datetime, *, dry_run: bool = False) -> Done:
    """The kill switch: plans are no longer applied by themselves, and the moves of plans that are not handed over yet
    are undone."""
    done = Done()
    with writing(store, actor, dry_run=dry_run) as (tx, found):
        cluster = tx.cluster()
        if cluster.policy.balance_auto != "off":
            new = replace(cluster.policy, balance_auto="off")
            found.add(tx.set_cluster(cluster.domain, new), "Plans are no longer applied by themselves.")
    done.did += found.did
    done.revision = found.revision
    with store.read() as view:
        batches = sorted({move.parent for move in open_moves(view) if move.parent.startswith(BATCH)})
    for batch in batches:
        undone = move_orders.abort(store, actor, Which(parent=batch), now, dry_run=dry_run)
        done.did += undone.did
        done.revision = max(done.revision, undone.revision)
    return done


def open_moves(view: Reader) -> list[Move]:
    """Return all moves that are not over."""
    found: list[Move] = []
    while some := view.moves(states=OPEN, after=found[-1].id if found else 0, limit=_MANY):
        found += some
    return found


# What if


def suppose(
    store: Store, followers: Followers, now: datetime, *, add: Sequence[str], remove: Sequence[str], budget: Budget
) -> Kept:
    """Return the plan for the cluster with machines more, each ``2x`` (twice as strong as the middle one) or like a
    node that is named, and without others. It is not kept: it cannot be applied."""
    if not add and not remove:
        raise BadSetting("Nothing is to be different.", field="add", remedy="Give --add 2x, or --remove NODE.")
    state = measured.read(store, followers, now)
    more = [(f"new{place}", _machine(state, words)) for place, words in enumerate(add, 1)]
    return told(store, state, what_if(state.fleet, add=more, remove=remove, budget=budget), now)


def _machine(state: Measured, words: str) -> Capacity:
    nodes = state.fleet.nodes
    if words in nodes.names:
        return Capacity(*nodes.capacity[nodes.names.index(words)].tolist())
    try:
        times = float(words.removesuffix("x")) if words.endswith("x") else float("nan")
    except ValueError:
        times = float("nan")
    if not 0 < times <= 1000:
        raise BadSetting(
            f"{words!r} is no machine.",
            field="add",
            remedy="Give how many times as strong as the middle one it is, such as 1x or 2x, or a node like it.",
        )
    is_known = nodes.state != fleet.State.CLOSED
    middle = np.median(nodes.capacity[is_known], axis=0)
    return Capacity(*(middle * times).tolist())
