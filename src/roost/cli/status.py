"""``roost status``: the cluster at a glance, once or as a screen that is drawn anew each second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import UNAVAILABLE, Output
from roost.cli.receipts import check_seconds
from roost.cli.session import Use
from roost.domain.errors import BadSetting, Unavailable
from roost.domain.node_life import Life

if TYPE_CHECKING:
    from roost.cli.picture import Picture
    from roost.wire.client import AdminClient
    from roost.wire.resources import NodeView, Status

_EVERY_SECONDS = 1.0
_POLL_SECONDS = 0.5
_COLUMNS = ("NODE", "ROLES", "STATE", "MAILBOXES", "LOAD", "DISK", "QUEUE", "SESSIONS", "HEALTH")


def status(*, watch: bool = False, wait: float = 0.0, options: Common = COMMON, session: Use) -> int:
    """Show the cluster: its nodes and their load, mail that waits, and what needs attention.

    LOAD is for each processor, DISK the fullest file system, QUEUE the messages on an
    MX, SESSIONS the connections of users. They are some seconds old; '-' stands for
    what a node does not have or has not told.

    For example:
      roost status
      roost status --watch
      roost status --wait 120
      roost status --output json

    Parameters
    ----------
    watch
        Show it anew each second, until Ctrl-C.
    wait
        Seconds to wait until every node is connected, up to date and well. The exit
        status is then 3 where one is not.
    """
    out, client = session.out(options), session.client()
    seconds = check_seconds(wait, "wait")
    if not watch:
        found = _wait(out, client, seconds) if seconds else client.status()
        if out.json:
            out.document(found)
        _show(out, found)
        return UNAVAILABLE if seconds and unready(found) else 0
    if seconds:
        raise BadSetting("--watch ends by Ctrl-C only.", field="wait", remedy="Leave --watch or --wait away.")
    if out.json:
        raise BadSetting(
            "--watch shows a screen, which is not one JSON document.",
            field="watch",
            remedy="Leave --watch or --output json away.",
        )
    with contextlib.suppress(KeyboardInterrupt):
        (_draw if out.terminal else _print)(out, client.status)
    return 0


def unready(found: Status) -> list[str]:
    """Return the nodes that are not connected, not up to date, or not well; a drained one may be off."""
    awaited = [node for node in found.nodes if node.connected or node.life is not Life.DRAINED]
    return [node.name for node in awaited if not node.connected or node.late or node.health]


def _wait(out: Output, client: AdminClient, seconds: float) -> Status:
    """Return the status when no node is unready any more, or the last one; a controller that starts is waited for."""
    end = time.monotonic() + seconds
    with out.progress("Waiting for nodes") as bar:
        while True:
            try:
                found = client.status()
            except Unavailable:
                if time.monotonic() > end:
                    raise
            else:
                if not unready(found) or time.monotonic() > end:
                    return found
                bar.set(len(found.nodes) - len(unready(found)), len(found.nodes))
            time.sleep(_POLL_SECONDS)


def _draw(out: Output, ask: Callable[[], Status]) -> None:
    """Draw the screen again and again; a controller that is away for a while does not end the watching."""
    del out
    # rich is loaded where there is a terminal only.
    from roost.cli import picture  # noqa: PLC0415

    with picture.drawing() as screen:
        while True:
            try:
                screen.show(_picture(ask()))
            except Unavailable as error:
                screen.lost(error.message)
            time.sleep(_EVERY_SECONDS)


def _print(out: Output, ask: Callable[[], Status]) -> None:
    """Print it again and again, where there is no terminal."""
    while True:
        try:
            _show(out, ask())
        except Unavailable as error:
            out.warn(error.message)
        time.sleep(_EVERY_SECONDS)


def _show(out: Output, found: Status) -> None:
    if out.terminal:
        from roost.cli import picture  # noqa: PLC0415 (as above)

        picture.draw(_picture(found))
        return
    for line in lines_of(found):
        out.say(line)
    if found.nodes:
        out.table(_COLUMNS, [row_of(node) for node in found.nodes])
    for words in warnings_of(found):
        out.say(f"! {words}")


def _picture(found: Status) -> Picture:
    from roost.cli.picture import Picture  # noqa: PLC0415 (as above)

    subjects = {warned.subject for warned in found.warnings}
    return Picture(
        lines_of(found),
        _COLUMNS,
        [row_of(node) for node in found.nodes],
        [_mark(node, subjects) for node in found.nodes],
        warnings_of(found),
    )


def _mark(node: NodeView, subjects: set[str]) -> str:
    """Return how a node's row is to look."""
    if node.life is Life.DRAINED and not node.connected:
        return "warn"
    if not node.connected or node.health:
        return "bad"
    return "warn" if node.name in subjects else "good"


def lines_of(found: Status) -> list[str]:
    """Return the cluster in a sentence, and its mail and users in another where anything is known of them."""
    things = (_count(found.domains, "domain"), _count(found.mailboxes, "mailbox"), _count(len(found.nodes), "node"))
    lines = [
        f"Cluster {found.cluster}, Roost {found.version}, revision {found.revision}: {', '.join(things)}",
    ]
    if any(node.figures for node in found.nodes):
        told = [f"{_count(found.queue, 'message')} in queues", _count(found.sessions, "session")]
        if found.moves:
            told.append("moves: " + ", ".join(f"{count} {state}" for state, count in found.moves.items()))
        lines.append(f"{', '.join(told)}.")
        waiting = [f"{home} {there.messages}" for home, there in found.waiting.items()]
        if waiting:
            lines.append(f"Mail on its way to: {', '.join(waiting)}.")
    return lines


def warnings_of(found: Status) -> list[str]:
    """Return the warnings as sentences."""
    return [f"{warned.subject}: {warned.warning} {warned.remedy}".rstrip() for warned in found.warnings]


def row_of(node: NodeView) -> tuple[object, ...]:
    """Return a node as cells."""
    told = node.figures
    return (
        node.name,
        roles_of(node),
        state_of(node),
        node.mailboxes,
        f"{told.load:.2f}" if told else "-",
        f"{told.disk:.0%}" if told else "-",
        told.queue if told and told.queue is not None else "-",
        told.sessions if told and told.sessions is not None else "-",
        health_of(node),
    )


def roles_of(node: NodeView) -> str:
    """Return a node's roles for a table."""
    return ", ".join(node.roles)


def state_of(node: NodeView) -> str:
    """Return in a few words whether a node is there and up to date."""
    if not node.joined:
        return "not joined"
    words = _reached(node)
    return words if node.life is Life.ACTIVE else f"{node.life}, {words}"


def _reached(node: NodeView) -> str:
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
