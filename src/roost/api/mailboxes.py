"""Mailboxes, for administrators. Passwords come in and never go out."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.control import domains, mailboxes
from roost.domain.cluster import Cluster, Mailbox
from roost.domain.move import Move, State
from roost.domain.ties import FREE, Ties
from roost.wire.resources import MailboxChange, MailboxView, NewMailbox, NewMailboxes, Written

router = APIRouter(prefix="/v1/mailboxes", tags=["mailboxes"])
Actor = Annotated[str, Depends(actor_of)]
_TIES = [tie.name for tie in fields(Ties)]


def _view(cluster: Cluster, mailbox: Mailbox, move: Move | None) -> MailboxView:
    domain = domains.find(cluster, mailbox.address.domain)
    return MailboxView(
        address=str(mailbox.address),
        hostname=mailbox.hostname(domain),
        target=mailbox.target(domain),
        home=mailbox.home,
        quota=mailbox.quota or domain.quota,
        suspended=mailbox.suspended,
        number=mailbox.number,
        format=mailbox.format,
        moving_to=move.target if move and move.state is not State.SETTLING else "",
        **asdict(mailbox.ties),
    )


def _wanted(body: NewMailbox) -> mailboxes.Wanted:
    ties = (body.together, body.apart, body.pin, body.service_class)
    return mailboxes.Wanted(
        body.address,
        body.password,
        body.password_hash,
        body.home,
        body.quota,
        body.format or "",
        Ties(*(tie or "" for tie in ties)) if any(ties) else FREE,
    )


@router.get("")
def list_mailboxes(
    request: Request,
    actor: Actor,
    *,
    domain: str = "",
    home: str = "",
    together: str = "",
    apart: str = "",
    pin: str = "",
    service_class: str = "",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[MailboxView]:
    """Mailboxes sorted by address; the next page begins after the last address of this one."""
    del actor
    wanted = {"together": together, "apart": apart, "pin": pin, "service_class": service_class}
    ties = FREE.changed(wanted) if any(wanted.values()) else FREE
    with parts_of(request).store.read() as view:
        cluster = view.cluster()
        found = view.mailboxes(domain=domain, home=home, ties=ties, after=after, limit=limit)
        moves = view.open_moves(mailbox.number for mailbox in found)
        return [_view(cluster, mailbox, moves.get(mailbox.number)) for mailbox in found]


@router.get("/{address}")
def show(address: str, request: Request, actor: Actor) -> MailboxView:
    """One mailbox."""
    del actor
    with parts_of(request).store.read() as view:
        found = mailboxes.find(view, address)
        return _view(view.cluster(), found, view.open_moves([found.number]).get(found.number))


@router.post("")
def add(body: NewMailbox, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Add a mailbox."""
    done = mailboxes.add(parts_of(request).store, actor, _wanted(body), dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


async def _import_body(request: Request) -> list[mailboxes.Wanted]:
    """Read the body of an import: piece by piece and straight into values, as it may hold a million mailboxes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece

    def read() -> list[mailboxes.Wanted]:
        try:
            new = NewMailboxes.model_validate_json(body)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_input=False)) from error
        body.clear()
        return [_wanted(mailbox) for mailbox in new.mailboxes]

    return await run_in_threadpool(read)


_IMPORT_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewMailboxes"}}},
}


@router.post("/import", openapi_extra={"requestBody": _IMPORT_BODY})
def add_many(
    wanted: Annotated[list[mailboxes.Wanted], Depends(_import_body)],
    request: Request,
    actor: Actor,
    dry_run: bool = False,
) -> Written:
    """Add all mailboxes or none; findings carry the place in the list, from 1, as their line."""
    done = mailboxes.add_many(parts_of(request).store, actor, wanted, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.patch("/{address}")
def change(address: str, body: MailboxChange, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Change a mailbox."""
    done = mailboxes.change(
        parts_of(request).store,
        actor,
        address,
        password=body.password,
        password_hash=body.password_hash,
        quota=body.quota,
        suspended=body.suspended,
        ties=body.model_dump(include=set(_TIES), exclude_none=True),
        dry_run=dry_run,
    )
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.delete("/{address}")
def remove(address: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Remove a mailbox."""
    done = mailboxes.remove(parts_of(request).store, actor, address, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)
