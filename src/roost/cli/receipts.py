"""What every writing command does after its write: tell what was done, and where it has arrived.

A write is stored the moment the API has answered; nothing after that can undo it. The nodes fetch it by themselves,
so waiting only watches. It ends when every node that the change concerns has applied it, when ``--timeout`` is over,
or a moment after only nodes that are not connected are left: those apply it when they are back, which is a warning
and no failure (exit status 0).

The milliseconds shown are from the change's time in the audit log to the node's acknowledgement, both by the
controller's clock. Where a node has meanwhile applied later changes, its acknowledgement is that of the latest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roost.cli.options import Writing
from roost.cli.output import Bar, Output
from roost.cli.session import Session
from roost.domain.errors import BadSetting, RoostError

if TYPE_CHECKING:
    from roost.wire.resources import Receipt, ReceiptLine, Written

_POLL_SECONDS = 1.0
"""How long one question waits at the controller; it answers at once when the receipt is done."""

_GRACE_SECONDS = 1.0
"""How long to wait for nodes that are not connected, in case they are just coming back."""

_SENTENCES = 20


def settle(
    session: Session,
    options: Writing,
    written: Written,
    *,
    joining: str = "",
    also: Callable[[], dict[str, object]] = dict,
) -> None:
    """Print what a write did, wait for its receipts as the options say, and print who has it.

    ``joining`` names a node that cannot have it yet, because it has still to join. ``also`` returns what else
    belongs into the JSON document.
    """
    out = session.out(options)
    tell_done(out, written)
    receipt = None
    warnings: list[str] = []
    if written.revision and not written.dry_run and not options.no_wait:
        try:
            receipt = _wait(session, out, written.revision, options.timeout, joining)
        except RoostError as error:
            # The change is stored; that the watching failed must not look as if it were not.
            warnings.append(f"The change is stored, but who has it cannot be told: {error}")
        if receipt is not None:
            show_receipt(session, out, receipt)
            warnings += late_sentences(receipt, joining)
    for warning in warnings:
        out.warn(warning)
    if out.json:
        out.document({**written.model_dump(mode="json"), "receipt": receipt, "warnings": warnings, **also()})


def tell_done(out: Output, written: Written) -> None:
    """Print the sentences of a write."""
    prefix = "Would be done: " if written.dry_run else ""
    for sentence in written.did[:_SENTENCES]:
        out.say(f"{prefix}{sentence}")
    if len(written.did) > _SENTENCES:
        out.say(f"... and {len(written.did) - _SENTENCES} more.")
    if not written.did and not written.revision:
        out.say(f"{prefix}Nothing to change.")


def wait_for(
    ask: Callable[[float], Receipt], seconds: float, bar: Bar, *, joining: str = "", clock: Callable[[], float]
) -> Receipt:
    """Ask for a receipt until it is done, time is over, or only nodes that are away lack it."""
    started = clock()
    first: dict[tuple[str, str], int] = {}
    while True:
        left = seconds - (clock() - started)
        receipt = ask(min(_POLL_SECONDS, max(left, 0)))
        _show_progress(bar, receipt, first)
        missing = [line for line in receipt.lines if not line.applied and line.node != joining]
        past_grace = clock() - started >= min(_GRACE_SECONDS, seconds)
        if receipt.done or not missing or clock() - started >= seconds:
            return receipt
        if past_grace and not any(line.connected for line in missing):
            return receipt


def show_receipt(session: Session, out: Output, receipt: Receipt) -> None:
    """Print a receipt as a table."""
    if out.json:
        return
    if not receipt.lines:
        out.say("No node has to apply this.")
        return
    began = _time_of(session, receipt.revision)
    rows = []
    for line in receipt.lines:
        applied = "yes" if line.applied else ("not yet" if line.connected else "not connected")
        rows.append((line.node, line.table, applied, _milliseconds(line, began)))
    out.table(("NODE", "TABLE", "APPLIED", "MS"), rows)


def late_sentences(receipt: Receipt, joining: str = "") -> list[str]:
    """Return a sentence for every node that has not applied the change."""
    sentences = []
    missing = [line for line in receipt.lines if not line.applied]
    for node in sorted({line.node for line in missing}):
        if node == joining:
            sentences.append(f"{node} gets its settings when it joins.")
        elif any(line.connected for line in missing if line.node == node):
            sentences.append(f"{node} is late: see 'roost status', and 'roost receipt {receipt.revision} --wait 60'.")
        else:
            sentences.append(f"{node} is not connected. The change is stored and reaches the node when it is back.")
    return sentences


def check_seconds(seconds: float, field: str) -> float:
    """Return seconds to wait; raises ``BadSetting`` where there cannot be so many."""
    if not 0 <= seconds <= 86_400:
        raise BadSetting(f"{seconds:g} seconds cannot be waited.", field=field, remedy="Give 0 to 86400.")
    return seconds


def _wait(session: Session, out: Output, revision: int, seconds: float, joining: str) -> Receipt:
    client = session.client()
    with out.progress("Waiting for nodes") as bar:
        return wait_for(
            lambda wait: client.receipt(revision, wait=wait), seconds, bar, joining=joining, clock=time.monotonic
        )


def _show_progress(bar: Bar, receipt: Receipt, first: dict[tuple[str, str], int]) -> None:
    """Count what the nodes had to fetch since the first look, over all their tables."""
    done = total = 0
    for line in receipt.lines:
        began = first.setdefault((line.node, line.table), min(line.position, receipt.revision - 1))
        total += receipt.revision - began
        done += receipt.revision - began if line.applied else max(0, line.position - began)
    bar.set(min(done, total), max(total, 1))


def _time_of(session: Session, revision: int) -> float | None:
    """Return when a revision was made (seconds since the epoch), or None where that cannot be told."""
    try:
        events = session.client().events(after=revision - 1, limit=1)
    except RoostError:
        return None
    return events[0].at.timestamp() if events and events[0].revision == revision else None


def _milliseconds(line: ReceiptLine, began: float | None) -> str:
    if not line.applied or line.at is None or began is None:
        return ""
    passed = (line.at.timestamp() - began) * 1000
    return f"{passed:.0f}" if passed >= 0 else ""
