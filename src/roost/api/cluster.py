"""The cluster as a whole: status, receipts, drift, policy, audit log, keys, backup and restore."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

import roost
from roost.api.identity import actor_of
from roost.api.nodes import node_view, waiting_view
from roost.api.parts import Parts, parts_of, picture
from roost.control import drift as drifting
from roost.control import keys, policy, receipts
from roost.ports.store import Report
from roost.wire.agent_messages import DriftReport
from roost.wire.resources import (
    Drift,
    DriftLine,
    EventView,
    KeyMade,
    KeyView,
    NewKey,
    PolicyView,
    Receipt,
    ReceiptLine,
    Restored,
    Status,
    Warned,
    Written,
)

router = APIRouter(prefix="/v1", tags=["cluster"])
Actor = Annotated[str, Depends(actor_of)]


@router.get("/status")
def status(request: Request, actor: Actor) -> Status:
    """The cluster at a glance."""
    del actor
    parts = parts_of(request)
    found = picture(parts)
    return Status(
        cluster=found.cluster.domain,
        version=roost.__version__,
        revision=found.revision,
        domains=len(found.cluster.domains),
        mailboxes=found.mailboxes,
        nodes=[node_view(entry) for entry in found.nodes],
        warnings=[Warned(**asdict(warned)) for warned in found.warnings],
        queue=found.total("queue"),
        sessions=found.total("sessions"),
        waiting=waiting_view(found.waiting),
        moves={state: count for state, count in found.moves.items() if count},
    )


@router.get("/receipts/{revision}")
async def receipt(
    revision: int, request: Request, actor: Actor, wait: Annotated[float, Query(ge=0, le=60)] = 0
) -> Receipt:
    """Which nodes have applied a change; waits until all have, or until ``wait`` seconds are over."""
    del actor
    parts = parts_of(request)
    deadline = time.monotonic() + wait
    while True:
        noted = parts.wakeup.count
        found = await run_in_threadpool(receipts.receipt, parts.store, parts.followers, revision, parts.clock.now())
        left = deadline - time.monotonic()
        if found.done or left <= 0:
            break
        await parts.wakeup.wait(noted, left)
    return Receipt(revision=revision, done=found.done, lines=[ReceiptLine(**asdict(line)) for line in found.lines])


@router.get("/drift")
def get_drift(request: Request, actor: Actor) -> Drift:
    """What the nodes found at their last check."""
    del actor
    return _drift(parts_of(request))


@router.post("/drift")
def check_drift(request: Request, actor: Actor, lift_brake: Annotated[list[str], Query()] = []) -> Drift:  # noqa: B006
    """Ask every node to check now; on the nodes in ``lift_brake`` it may delete as many rows as are too many."""
    del actor
    parts = parts_of(request)
    drifting.ask(parts.store, lift_brake)
    return _drift(parts)


def _drift(parts: Parts) -> Drift:
    found = drifting.drift(parts.store, parts.followers)
    bodies = {report.node: DriftReport.model_validate_json(report.body) for report in found.reports}
    return Drift(
        check=found.check,
        waiting=list(found.waiting),
        rows_checked=sum(body.rows_checked for body in bodies.values()),
        lines=[line for report in found.reports for line in _lines(report)],
        earlier=[line for report in found.earlier for line in _lines(report)],
        refused={node: body.refused for node, body in bodies.items() if body.refused},
    )


def _lines(report: Report) -> list[DriftLine]:
    found = DriftReport.model_validate_json(report.body).findings
    return [
        DriftLine(node=report.node, at=report.at, driver=f.driver, what=f.what, found=f.found, repaired=f.repaired)
        for f in found
    ]


@router.get("/policy")
def get_policy(request: Request, actor: Actor) -> PolicyView:
    """The cluster's policy."""
    del actor
    with parts_of(request).store.read() as view:
        found = asdict(view.cluster().policy)
    return PolicyView.model_validate(
        {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    )


@router.patch("/policy")
def set_policy(
    request: Request, actor: Actor, body: Annotated[dict[str, Any], Body()], dry_run: bool = False
) -> Written:
    """Set the fields given; the others stay."""
    parts = parts_of(request)
    current = get_policy(request, actor).model_dump()
    known = {name: value for name, value in body.items() if name in current}
    try:
        checked = PolicyView(**{**current, **known}).model_dump()
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from error
    wanted = {name: checked.get(name, value) for name, value in body.items()}
    done = policy.change(parts.store, actor, wanted, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.get("/events")
def events(
    request: Request,
    actor: Actor,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[EventView]:
    """The audit log after a revision, oldest first."""
    del actor
    with parts_of(request).store.read() as view:
        return [EventView(**asdict(event)) for event in view.events(after=after, limit=limit)]


@router.get("/events/verify")
def verify(request: Request, actor: Actor) -> Written:
    """Walk the audit log's hash chain; every sentence in ``did`` is a broken link."""
    del actor
    return Written(revision=0, did=list(parts_of(request).store.verify_audit()))


@router.get("/keys")
def list_keys(request: Request, actor: Actor) -> list[KeyView]:
    """The administrators' keys, without their secrets."""
    del actor
    with parts_of(request).store.read() as view:
        held = view.keys()
    return [KeyView(id=key.id, name=key.name, created=key.created, expires=key.expires) for key in held]


@router.post("/keys")
def add_key(body: NewKey, request: Request, actor: Actor) -> KeyMade:
    """Make a key; its text is in this answer and nowhere else."""
    parts = parts_of(request)
    made = keys.make(parts.store, actor, body.name, parts.clock.now(), body.valid_days)
    key = made.key
    return KeyMade(id=key.id, name=key.name, created=key.created, expires=key.expires, key=made.text)


@router.delete("/keys/{identity}")
def remove_key(identity: str, request: Request, actor: Actor) -> Written:
    """Remove a key; it is refused from now on."""
    keys.remove(parts_of(request).store, actor, identity)
    return Written(revision=0, did=[f"Key {identity} removed."])


@router.get("/backup")
def backup(request: Request, actor: Actor) -> StreamingResponse:
    """A consistent copy of everything in the store, taken while it works."""
    del actor
    folder = tempfile.TemporaryDirectory(prefix="roost-backup-")
    path = Path(folder.name) / "backup.db"
    try:
        parts_of(request).backups.save(str(path))
    except BaseException:
        folder.cleanup()
        raise

    def chunks() -> Iterator[bytes]:
        with folder, path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                yield chunk

    return StreamingResponse(chunks(), media_type="application/octet-stream")


@router.post("/restore")
async def restore(request: Request, actor: Actor) -> Restored:
    """Replace everything in the store by a backup; what was there is kept aside."""
    parts = parts_of(request)
    with tempfile.TemporaryDirectory(prefix="roost-restore-") as folder:
        path = Path(folder) / "backup.db"
        with path.open("wb") as stream:
            async for chunk in request.stream():
                stream.write(chunk)
        did = await run_in_threadpool(parts.backups.load, str(path), actor)
    with parts.store.read() as view:
        return Restored(revision=view.revision(), did=did)
