"""Waiting for moves, with their progress on the terminal: a line for each that is under way, a bar for a batch.

A move is waited for until its mailbox is at home on the target, or stays where it is. What follows (old DNS answers
expire, the old home passes on who still comes) needs nobody's attention.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from roost.cli.output import REFUSED, UNAVAILABLE, Output, columns_of
from roost.cli.safe_text import show_size
from roost.domain.errors import Unavailable
from roost.domain.move import State

if TYPE_CHECKING:
    from roost.wire.client import AdminClient
    from roost.wire.move_resources import MoveView

_EVERY_SECONDS = 0.5
_ONE_BY_ONE = 10
"""So few moves are asked for each by itself."""

_PAGE = 1000
_LINES = 12
_BAR = 30
_TOLD = 20
_AT_THE_TARGET = (State.SETTLING, State.DONE)
_COMING = (State.ASKED, State.PREPARING, State.COPYING, State.HOLDING, State.UNDOING)


@dataclass
class Watched:
    """Moves that are waited for: what was last seen of those that are under way, and of those that have ended."""

    total: int
    coming: list[MoveView] = field(default_factory=list)
    ended: dict[int, MoveView] = field(default_factory=dict)

    @property
    def stayed(self) -> list[MoveView]:
        """Return those whose mailbox stays where it was."""
        return [move for move in self.ended.values() if move.state is State.UNDONE]

    @property
    def status(self) -> int:
        """Return the exit status."""
        if self.stayed:
            return REFUSED
        return UNAVAILABLE if len(self.ended) < self.total else 0


def watch(
    client: AdminClient,
    out: Output,
    ids: Sequence[int],
    parent: str,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Watched:
    """Wait for moves, at most so long, and tell how each ended; the last of these are told together where many."""
    began, watched, pending = clock(), Watched(len(ids)), set(ids)
    with out.screen() as screen:
        while True:
            try:
                found = _look(client, pending, parent)
                watched.coming = [move for move in found if move.state in _COMING]
                for move in found:
                    if move.state not in _COMING:
                        pending.discard(move.id)
                        watched.ended[move.id] = move
                        if len(watched.ended) <= _TOLD or move.state is State.UNDONE:
                            out.say(ended_sentence(move))
                screen.show(lines_of(watched))
            except Unavailable as error:
                # The moves go on without the controller, so does the watching.
                screen.show([f"{error.message} The moves go on; waiting for it."])
            if not pending or clock() - began >= seconds:
                break
            time.sleep(_EVERY_SECONDS * max(1, len(watched.coming) // _PAGE))
    if len(watched.ended) > _TOLD:
        out.say(f"{len(watched.ended) - len(watched.stayed)} mailboxes have moved, {len(watched.stayed)} have not.")
    if pending:
        out.warn(f"{len(pending)} moves are still under way: see 'roost move list', 'roost move watch'.")
    return watched


def _look(client: AdminClient, pending: set[int], parent: str) -> list[MoveView]:
    """Return the moves as they are. Of a batch only those that have just ended are asked for each by itself."""
    found: list[MoveView] = []
    if parent and len(pending) > _ONE_BY_ONE:
        more = True
        while more:
            page = client.moves(states=_COMING, parent=parent, after=found[-1].id if found else 0, limit=_PAGE)
            found += page
            more = len(page) == _PAGE
        found = [move for move in found if move.id in pending]
    rest = pending - {move.id for move in found}
    return found + [client.move(identity) for identity in sorted(rest)]


def ended_sentence(move: MoveView) -> str:
    """Return how a move ended."""
    if move.state in _AT_THE_TARGET:
        return f"{move.address} is at home on {move.target} (move {move.id}; closed for {move.pause_ms} ms)."
    return f"{move.address} stays on {move.source} (move {move.id}). {move.reason}".rstrip()


def lines_of(watched: Watched) -> list[str]:
    """Return what the screen shows: the moves under way, and how many of all have ended."""
    under_way = [move for move in watched.coming if move.state is not State.ASKED] or watched.coming
    lines = columns_of([row_of(move) for move in under_way[:_LINES]])
    if len(under_way) > _LINES:
        lines.append(f"... and {len(under_way) - _LINES} more under way")
    if watched.total > 1:
        done = len(watched.ended)
        full = _BAR * done // watched.total
        lines.append(f"[{'#' * full}{'.' * (_BAR - full)}] {done} of {watched.total}")
    return lines


def row_of(move: MoveView) -> tuple[str, ...]:
    """Return a move's progress as cells: pass, messages, bytes, rate, expected pause."""
    found = move.progress
    return (
        move.address,
        found.phase,
        f"pass {found.passes + 1}" if move.state is State.COPYING else "",
        f"{found.messages}/{found.total_messages} messages" if found.total_messages else "",
        f"{show_size(found.bytes)} of {show_size(found.total_bytes)}" if found.total_bytes else "",
        f"{show_size(found.rate)}/s" if found.rate else "",
        f"pause about {found.expected_pause_ms} ms" if found.expected_pause_ms else "",
        found.trouble,
    )


def open_ids(moves: Iterable[MoveView]) -> list[int]:
    """Return the ids of those that can be waited for."""
    return [move.id for move in moves if move.state in _COMING]
