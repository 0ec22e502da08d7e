"""Moves that do not get on: for the cluster at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from roost.control.mover import Mover
from roost.domain.move import Move, State
from roost.ports.store import Reader

PATIENCE = {
    State.PREPARING: timedelta(minutes=2),
    # Large mailboxes take their time; what keeps a copy from going on is told sooner.
    State.COPYING: timedelta(hours=6),
    State.HOLDING: timedelta(minutes=2),
    State.UNDOING: timedelta(minutes=5),
}
"""How long a move may be in a state before somebody should look at it."""

TROUBLED = timedelta(minutes=1)
"""How long a move may be in trouble: nodes try again by themselves, and mostly that is enough."""

_SHOWN = 10


def stuck(view: Reader, mover: Mover, now: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield subject, warning and remedy of moves that should be looked at, the oldest first and not very many."""
    found = [move for move in view.moves(states=PATIENCE, limit=10_000) if not move.paused]
    told = [(move, words) for move in found if (words := _words(move, mover.progress(move).trouble, now))]
    for move, words in told[:_SHOWN]:
        yield (
            f"move {move.id}",
            f"{move.address} from {move.source} to {move.target} is {move.state} {words}",
            f"See 'roost move show {move.id}'; 'roost move abort {move.id}' leaves the mailbox where it is.",
        )
    if len(told) > _SHOWN:
        yield "moves", f"{len(told) - _SHOWN} more do not get on.", "See 'roost move list'."


def _words(move: Move, trouble: str, now: datetime) -> str:
    """Say what is wrong; '' where nothing is."""
    waited = now - move.changed
    if waited < (TROUBLED if trouble else PATIENCE[move.state]):
        return ""
    return f"since {move.changed:%Y-%m-%d %H:%M:%S} UTC. {trouble or move.reason}".rstrip()
