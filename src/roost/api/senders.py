"""Lists of senders, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.control import senders
from roost.domain.senders import Verdict
from roost.wire.resources import SenderView, Written

router = APIRouter(prefix="/v1/senders", tags=["senders"])
Actor = Annotated[str, Depends(actor_of)]


@router.get("")
def list_senders(
    request: Request,
    actor: Actor,
    *,
    owner: str = "",
    domain: str = "",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[SenderView]:
    """Entries sorted by owner and sender; ``after`` is the owner and the sender of the last, a blank between them."""
    del actor
    with parts_of(request).store.read() as view:
        found = view.senders(owner=owner, domain=domain, after=after, limit=limit)
    return [SenderView(owner=entry.owner, sender=entry.sender, verdict=entry.verdict) for entry in found]


@router.post("")
def put(body: SenderView, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Allow or deny a sender; what was said of him before is replaced."""
    store, verdict = parts_of(request).store, Verdict(body.verdict)
    done = senders.put(store, actor, body.owner, body.sender, verdict, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.delete("/{owner}/{sender}")
def remove(owner: str, sender: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Remove an entry."""
    done = senders.remove(parts_of(request).store, actor, owner, sender, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)
