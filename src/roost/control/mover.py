"""Moves on their way: takes what the nodes report, and looks every second for what has become due.

What a move is stands in the store, and every step is one transaction that looks again before it writes; so several
controllers may run this side by side, and one that is restarted goes on. In memory is only what nodes say again by
themselves: progress, dropped parts, who still comes to an old home.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from roost.control import move_steps
from roost.control.authority import Authority
from roost.control.followers import Followers, Seen
from roost.control.move_certificate import HandOver, issue
from roost.control.move_limits import Places, within
from roost.control.move_progress import Progress
from roost.control.move_steps import Heard, Settling
from roost.domain.cluster import Cluster, Role
from roost.domain.errors import Forbidden, Refused
from roost.domain.figures import Spread
from roost.domain.move import OPEN, UNDER_WAY, Move, Part, Said, State
from roost.ports.clock import Clock
from roost.ports.store import EPOCH, SETTINGS, Reader, Step, Store

_MANY = 10_000
_DOUBTED = "move doubted"
_BELIEVED = {State.COPYING, State.HOLDING, State.UNDOING}
"""States in which the source's word that it gave the mailbox away is acted on."""


@dataclass
class _Said:
    """What nodes said of one open move."""

    progress: Progress
    dropped: set[Part] = field(default_factory=set)
    complete: datetime | None = None
    """Since when every node has the new home."""


