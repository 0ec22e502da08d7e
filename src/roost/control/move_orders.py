"""Pause, resume and abort: what administrators want of moves that are open, one by one, of a batch, or of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from roost.control.move_steps import turned
from roost.control.moves import find
from roost.control.writing import Done, writing
from roost.domain.errors import Refused
from roost.domain.move import Move, State
from roost.ports.store import Reader, Step, Store

_CHUNK = 2000
_STOPPABLE = {State.ASKED, State.PREPARING, State.COPYING, State.HOLDING}


@dataclass(frozen=True)
class Which:
    """One move by its id, all open ones of a batch (``parent``), or with neither, all open ones."""

    id: int = 0
    parent: str = ""


def pause(store: Store, actor: str, which: Which, *, dry_run: bool = False) -> Done:
    """Begin no more passes, and begin no move that waits; a hand-over that has begun ends first."""

    def step(move: Move) -> Step | None:
        return None if move.paused else Step(move, replace(move, paused=True), "move paused")

    return _each(store, actor, which, step, "paused", dry_run=dry_run)


def resume(store: Store, actor: str, which: Which, *, dry_run: bool = False) -> Done:
    """Go on with what was paused."""

    def step(move: Move) -> Step | None:
        return Step(move, replace(move, paused=False), "move resumed") if move.paused else None

    return _each(store, actor, which, step, "resumed", dry_run=dry_run)


def abort(store: Store, actor: str, which: Which, now: datetime, *, dry_run: bool = False) -> Done:
    """Undo: the mailbox stays where it is. A source that has just given it away is believed; then it has moved."""
    reason = f"Aborted by {actor}."

    def step(move: Move) -> Step:
        state = State.UNDONE if move.state is State.ASKED else State.UNDOING
        return turned(move, state, now, reason=reason, aborting=True)

    return _each(store, actor, which, step, "aborted", dry_run=dry_run)


def _each(
    store: Store, actor: str, which: Which, step: Callable[[Move], Step | None], verb: str, *, dry_run: bool
) -> Done:
    """Take the step with every move that is meant."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        for some in _meant(tx, which, verb):
            steps = [found for move in some if (found := step(move))]
            if steps:
                done.revision = tx.put_moves(steps)
                done.did += [f"Move {one.new.id} of {one.new.address} {verb}." for one in steps]
    return done


def _meant(tx: Reader, which: Which, verb: str) -> Iterator[list[Move]]:
    """Yield the moves that are meant; raises ``Refused`` for a single one for which it is too late."""
    if which.id:
        move = find(tx, which.id)
        if move.state not in _STOPPABLE:
            over = move.state in {State.SETTLING, State.DONE}
            raise Refused(
                f"Move {move.id} is {move.state} and cannot be {verb}.",
                field="move",
                remedy=f"When it is done, 'roost move back {move.id}' moves the mailbox back." if over else "",
            )
        yield [move]
        return
    after = 0
    while some := tx.moves(states=_STOPPABLE, parent=which.parent, after=after, limit=_CHUNK):
        yield some
        after = some[-1].id
