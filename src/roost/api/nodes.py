"""Nodes, for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of
from roost.api.parts import Parts, parts_of, picture
from roost.control import node_lives, nodes
from roost.control.warnings import NodeStatus
from roost.domain.figures import Waiting
from roost.wire.resources import (
    DrainView,
    NewNode,
    NodeAdded,
    NodeChange,
    NodeFigures,
    NodeView,
    RestView,
    WaitingView,
    Written,
)

router = APIRouter(prefix="/v1/nodes", tags=["nodes"])
Actor = Annotated[str, Depends(actor_of)]


def waiting_view(waiting: Mapping[str, Waiting]) -> dict[str, WaitingView]:
    """Return the mail that waits by home, as administrators see it."""
    return {home: WaitingView(messages=there.messages, oldest=there.oldest) for home, there in waiting.items()}


def _figures(entry: NodeStatus) -> NodeFigures | None:
    told = entry.figures
    if not told.at:
        return None
    return NodeFigures(
        at=datetime.fromtimestamp(told.at, UTC),
        load=told.load,
        memory=told.memory,
        disk=told.disk,
        disk_path=told.disk_path,
        queue=told.queue if told.queue >= 0 else None,
        oldest=told.oldest,
        waiting=waiting_view({home: there for home, there in told.waiting.items() if there.messages}),
        sessions=told.sessions if told.sessions >= 0 else None,
        lessons=told.lessons,
        certificate_ends=datetime.fromtimestamp(told.expires, UTC) if told.expires else None,
        log_delay=told.log_delay,
        braked=told.braked,
        skew=round(entry.seen.skew, 3),
    )


def node_view(entry: NodeStatus) -> NodeView:
    """Return a node as administrators see it."""
    return NodeView(
        name=entry.node.name,
        roles=sorted(entry.node.roles),
        addresses=list(entry.node.addresses),
        joined=entry.node.joined,
        classes=list(entry.node.classes),
        life=entry.node.life,
        since=entry.node.since,
        seen=entry.seen.at,
        connected=entry.connected,
        positions=entry.seen.positions,
        late=entry.late,
        mailboxes=entry.mailboxes,
        health=entry.seen.health,
        figures=_figures(entry),
    )


@router.get("")
def list_nodes(request: Request, actor: Actor) -> list[NodeView]:
    """All nodes, with what they last said."""
    del actor
    parts = parts_of(request)
    found = picture(parts)
    return [node_view(entry) for entry in found.nodes]


@router.get("/{name}")
def show(name: str, request: Request, actor: Actor) -> NodeView:
    """One node."""
    with parts_of(request).store.read() as view:
        wanted = nodes.find(view.cluster(), name).name
    return next(node for node in list_nodes(request, actor) if node.name == wanted)


@router.post("")
def add(body: NewNode, request: Request, actor: Actor, dry_run: bool = False) -> NodeAdded:
    """Add a node; the answer has its join token, which is shown this once."""
    parts = parts_of(request)
    done = nodes.add(parts.store, actor, body.name, body.roles, body.addresses, classes=body.classes, dry_run=dry_run)
    if dry_run:
        return NodeAdded(revision=0, dry_run=True, did=done.did)
    return _with_token(parts, actor, body.name, body.valid_minutes, NodeAdded(revision=done.revision, did=done.did))


@router.post("/{name}/token")
def token(
    name: str, request: Request, actor: Actor, valid_minutes: Annotated[int, Query(ge=1, le=10_080)] = 60
) -> NodeAdded:
    """Make a new join token for a node: its machine was replaced, or the first token expired."""
    return _with_token(parts_of(request), actor, name, valid_minutes, NodeAdded(revision=0))


def _with_token(parts: Parts, actor: str, name: str, minutes: int, answer: NodeAdded) -> NodeAdded:
    fingerprint, now = parts.authority.fingerprint(), parts.clock.now()
    made = nodes.new_token(parts.store, actor, name, fingerprint, now=now, minutes=minutes)
    answer.token, answer.expires = made.text, made.expires
    return answer


@router.patch("/{name}")
def change(name: str, body: NodeChange, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Give a node other roles, addresses or classes of service, or declare how strong it is."""
    declared = body.declared.model_dump(exclude_none=True) if body.declared else None
    done = nodes.change(
        parts_of(request).store,
        actor,
        name,
        body.roles,
        body.addresses,
        declared=declared,
        classes=body.classes,
        dry_run=dry_run,
    )
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.post("/{name}/drain")
def drain(name: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Have a node emptied; a dry run asks DNS, too, which records would have to go."""
    parts = parts_of(request)
    done = node_lives.drain(parts.store, actor, name, parts.clock.now(), dry_run=dry_run)
    if dry_run and done.did:
        done.did += parts.drainer.naming(name)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.get("/{name}/drain")
def drain_progress(name: str, request: Request, actor: Actor) -> DrainView:
    """What is left on a node that is drained, and how long it may take."""
    del actor
    found = parts_of(request).drainer.progress(name)
    return DrainView(
        node=found.node.name,
        life=found.node.life,
        since=found.node.since,
        batch=found.node.batch,
        mailboxes=found.mailboxes,
        bytes=found.bytes,
        moves={str(state): count for state, count in found.moves.items()},
        failed={str(address): reason for address, reason in found.failed.items()},
        left=[RestView(**asdict(rest)) for rest in found.rests],
        notes=list(found.notes),
        seconds_left=found.seconds,
        stalled=found.stalled,
    )


@router.post("/{name}/undrain")
def undrain(name: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Have a node back that is being drained, or is; mailboxes that have moved stay where they are."""
    parts = parts_of(request)
    done = node_lives.undrain(parts.store, actor, name, parts.clock.now(), dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.delete("/{name}")
def retire(name: str, request: Request, actor: Actor, now: bool = False, dry_run: bool = False) -> Written:
    """Take a drained node out of the cluster; ``now`` asks neither for the drain nor for copies that it keeps."""
    parts = parts_of(request)
    done = node_lives.retire(parts.store, actor, name, parts.clock.now(), give_up=now, dry_run=dry_run)
    if not dry_run:
        parts.followers.forget(name)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)