class Mover:
    """One for each controller; safe for threads."""

    def __init__(self, store: Store, followers: Followers, clock: Clock, authority: Authority) -> None:
        self._store = store
        self._followers = followers
        self._clock = clock
        self._authority = authority
        self._started = clock.now()
        self._lock = threading.RLock()
        self._said: dict[int, _Said] = {}
        self._pauses = Spread("roost_move_pause_seconds")
        self._awaited: frozenset[str] = frozenset()
        self._fruitless: object = None
        self._cluster: tuple[object, Cluster] | None = None

    def progress(self, move: Move) -> Progress:
        """Return how a move is going."""
        with self._lock:
            said = self._said.get(move.id)
            progress = said.progress if said else Progress.of_text(move.progress)
        if move.state is State.PREPARING:
            # What the target says meanwhile follows from it.
            return replace(progress, trouble=self._unprepared(move))
        return progress

    def _unprepared(self, move: Move) -> str:
        """Say which nodes have not taken their orders yet, and why."""
        seen, now = self._followers.everybody(), self._clock.now()
        words = []
        for name in move_steps.unprepared(move, seen):
            node = seen.get(name, Seen())
            why = " ".join(node.health.values()) if node.connected(now) else "It is not connected."
            words.append(f"{name} has not taken its orders yet. {why}".rstrip())
        return " ".join(words)

    def pauses(self) -> Spread:
        """Return for how long hand-overs closed mailboxes, since this controller began."""
        with self._lock:
            return self._pauses.copy()

    def awaits(self, node: str) -> bool:
        """Say whether a move waits for this node to have its orders: a cheap question, for each acknowledgement."""
        return node in self._awaited

    # What nodes report

    def take(self, node: str, reports: Sequence[Heard]) -> bool:
        """Take down what a node reports; True where a move went on.

        Any report may come again. Raises ``Forbidden`` where the node has no such part, and, after all else was
        taken, ``Refused`` where a hand-over cannot be believed.
        """
        now, due, doubts = self._clock.now(), [], []
        with self._lock, self._store.read() as view:
            for heard in reports:
                move = view.move(heard.move)
                if move is None:
                    if heard.said is Said.MOVED:
                        doubts.append(f"{node} gave a mailbox away for the move {heard.move}, which nobody knows.")
                    continue
                if node != (move.source if heard.part is Part.SOURCE else move.target):
                    raise Forbidden(f"{node} is not the {heard.part} of the move {move.id}.")
                self._note(move, heard)
                if self._answer(move, heard, now):
                    due.append(heard)
        if due:
            with self._lock, self._store.write(f"node {node}") as tx:
                for heard in due:
                    move = tx.move(heard.move)
                    step = self._answer(move, heard, now) if move else None
                    if step and step.new != step.old:
                        tx.put_moves([step])
                        if step.new.state is State.SETTLING:
                            self._pauses.take(self._of(step.new).progress.pause_ms / 1000)
                        self._forget(step)
                    if step and step.verb == _DOUBTED:
                        doubts.append(f"Move {step.new.id}: {step.new.reason}")
        if doubts:
            raise Refused(" ".join(doubts), remedy="Compare the mailbox on both nodes; see 'roost move show'.")
        return bool(due)

    def _note(self, move: Move, heard: Heard) -> None:
        """Remember what needs no step."""
        if not move.open:
            return
        said = self._of(move)
        if heard.said in {Said.COPYING, Said.READY} and heard.body:
            said.progress = said.progress.copied(heard.body, heard.words)
        elif heard.said is Said.PASSED_ON and move.state is State.SETTLING:
            said.progress = said.progress.settled(heard.body)
        elif heard.said is Said.DROPPED and move.state is State.UNDOING:
            said.dropped.add(heard.part)

    def _answer(self, move: Move, heard: Heard, now: datetime) -> Step | None:
        """Return the step that a report brings."""
        if heard.said is Said.MOVED:
            return self._moved(move, heard, now)
        step = self._undone(move, self._followers.everybody(), now) if move.state is State.UNDOING else None
        step = step or move_steps.upon(move, heard, now)
        return step and self._with_progress(step)

    def _moved(self, move: Move, heard: Heard, now: datetime) -> Step | None:
        """Take down the hand-over, or, where the two sides' evidence differs, that it is in doubt."""
        if move.state not in _BELIEVED or heard.part is not Part.SOURCE:
            return None
        over = HandOver.of_body(heard.body)
        if faults := over.faults(move):
            reason = f"{move.source} gave the mailbox away, but the proof does not hold: {' '.join(faults[:5])}"
            return Step(move, replace(move, reason=reason), _DOUBTED)
        said = self._of(move)
        said.progress = replace(said.progress, pause_ms=over.pause_ms, trouble="")
        step = move_steps.turned(
            move, State.SETTLING, now, certificate=issue(move, over, self._authority, now), aborting=False
        )
        return self._with_progress(step)

    def _with_progress(self, step: Step) -> Step:
        """Write the progress down with the step."""
        said = self._said.get(step.new.id)
        return replace(step, new=replace(step.new, progress=said.progress.text())) if said else step

    def _of(self, move: Move) -> _Said:
        return self._said.setdefault(move.id, _Said(Progress.of_text(move.progress)))

    def _forget(self, step: Step) -> None:
        if not step.new.open:
            self._said.pop(step.new.id, None)

    # What becomes due

    def tick(self) -> bool:
        """Take every step that is due; True where there was one. Costs one look into an index where nothing moves."""
        now = self._clock.now()
        with self._lock:
            with self._store.read() as view:
                if not view.count_moves(OPEN):
                    self._said.clear()
                    self._awaited = frozenset()
                    return False
                due = self._due(view, now)
            if not due:
                return False
            with self._store.write("controller") as tx:
                due = self._due(tx, now)
                if due:
                    tx.put_moves(due)
            for step in due:
                self._forget(step)
            return bool(due)

    def _due(self, view: Reader, now: datetime) -> list[Step]:
        self._followers.learn(view.positions())
        cluster, seen, steps = self._picture(view), self._followers.everybody(), []
        awaited: set[str] = set()
        for move in view.moves(states=(State.PREPARING, State.SETTLING, State.UNDOING), limit=_MANY):
            if move.state is State.PREPARING:
                step = move_steps.prepared(move, seen, now)
            elif move.state is State.UNDOING:
                step = self._undone(move, seen, now)
            else:
                step = self._settled(move, cluster, seen, now)
            if step:
                steps.append(self._with_progress(step))
            elif move.state is State.PREPARING:
                awaited |= {move.source, move.target}
        begun = self._begun(view, cluster, seen, now)
        self._awaited = frozenset(awaited | {name for step in begun for name in (step.new.source, step.new.target)})
        return steps + begun

    def _undone(self, move: Move, seen: Mapping[str, Seen], now: datetime) -> Step | None:
        waited = now - max(move.changed, self._started)
        said = self._said.get(move.id)
        return move_steps.undone(move, said.dropped if said else (), seen, now, waited=waited)

    def _settled(self, move: Move, cluster: Cluster, seen: Mapping[str, Seen], now: datetime) -> Step | None:
        said, without = self._of(move), move_steps.lacking(move, cluster, seen)
        said.complete = None if without else said.complete or now
        settling = Settling(without, said.complete, said.progress.idle)
        return move_steps.settled(move, settling, cluster.policy.ttl, now)

    def _begun(self, view: Reader, cluster: Cluster, seen: Mapping[str, Seen], now: datetime) -> list[Step]:
        """Begin what the limits and the hours allow, the longest waiting first.

        Where nothing could begin, it is looked for again only when something has changed.
        """
        nodes = cluster.with_role(Role.STORAGE)
        able = frozenset(n.name for n in nodes if n.joined and seen.get(n.name, Seen()).connected(now))
        policy = cluster.policy
        looked = (view.revision(), able, now.hour)
        if looked == self._fruitless or not within(policy.move_hours, now):
            return []
        places = Places(policy, view.count_moves(UNDER_WAY))
        waiting: list[Move] = []
        for source, target in view.count_moves([State.ASKED], paused=False):
            free = places.free(source, target)
            if free and {source, target} <= able:
                waiting += view.moves(states=[State.ASKED], pair=(source, target), paused=False, limit=free)
        steps = [
            move_steps.turned(move, State.PREPARING, now)
            for move in sorted(waiting, key=lambda move: move.id)
            if places.take(move.source, move.target)
        ]
        self._fruitless = None if steps else looked
        return steps

    def _picture(self, view: Reader) -> Cluster:
        """Return everything small, read again only where it has changed."""
        of = (view.value(EPOCH), view.head(SETTINGS, ""))
        if self._cluster is None or self._cluster[0] != of:
            self._cluster = (of, view.cluster())
        return self._cluster[1]
