"""What became of mail: asked of the log node."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from roost.api.identity import actor_of
from roost.api.parts import parts_of
from roost.control import traces
from roost.domain.errors import BadSetting
from roost.domain.trace import Question
from roost.wire.trace_messages import TimelineView, TraceView

router = APIRouter(tags=["traces"])
Actor = Annotated[str, Depends(actor_of)]
Text = Annotated[str, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/v1/traces")
def trace(
    request: Request,
    actor: Actor,
    *,
    recipient: Text = "",
    sender: Text = "",
    message_id: Text = "",
    queue_id: Text = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = 100,
) -> TraceView:
    """The newest messages that all of what is given is true of, the oldest first; times are of arrival.

    ``recipient`` is an address as it was written to, or a mailbox's personal address.
    """
    del actor
    parts = parts_of(request)
    question = Question(
        recipients=(recipient,) if recipient else (),
        sender=sender,
        message_id=message_id,
        queue_id=queue_id,
        since=_aware(since, "since"),
        until=_aware(until, "until"),
        limit=limit,
    )
    found = traces.trace(parts.store, parts.traces, question)
    return TraceView(passages=list(found.passages), more=found.more)


@router.get("/v1/mailboxes/{address}/timeline")
def timeline(
    address: str,
    request: Request,
    actor: Actor,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = 100,
) -> TimelineView:
    """The newest of what happened to a mailbox, in the order of time.

    Mail, logins and refused ones, moves, and changes of the account with who made them.
    """
    del actor
    parts = parts_of(request)
    found = traces.user_timeline(
        parts.store, parts.traces, address, since=_aware(since, "since"), until=_aware(until, "until"), limit=limit
    )
    return TimelineView(moments=found)


def _aware(at: datetime | None, field: str) -> datetime | None:
    """Return a time in UTC; one without an offset could mean any."""
    if at is not None and at.tzinfo is None:
        raise BadSetting(f"{at.isoformat()} has no offset from UTC.", field=field, remedy="Add Z, or +01:00.")
    return at.astimezone(UTC) if at is not None else None
