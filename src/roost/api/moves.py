"""Moves of mailboxes: for administrators, and what the nodes report of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of, node_of
from roost.api.parts import Parts, parts_of
from roost.control import move_orders, moves
from roost.control.move_certificate import Certificate
from roost.control.move_orders import Which
from roost.control.move_progress import Progress
from roost.control.move_steps import Heard
from roost.domain.errors import BadSetting, NotFound
from roost.domain.move import OPEN, Move, Part, Said, State
from roost.domain.names import Address
from roost.wire.agent_messages import MoveReport, MoveReports
from roost.wire.move_resources import (
    MoveCertificate,
    MoveProgress,
    MovesAsked,
    MoveView,
    NewMoves,
)
from roost.wire.resources import Written

router = APIRouter(tags=["moves"])
Actor = Annotated[str, Depends(actor_of)]
NodeName = Annotated[str, Depends(node_of)]


def _view(parts: Parts, move: Move, keep_days: int) -> MoveView:
    progress = parts.mover.progress(move)
    return MoveView(
        id=move.id,
        address=str(move.address),
        source=move.source,
        target=move.target,
        state=move.state,
        reason=move.reason,
        actor=move.actor,
        asked=move.asked,
        changed=move.changed,
        parent=move.parent,
        paused=move.paused,
        aborting=move.aborting,
        attempts=move.attempts,
        format=move.format,
        deep=move.deep,
        back_of=move.back_of,
        progress=MoveProgress(
            phase=_phase(move, progress),
            passes=progress.passes,
            messages=progress.messages,
            bytes=progress.bytes,
            total_messages=progress.total_messages,
            total_bytes=progress.total_bytes,
            rate=progress.rate,
            expected_pause_ms=progress.expected_pause_ms,
            trouble=progress.trouble,
        ),
        pause_ms=progress.pause_ms,
        passed_on=progress.passed_on,
        kept_until=moves.kept_until(move, keep_days),
    )


_PHASES = {
    State.ASKED: "waiting",
    State.HOLDING: "handing over",
}


def _phase(move: Move, progress: Progress) -> str:
    """Return in a word or two what is going on."""
    if move.paused and move.state in {State.ASKED, State.COPYING}:
        return "paused"
    if move.state is State.COPYING:
        return "catching up" if progress.passes else "first copy"
    return _PHASES.get(move.state, str(move.state))


@router.post("/v1/moves")
def ask(body: NewMoves, request: Request, actor: Actor, dry_run: bool = False) -> MovesAsked:
    """Ask for moves: all or none. Findings carry the place in the list, from 1, as their line."""
    parts = parts_of(request)
    wanted = moves.Wanted(
        mailboxes=[(new.address, new.to) for new in body.mailboxes],
        domain=body.domain,
        home=body.from_node,
        together=body.together,
        to=body.to,
        format=body.format,
        deep=body.deep,
        parent=body.parent,
    )
    asked = moves.ask(parts.store, parts.followers, actor, wanted, parts.clock.now(), dry_run=dry_run)
    return _asked(parts, asked, dry_run=dry_run)


def _asked(parts: Parts, asked: moves.Asked, *, dry_run: bool) -> MovesAsked:
    if dry_run:
        return MovesAsked(revision=0, dry_run=True, did=asked.did)
    parts.mover.tick()
    return MovesAsked(revision=asked.revision, did=asked.did, ids=asked.ids, parent=asked.parent)


@router.get("/v1/moves")
def list_moves(
    request: Request,
    actor: Actor,
    *,
    state: Annotated[list[State], Query()] = [],  # noqa: B006
    open: bool = False,
    address: str = "",
    parent: str = "",
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[MoveView]:
    """Moves in the order in which they were asked for; ``open`` leaves out those that are over."""
    del actor
    parts = parts_of(request)
    own = str(Address.parse_own(address)) if address else ""
    states = set(state or (OPEN if open else ())) & (OPEN if open else set(State))
    if open and not states:
        return []
    with parts.store.read() as view:
        days = view.cluster().policy.keep_days
        found = view.moves(states=states, address=own, parent=parent, after=after, limit=limit)
    return [_view(parts, move, days) for move in found]


@router.get("/v1/moves/{move}")
def show(move: int, request: Request, actor: Actor) -> MoveView:
    """One move."""
    del actor
    parts = parts_of(request)
    with parts.store.read() as view:
        return _view(parts, moves.find(view, move), view.cluster().policy.keep_days)


@router.get("/v1/moves/{move}/certificate")
def certificate(move: int, request: Request, actor: Actor) -> MoveCertificate:
    """The signed proof of a hand-over."""
    del actor
    parts = parts_of(request)
    with parts.store.read() as view:
        found = moves.find(view, move)
    if not found.certificate:
        raise NotFound(f"Move {move} is {found.state}: nothing was handed over that could be proved.", field="move")
    read = Certificate.of_text(found.certificate)
    return MoveCertificate(
        move=move,
        body=read.body,
        signature=read.signature,
        authority=parts.authority.certificate_pem,
        valid=parts.authority.verify(read.body, read.signature),
    )


@router.post("/v1/moves/pause")
def pause_many(request: Request, actor: Actor, parent: str = "", dry_run: bool = False) -> Written:
    """Pause all open moves, or those of a batch."""
    done = move_orders.pause(parts_of(request).store, actor, Which(parent=parent), dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.post("/v1/moves/resume")
def resume_many(request: Request, actor: Actor, parent: str = "", dry_run: bool = False) -> Written:
    """Go on with all paused moves, or with those of a batch."""
    parts = parts_of(request)
    done = move_orders.resume(parts.store, actor, Which(parent=parent), dry_run=dry_run)
    return _went_on(parts, Written(revision=done.revision, dry_run=dry_run, did=done.did))


@router.post("/v1/moves/abort")
def abort_many(request: Request, actor: Actor, parent: str = "", dry_run: bool = False) -> Written:
    """Undo all moves that are not handed over yet, or those of a batch."""
    parts = parts_of(request)
    done = move_orders.abort(parts.store, actor, Which(parent=parent), parts.clock.now(), dry_run=dry_run)
    return _went_on(parts, Written(revision=done.revision, dry_run=dry_run, did=done.did))


@router.post("/v1/moves/{move}/pause")
def pause(move: int, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Pause a move: it begins no further pass."""
    done = move_orders.pause(parts_of(request).store, actor, Which(move), dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.post("/v1/moves/{move}/resume")
def resume(move: int, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Go on with a paused move."""
    parts = parts_of(request)
    done = move_orders.resume(parts.store, actor, Which(move), dry_run=dry_run)
    return _went_on(parts, Written(revision=done.revision, dry_run=dry_run, did=done.did))


@router.post("/v1/moves/{move}/abort")
def abort(move: int, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Undo a move that is not handed over yet."""
    parts = parts_of(request)
    done = move_orders.abort(parts.store, actor, Which(move), parts.clock.now(), dry_run=dry_run)
    return _went_on(parts, Written(revision=done.revision, dry_run=dry_run, did=done.did))


@router.post("/v1/moves/{move}/back")
def back(move: int, request: Request, actor: Actor, dry_run: bool = False) -> MovesAsked:
    """Ask for the way back of a move that is done, while the old home keeps its copy."""
    parts = parts_of(request)
    asked = moves.back(parts.store, parts.followers, actor, move, parts.clock.now(), dry_run=dry_run)
    return _asked(parts, asked, dry_run=dry_run)


def _went_on(parts: Parts, written: Written) -> Written:
    """Take at once what has become due."""
    if not written.dry_run:
        parts.mover.tick()
    return written


@router.post("/agent/moves")
def report(body: MoveReports, request: Request, name: NodeName) -> dict[str, bool]:
    """Take down how a node's moves are going."""
    parts = parts_of(request)
    parts.feed.node(name)
    if parts.mover.take(name, [_heard(one) for one in body.reports]):
        parts.mover.tick()
        parts.wakeup.ring()
    return {"taken": True}


def _heard(report: MoveReport) -> Heard:
    try:
        part, said = Part(report.part), Said(report.said)
    except ValueError as error:
        raise BadSetting(f"The report cannot be understood: {error}.", field="said") from error
    return Heard(report.move, part, said, report.attempt, report.words, report.body)
