"""Aliases, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.control import aliases
from roost.domain.cluster import Alias
from roost.domain.errors import BadAddress
from roost.wire.resources import AliasView, NewAlias, Written

router = APIRouter(prefix="/v1/aliases", tags=["aliases"])
Actor = Annotated[str, Depends(actor_of)]


def _view(alias: Alias) -> AliasView:
    return AliasView(address=str(alias.address), targets=[str(target) for target in alias.targets])


@router.get("")
def list_aliases(
    request: Request,
    actor: Actor,
    domain: str = "",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AliasView]:
    """Aliases sorted by address."""
    del actor
    with parts_of(request).store.read() as view:
        return [_view(alias) for alias in view.aliases(domain=domain, after=after, limit=limit)]


@router.get("/{address}")
def show(address: str, request: Request, actor: Actor) -> AliasView:
    """One alias."""
    del actor
    with parts_of(request).store.read() as view:
        return _view(aliases.find(view, address))


@router.post("")
def add(body: NewAlias, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Add an alias."""
    done = aliases.put(parts_of(request).store, actor, body.address, body.targets, exists=False, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.put("/{address}")
def change(address: str, body: NewAlias, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Set the targets of an alias that exists."""
    if body.address != address:
        raise BadAddress("The address in the path and in the body differ.", field="address")
    done = aliases.put(parts_of(request).store, actor, address, body.targets, exists=True, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)


@router.delete("/{address}")
def remove(address: str, request: Request, actor: Actor, dry_run: bool = False) -> Written:
    """Remove an alias."""
    done = aliases.remove(parts_of(request).store, actor, address, dry_run=dry_run)
    return Written(revision=done.revision, dry_run=dry_run, did=done.did)
