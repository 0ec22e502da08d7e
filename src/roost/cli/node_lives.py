"""``roost node drain``, ``undrain`` and ``retire``: how a node leaves the cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from roost.cli.ask import sure
from roost.cli.options import WRITING, Writing
from roost.cli.output import REFUSED, UNAVAILABLE, Output
from roost.cli.receipts import settle, tell_done
from roost.cli.safe_text import show_size
from roost.cli.session import Use
from roost.domain.errors import Unavailable
from roost.domain.names import host_name
from roost.domain.node_life import Life

if TYPE_CHECKING:
    from roost.wire.resources import DrainView, RestView

_EVERY_SECONDS = 1.0
_BAR = 30
_FAILED_SHOWN = 5


def drain(name: str, /, *, watch: bool = False, yes: bool = False, options: Writing = WRITING, session: Use) -> int:
    """Have a node emptied, so that it can be switched off and nobody notices.

    A storage node's mailboxes move to the others, within the limits of the policy, while
    their users work. An MX host and a DNS server go on until no record of the world's DNS
    names them: those records are yours to take out, and 'left' says which there still
    are. Logs go to the other log nodes. When nothing is left the node is 'drained'.

    It goes on without this command; call it again to see how far it is. 'roost node
    undrain' has the node back at any time. The last node in a role is refused, and so is
    the controller's own.

    For example:
      roost node drain ms2.cluster.test --dry-run
      roost node drain ms2.cluster.test --watch
      roost node drain mx1.cluster.test --output json

    Parameters
    ----------
    name
        The node.
    watch
        Wait until it is drained, and show how it goes; Ctrl-C ends the watching only. The
        exit status is 1 where somebody has the node back meanwhile.
    yes
        Do not ask.
    """
    node, out, client = host_name(name, field="node"), session.out(options), session.client()
    if not sure(f"Drain the node {node}?", yes=yes or options.dry_run):
        out.note("Nothing was done.")
        return 0
    written = client.drain_node(node, dry_run=options.dry_run)
    if options.dry_run:
        settle(session, options, written)
        return 0
    if not watch:
        settle(session, options, written, also=lambda: {"drain": client.drain(node)})
        if not out.json:
            show(out, client.drain(node))
        return 0
    tell_done(out, written)
    last: DrainView | None = None
    with contextlib.suppress(KeyboardInterrupt):
        last = _watch(out, lambda: client.drain(node))
    if out.json:
        out.document({**written.model_dump(mode="json"), "drain": last})
    if last is None:
        return UNAVAILABLE
    show(out, last)
    return 0 if last.life is Life.DRAINED else REFUSED


def undrain(name: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Have a node back that is being drained, or is drained.

    The others count on it again, and it is given new mailboxes. Moves that have not begun
    are taken back; those under way go on, and mailboxes that have moved stay where they
    are. Put its MX and NS records back yourself.

    For example:
      roost node undrain ms2.cluster.test
      roost node undrain ms2.cluster.test --dry-run

    Parameters
    ----------
    name
        The node.
    """
    node = host_name(name, field="node")
    settle(session, options, session.client().undrain_node(node, dry_run=options.dry_run))


def retire(name: str, /, *, now: bool = False, yes: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Take a node out of the cluster, once it is drained.

    Its certificate is worthless from then on, and no other node lets it in. The audit log
    keeps its name. The way back is 'roost node add', and to join anew.

    Refused while anything lives there, and while a storage node keeps copies of mailboxes
    that moved or were removed, which it does for the policy's keep_days.

    For example:
      roost node retire ms2.cluster.test
      roost node retire ms2.cluster.test --dry-run
      roost node retire ms2.cluster.test --now

    Parameters
    ----------
    name
        The node.
    now
        Give up what it keeps, and what nobody can tell: its machine is lost, or nobody
        wants its copies. A node that is a mailbox's home is refused all the same.
    yes
        Do not ask.
    """
    node = host_name(name, field="node")
    if not sure(f"Take the node {node} out of the cluster?", yes=yes or options.dry_run):
        session.out(options).note("Nothing was done.")
        return
    settle(session, options, session.client().retire_node(node, now=now, dry_run=options.dry_run))


def _watch(out: Output, ask: Callable[[], DrainView]) -> DrainView:
    """Look until the node is not being drained any more; what is left is told again where it has changed."""
    told: list[str] = []
    with out.screen() as screen:
        while True:
            try:
                found = ask()
            except Unavailable as error:
                screen.show([f"{error.message} The drain goes on; waiting for it."])
            else:
                if found.life is not Life.DRAINING:
                    return found
                lines = lines_of(found)
                screen.show(lines)
                kinds = [rest.what for rest in found.left]
                if not screen.seen and kinds != told:
                    told = kinds
                    show(out, found)
            time.sleep(_EVERY_SECONDS)


def show(out: Output, found: DrainView) -> None:
    """Print how far a node is."""
    for line in lines_of(found):
        out.say(line)


def lines_of(found: DrainView) -> list[str]:
    """Return how far a node is, in lines for people."""
    since = f" since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    lines = [f"{found.node} is {found.life}{since}."]
    moved = found.moves.get("settling", 0) + found.moves.get("done", 0)
    total = found.mailboxes + moved
    if found.life is Life.DRAINING and total:
        full = _BAR * moved // total
        size = f", {show_size(found.bytes)} left" if found.bytes and found.mailboxes else ""
        lines.append(f"[{'#' * full}{'.' * (_BAR - full)}] {moved} of {total} mailboxes{size}{_time(found)}")
    lines += [_left(rest) for rest in found.left]
    failed = list(found.failed.items())
    lines += [f"Not moved yet: {address}. {reason}".rstrip() for address, reason in failed[:_FAILED_SHOWN]]
    if len(failed) > _FAILED_SHOWN:
        lines.append(
            f"... and {len(failed) - _FAILED_SHOWN} more: see 'roost move list --all --batch {found.batch}'."
        )
    if found.stalled:
        lines.append(f"Nothing has changed since {found.stalled:%Y-%m-%d %H:%M} UTC.")
    if found.life is Life.DRAINED:
        lines.append("It may be switched off, or taken out with 'roost node retire'.")
    return lines + found.notes


def _left(rest: RestView) -> str:
    until = f" (until {rest.until:%H:%M:%S} UTC)" if isinstance(rest.until, datetime) else ""
    return f"Left: {rest.words}{until} {rest.remedy}".rstrip()


def _time(found: DrainView) -> str:
    seconds = found.seconds_left
    if not seconds:
        return ""
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f", about {seconds / size:.0f} {word}"
    return f", about {seconds} s"
