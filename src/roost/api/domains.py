"""Mail domains, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.control import domains
from roost.domain.cluster import Domain
from roost.ports.store import Reader
from roost.wire.resources import DomainChange, DomainView, NewDomain, Written

router = APIRouter(prefix="/v1/domains", tags=["domains"])
Actor = Annotated[str, Depends(actor_of)]


def _view(view: Reader, domain: Domain) -> DomainView:
    return DomainView(
        name=domain.name,
        access_zone=domain.access_zone,
        quota=domain.quota,
        suspended=domain.suspended,
        mailboxes=view.count_mailboxes(domain=domain.name),
        records=domains.records(view, domain),
    )


@router.get("")
def list_domains(request: Request, actor: Actor) -> list[DomainView]:
    """All domains."""
    del actor
    with parts_of(request).store.read() as view:
        return [_view(view, domain) for domain in view.cluster().domains]


@router.get("/{name}")
def show(name: str, request: Request, actor: Actor) -> DomainView:
    """One domain."""
    del actor
    with parts_of(request).store.read() as view:
        return _view(view, domains.find(view.cluster(), name))


@router.post("")
def add(body: NewDomain, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Add a domain."""
    done = domains.add(
        parts_of(request).store,
        actor,
        body.name,
        body.access_zone,
        quota=body.quota,
        suspended=body.suspended,
        dry_run=dry_run,
    )
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.patch("/{name}")
def change(name: str, body: DomainChange, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Change a domain."""
    done = domains.change(
        parts_of(request).store, actor, name, quota=body.quota, suspended=body.suspended, dry_run=dry_run
    )
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.delete("/{name}")
def remove(name: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Remove a domain that is empty."""
    done = domains.remove(parts_of(request).store, actor, name, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)
