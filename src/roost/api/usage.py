"""What mailboxes are used: told by the storage nodes, asked by administrators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of, node_of
from roost.api.parts import parts_of
from roost.control import usage
from roost.domain.usage import HOUR, WEEK
from roost.wire.resources import Written
from roost.wire.usage_messages import UsageReply, UsageReport, loads_in, reply_of
from roost.wire.usage_resources import LoadView, MinuteView, NodeLoadView, RatesView, StrengthView

router = APIRouter(tags=["usage"])
Actor = Annotated[str, Depends(actor_of)]
NodeName = Annotated[str, Depends(node_of)]
Minutes = Annotated[int, Query(ge=1, le=2880)]


@router.post("/agent/usage")
def take(body: UsageReport, request: Request, name: NodeName) -> UsageReply:
    """Take down one minute of a storage node: what its own mailboxes are used, and what it did."""
    parts = parts_of(request)
    node, now = parts.feed.node(name), parts.clock.now()
    login = parts.probes.login_seconds(name)
    told = usage.take(parts.store, node, loads_in(body), body.node, now, login=login)
    if body.strength is not None:
        usage.take_strength(parts.store, node, body.strength, body.measured, now)
    return reply_of(told.foreign, told.priors, told.measure)


@router.get("/v1/mailboxes/{address}/load")
def of_mailbox(address: str, request: Request, actor: Actor) -> LoadView:
    """What one mailbox is used; rates are those of now, with nothing done since its home has told."""
    del actor
    parts = parts_of(request)
    home, load = usage.of_mailbox(parts.store, address)
    if load is None:
        return LoadView(address=address, home=home)
    now = parts.clock.now().timestamp()
    return LoadView(
        address=address,
        home=home,
        since=_when(load.since),
        at=_when(load.at),
        hour=RatesView(**load.rates(HOUR, now)._asdict()),
        week=RatesView(**load.rates(WEEK, now)._asdict()),
        bytes=load.size.bytes if load.size else None,
        messages=load.size.messages if load.size else None,
        pattern=load.pattern,
    )


@router.get("/v1/nodes/load")
def of_nodes(request: Request, actor: Actor, minutes: Minutes = 10) -> list[NodeLoadView]:
    """What every storage node did in the last minutes."""
    del actor
    parts = parts_of(request)
    return [_view(use) for use in usage.of_nodes(parts.store, parts.clock.now(), minutes)]


@router.get("/v1/nodes/{name}/load")
def of_node(name: str, request: Request, actor: Actor, minutes: Minutes = 10) -> NodeLoadView:
    """What one storage node did in the last minutes."""
    del actor
    parts = parts_of(request)
    (found,) = usage.of_nodes(parts.store, parts.clock.now(), minutes, name)
    return _view(found)


@router.post("/v1/nodes/{name}/measure")
def measure(name: str, request: Request, actor: Actor) -> Written:
    """Ask a storage node to measure anew how strong it is."""
    del actor
    return Written(revision=0, did=usage.measure(parts_of(request).store, name).did)


def _view(use: usage.NodeUse) -> NodeLoadView:
    return NodeLoadView(
        node=use.node.name,
        mailboxes=use.mailboxes,
        minutes=[MinuteView(at=_when(at), **asdict(minute)) for at, minute in use.minutes],
        strength=StrengthView(**asdict(use.strength)),
        measured=StrengthView(**asdict(use.measured)) if use.measured else None,
        measured_at=use.measured_at,
        declared=dict(use.node.declared),
    )


def _when(minutes: int) -> datetime:
    return datetime.fromtimestamp(minutes * 60, UTC)
