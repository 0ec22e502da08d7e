"""What the controller asks the log node, and what is answered over the API: the values of ``roost.domain.trace``."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from roost.domain.trace import Found, Login, Moment, Passage, Question
from roost.wire.agent_messages import Message
from roost.wire.resources import Resource


class TraceRequest(Message):
    """One question to the log node: ``trace`` with a question, or ``logins`` under names in a time."""

    do: str
    question: Question = Question()
    users: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = Field(default=100, ge=1, le=10_000)


class TraceReply(Message):
    """The answer; ``words`` say why where it is not ``ok``."""

    ok: bool
    words: str = ""
    found: Found = Found(())
    logins: tuple[Login, ...] = ()


class TraceView(Resource):
    """What became of messages, the oldest first; ``more`` where there are older ones than the limit let through."""

    passages: list[Passage]
    more: bool


class TimelineView(Resource):
    """What happened to one mailbox, in the order of time."""

    moments: list[Moment]
