"""``roost status``: the cluster at a glance, once or as a screen that is drawn anew each second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import Output
from roost.cli.session import Use
from roost.domain.errors import BadSetting, Unavailable

if TYPE_CHECKING:
    from roost.wire.resources import NodeView, Status

_EVERY_SECONDS = 1.0
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"  # ECMA-48 CUP and ED


def status(*, watch: bool = False, options: Common = COMMON, session: Use) -> None:
    """Show the cluster: its nodes, and what needs attention.

    For example:
      roost status
      roost status --watch
      roost status --output json

    Parameters
    ----------
    watch
        Show it anew each second, until Ctrl-C.
    """
    out, client = session.out(options), session.client()
    if not watch:
        found = client.status()
        if out.json:
            out.document(found)
        _show(out, found)
        return
    if out.json:
        raise BadSetting(
            "--watch shows a screen, which is not one JSON document.",
            field="watch",
            remedy="Leave --watch or --output json away.",
        )
    try:
        while True:
            _show_again(out, client.status)
            time.sleep(_EVERY_SECONDS)
    except KeyboardInterrupt:
        return


def _show_again(out: Output, ask: Callable[[], Status]) -> None:
    """Draw the screen anew; a controller that is away for a while does not end the watching."""
    try:
        found = ask()
    except Unavailable as error:
        out.warn(error.message)
        return
    if out.terminal:
        sys.stdout.write(_HOME_AND_CLEAR)
    _show(out, found)


def _show(out: Output, found: Status) -> None:
    out.say(
        f"Cluster {found.cluster}, Roost {found.version}, revision {found.revision}: "
        f"{_count(found.domains, 'domain')}, {_count(found.mailboxes, 'mailbox')}, "
        f"{_count(len(found.nodes), 'node')}"
    )
    rows = [(n.name, roles_of(n), state_of(n), n.mailboxes, health_of(n)) for n in found.nodes]
    if rows:
        out.table(("NODE", "ROLES", "STATE", "MAILBOXES", "HEALTH"), rows)
    for warned in found.warnings:
        out.say(f"! {warned.subject}: {warned.warning} {warned.remedy}".rstrip())


def roles_of(node: NodeView) -> str:
    """Return a node's roles for a table."""
    return ", ".join(node.roles)


def state_of(node: NodeView) -> str:
    """Return in a few words whether a node is there and up to date."""
    if not node.joined:
        return "not joined"
    late = f"{_count(node.late, 'change')} late" if node.late else ""
    if node.connected:
        return late or "connected"
    return "not connected" + (f", {late}" if late else "")


def health_of(node: NodeView) -> str:
    """Return what a node says of its daemons."""
    if node.health:
        return "; ".join(f"{driver}: {sentence.splitlines()[0]}" for driver, sentence in sorted(node.health.items()))
    return "ok" if node.connected else "unknown"


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
