"""``roost trace``: what became of mail; and ``roost user timeline``."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from roost.cli.options import COMMON, Common
from roost.cli.output import Output
from roost.cli.session import Use
from roost.cli.times import shown, time_of
from roost.domain.errors import BadSetting
from roost.domain.names import Address
from roost.domain.trace import Fate, Passage, Question, Watch

_POLL_SECONDS = 1.0
_FOLLOWED = 1000


def trace(
    address: str = "",
    /,
    *,
    since: str = "",
    until: str = "",
    sender: Annotated[str, Parameter(name="--from")] = "",
    message_id: str = "",
    queue_id: str = "",
    limit: int = 100,
    full: bool = False,
    follow: bool = False,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Show what became of mail: when it came, from whom, where it lies or why it waits.

    Of everything that is given, all must be true. Times are in UTC.

    For example:
      roost trace john@example.test
      roost trace john@example.test --since 2h --from bill@elsewhere.test
      roost trace --message-id 4711@elsewhere.test --full
      roost trace john@example.test --follow

    Parameters
    ----------
    address
        The recipient: as it was written to, or a mailbox's personal address.
    since
        Only what arrived since then: how long ago (30m, 2h, 3d), or a time (2026-11-25T12:00).
    until
        Only what arrived until then.
    sender
        The envelope's sender.
    message_id
        The Message-ID, with or without its angle brackets.
    queue_id
        The queue id on any MX.
    limit
        The newest so many, at most 1000.
    full
        Everything that is known of each message.
    follow
        Go on showing what is new or has changed, until Ctrl-C.
    """
    out, client = session.out(options), session.client()
    if follow and out.json:
        raise BadSetting(
            "--follow has no end, so it is not one JSON document.",
            field="follow",
            remedy="Leave --follow or --output json away.",
        )
    question = Question(
        recipients=(str(Address.parse(address)),) if address else (),
        sender=sender,
        message_id=message_id.strip().removeprefix("<").removesuffix(">"),
        queue_id=queue_id,
        since=time_of(since, field="since") if since else None,
        until=time_of(until, field="until") if until else None,
        limit=limit,
    )
    found = client.trace(question)
    if out.json:
        out.document(found)
    _tell(out, found.passages, full=full)
    if not found.passages and not follow:
        out.note("Nothing is known of such mail.")
    if found.more:
        out.note(f"There are older ones: --limit {min(limit * 10, _FOLLOWED)}, or --until.")
    if not follow:
        return
    question = replace(question, limit=_FOLLOWED, until=None)
    watch = Watch(lambda: client.trace(question).passages)
    try:
        while True:
            time.sleep(_POLL_SECONDS)
            for passage in watch.news():
                out.say("  ".join(row_of(passage)).rstrip())
    except KeyboardInterrupt:
        return


def timeline(
    address: str,
    /,
    *,
    since: str = "",
    until: str = "",
    limit: int = 100,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Show what happened to a mailbox: its mail, its logins and refused ones, its moves, and who changed what of it.

    For example:
      roost user timeline john@example.test
      roost user timeline john@example.test --since 2d --output json

    Parameters
    ----------
    address
        The mailbox; also one that was removed.
    since
        Only since then: how long ago (30m, 2h, 3d), or a time (2026-11-25T12:00). Mail counts by its arrival.
    until
        Only until then.
    limit
        The newest so many, at most 1000.
    """
    out = session.out(options)
    found = session.client().timeline(
        str(Address.parse(address)),
        since=time_of(since, field="since") if since else None,
        until=time_of(until, field="until") if until else None,
        limit=limit,
    )
    if out.json:
        out.document(found)
    out.table(("AT", "WHAT", "DETAIL"), [(shown(one.at), one.kind, one.text) for one in found.moments])
    if not found.moments:
        out.note(f"Nothing is known of {address} in that time.")


def _tell(out: Output, passages: list[Passage], *, full: bool) -> None:
    if not full:
        out.table(("ARRIVED", "FROM", "TO", "STATE", "DETAIL"), [row_of(passage) for passage in passages])
        return
    for place, passage in enumerate(passages):
        if place:
            out.say("")
        out.facts([(name, value) for name, value in facts_of(passage) if value])


def row_of(passage: Passage) -> tuple[str, ...]:
    """Return a passage as cells."""
    return (
        shown(passage.arrived),
        passage.sender or "<>",
        passage.recipient or "?",
        str(passage.fate),
        _detail(passage),
    )


def _detail(p: Passage) -> str:
    """Return where it lies, or why not, in one line."""
    if p.fate is Fate.DELIVERED:
        took = f" after {(p.ended - p.arrived).total_seconds():.1f} s" if p.ended else ""
        return f"{p.home} {p.action} {p.folder}".strip() + took
    if p.fate is Fate.WAITING:
        return f"on {p.node}, {p.attempts} attempts, last {shown(p.ended)}: {p.reply}"
    if p.fate is Fate.HANDED_ON:
        return f"{p.home} as {p.next_id}: {p.reply}" if p.next_id else f"{p.home}: {p.reply}"
    return f"by {p.node}: {p.reply}" if p.reply else f"on {p.node}"


def facts_of(p: Passage) -> list[tuple[str, str]]:
    """Return everything that is known of a passage."""
    score = f"{p.verdict} ({p.score:g})" if p.score is not None else p.verdict
    return [
        ("Message-ID", p.message_id),
        ("From", p.sender or "<>"),
        ("To", p.recipient),
        ("Leads to", p.personal if p.personal != p.recipient else ""),
        ("Arrived", shown(p.arrived)),
        ("Client", f"{p.client} [{p.address}]" if p.address else ""),
        ("HELO", p.helo),
        *[("By", f"{halt.node} as {halt.queue_id}, {shown(halt.at)}") for halt in p.earlier],
        ("MX", f"{p.node} as {p.queue_id}" if p.queue_id else p.node),
        ("Size", str(p.size) if p.size else ""),
        ("Spam filter", score),
        ("Rules", p.symbols),
        ("State", str(p.fate)),
        ("Home", p.home),
        ("Done" if p.fate is not Fate.WAITING else "Tried last", shown(p.ended)),
        ("Attempts", str(p.attempts) if p.attempts > 1 else ""),
        ("Action", p.action),
        ("Folder", p.folder),
        ("Handed on as", p.next_id),
        ("Words", p.reply),
    ]
