"""Spreading the load: plans, what would be if, and what is done by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.balance.moves import Budget
from roost.control import forecasts, plans
from roost.domain.errors import NotFound
from roost.wire.balance_resources import (
    BalanceView,
    CostsView,
    ForecastView,
    NewPlan,
    NodeLevels,
    PlanStep,
    PlanView,
    Supposed,
)
from roost.wire.move_resources import MovesAsked
from roost.wire.resources import Written

router = APIRouter(prefix="/v1/balance", tags=["balance"])
Actor = Annotated[str, Depends(actor_of)]


@router.get("")
def show(request: Request, actor: Actor) -> BalanceView:
    """How spreading the load by itself stands."""
    del actor
    parts = parts_of(request)
    with parts.store.read() as view:
        policy = view.cluster().policy
        try:
            last = plans.find(view).id
        except NotFound:
            last = 0
    return BalanceView(
        auto=policy.balance_auto == "on",
        every=policy.balance_every,
        moves=policy.balance_moves,
        bytes=policy.balance_bytes,
        pauses=policy.balance_pauses,
        rest_days=policy.balance_rest_days,
        hours=policy.move_hours,
        said=parts.balancer.said,
        plan=last,
    )


@router.post("/plans")
def make(body: NewPlan, request: Request, actor: Actor) -> PlanView:
    """Make a plan of what is measured now, and keep it; nothing moves."""
    del actor
    parts = parts_of(request)
    return _view(plans.make(parts.store, parts.followers, _budget(body), parts.clock.now()))


@router.get("/plans/last")
def last(request: Request, actor: Actor) -> PlanView:
    """The last plan that was made."""
    return find(0, request, actor)


@router.get("/plans/{plan}")
def find(plan: int, request: Request, actor: Actor) -> PlanView:
    """A plan; the last eight are kept."""
    del actor
    with parts_of(request).store.read() as view:
        return _view(plans.find(view, plan))


@router.post("/plans/{plan}/apply")
def apply(plan: int, request: Request, actor: Actor, dry_run: bool = False) -> MovesAsked:
    """Ask for the moves of a plan, as one batch; refused where it no longer fits."""
    parts = parts_of(request)
    asked = plans.apply(parts.store, parts.followers, actor, plan, parts.clock.now(), dry_run=dry_run)
    if dry_run:
        return MovesAsked(revision=0, dry_run=True, did=asked.did)
    parts.mover.tick()
    return MovesAsked(revision=asked.revision, did=asked.did, ids=asked.ids, parent=asked.parent)


@router.post("/stop")
def stop(request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Apply no more plans by itself, and undo the moves of plans that are not handed over yet."""
    parts = parts_of(request)
    done = plans.stop(parts.store, actor, parts.clock.now(), dry_run=dry_run)
    if not dry_run:
        parts.mover.tick()
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.post("/whatif")
def what_if(body: Supposed, request: Request, actor: Actor) -> PlanView:
    """The plan for the cluster with other machines; it cannot be applied."""
    del actor
    parts = parts_of(request)
    found = plans.suppose(
        parts.store,
        parts.followers,
        parts.clock.now(),
        add=body.add,
        remove=body.remove,
        budget=_budget(body),
    )
    return _view(found)


@router.get("/forecast")
def forecast(request: Request, actor: Actor) -> list[ForecastView]:
    """Which node is full when, that which is first at the top."""
    del actor
    found = forecasts.forecast(parts_of(request).store)
    return [ForecastView(**{**vars(one), "dimension": one.dimension.name.lower()}) for one in found]


def _budget(body: NewPlan) -> Budget:
    return Budget(body.bytes, body.moves, body.pauses)


def _view(made: plans.Kept) -> PlanView:
    return PlanView(
        id=made.id,
        at=made.at,
        mailboxes=made.mailboxes,
        bytes=made.bytes,
        steps=[
            PlanStep(**{**vars(step), "mailboxes": [address for _, address in step.mailboxes]}) for step in made.steps
        ],
        nodes=[NodeLevels(**vars(levels)) for levels in made.nodes],
        goal=made.goal,
        left=made.left,
        refused=made.refused,
        costs=CostsView(cpu=made.costs["cpu"], io=made.costs["io"], minutes=made.costs_minutes),
        applied=made.applied,
    )
