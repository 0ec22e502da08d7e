"""Nodes that are drained: looks every few seconds what is left on them, and has their mailboxes move away.

What should be stands in the store (``roost.domain.node_life``), and every look begins with it; so several controllers
may run this side by side, and one that is restarted goes on. Moves are asked for some at a time, so that each goes
where there is room when its turn comes, and the mover keeps to the policy's limits. In memory is what can be seen
again: since when a queue is empty, who has been told, how fast it goes.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from roost.control import nodes
from roost.control.drain_steps import MX_ROLES, STALLED, Found, Rest, Sighting, again, notes, rests, turned
from roost.control.followers import SILENT, Followers
from roost.control.move_limits import within
from roost.control.moves import ask_away
from roost.domain.cluster import Cluster, Mailbox, Node, Role
from roost.domain.errors import Unavailable
from roost.domain.move import OPEN, Move, State
from roost.domain.names import Address
from roost.domain.node_life import Life
from roost.domain.ties import Ties
from roost.ports.clock import Clock
from roost.ports.store import SETTINGS, Reader, Store, Writer
from roost.ports.world import Record, World

_ASKED_LEAST, _ASKED_MOST = 200, 1000
"""So many moves of a node wait for their turn: where there are fewer than the first, more are asked for."""

_CHUNK = 2000
_ASK_WORLD = timedelta(seconds=30)
_QUESTIONS = 16
"""Domains of which DNS is asked at once."""

_SAMPLE = timedelta(seconds=10)
_SAMPLES = 180
_FAILED_MOST = 100


@dataclass
class _Watched:
    """What was seen of one node that is drained."""

    complete: datetime | None = None
    idle: datetime | None = None
    asked_world: datetime | None = None
    unanswered: tuple[str, ...] = ()
    without: dict[Address, str] = field(default_factory=dict)
    """Mailboxes for which no move could be asked, and why."""

    samples: deque[tuple[datetime, int, int]] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    """When there were how many mailboxes, of how many bytes."""

    picture: object = None
    changed: datetime | None = None
    """Since when what is left has been the same."""

    fruitless: object = None


@dataclass(frozen=True)
class Progress:
    """How far a drain is.

    ``moves`` counts those of its batch by state, ``failed`` are mailboxes that still live there after a move was
    tried, with the reason; ``seconds`` is what it may take until the last has moved, None where that cannot be told
    yet. ``stalled`` is since when nothing has changed, None where it goes on.
    """

    node: Node
    mailboxes: int
    bytes: int
    moves: dict[State, int]
    failed: dict[Address, str]
    rests: tuple[Rest, ...]
    notes: tuple[str, ...]
    seconds: int | None
    stalled: datetime | None


class Drainer:
    """One for each controller; safe for threads."""

    def __init__(self, store: Store, followers: Followers, clock: Clock, world: World) -> None:
        self._store = store
        self._followers = followers
        self._clock = clock
        self._world = world
        self._started = clock.now()
        self._lock = threading.RLock()
        self._watched: dict[tuple[str, datetime | None], _Watched] = {}

    def tick(self) -> bool:
        """Do what is due; True where something changed. Costs one look at the nodes where none is drained."""
        with self._store.read() as view:
            leaving = [node for node in view.cluster().nodes if node.life is Life.DRAINING]
        with self._lock:
            self._watched = {_drain(node): self._of(node) for node in leaving}
        changed = False
        for node in leaving:
            # Others may take long to answer; nobody who asks how far it is waits for them.
            self._ask_world(node)
            with self._lock:
                changed |= self._bring_on(node)
        return changed

    def _bring_on(self, node: Node) -> bool:
        now = self._clock.now()
        with self._store.read() as view:
            due, left = self._is_due(view, node, now), self._rests(view, node, now)
            self._sample(view, node, left, now)
        if not due and left:
            return False
        with self._store.write("controller") as tx:
            mine = next((other for other in tx.cluster().nodes if other.name == node.name), None)
            if mine != node:
                return False
            if not left and not self._rests(tx, node, now):
                tx.put_node(turned(node, Life.DRAINED, now), "node drained")
                return True
            return due and self._ask_moves(tx, node, now)

    def _of(self, node: Node) -> _Watched:
        return self._watched.setdefault(_drain(node), _Watched())

    # Mailboxes

    def _is_due(self, view: Reader, node: Node, now: datetime) -> bool:
        """Say whether more moves are to be asked for."""
        watched = self._of(node)
        looked = (view.revision(), now.replace(second=0, microsecond=0))
        if not node.batch or not view.count_mailboxes(home=node.name) or watched.fruitless == looked:
            return False
        waiting = view.count_moves([State.ASKED])
        if sum(count for (source, _), count in waiting.items() if source == node.name) >= _ASKED_LEAST:
            return False
        watched.fruitless = looked
        return True

    def _ask_moves(self, tx: Writer, node: Node, now: datetime) -> bool:
        pages = self._movable(tx, node, now)
        count, without = ask_away(
            tx, self._followers, pages, home=node.name, parent=node.batch, most=_ASKED_MOST, now=now
        )
        self._of(node).without = without
        return bool(count)

    def _movable(self, view: Reader, node: Node, now: datetime) -> Iterator[list[Mailbox]]:
        """Yield in chunks mailboxes that may be moved now: they are not pinned there nor being moved, and have not
        just failed to."""
        resting = {
            number
            for number, failed in _undone(view, node.batch).items()
            if now < failed[-1].changed + again(len(failed))
        }
        after = ""
        while page := view.mailboxes(home=node.name, after=after, limit=_CHUNK):
            moving = view.open_moves(mailbox.number for mailbox in page)
            held = resting.union(moving)
            yield [one for one in page if one.number not in held and one.ties.pin != node.name]
            after = str(page[-1].address)

    # What is left

    def _rests(self, view: Reader, node: Node, now: datetime) -> tuple[Rest, ...]:
        self._followers.learn(view.positions())
        cluster, watched, seen = view.cluster(), self._of(node), self._followers.everybody()
        head = view.head(SETTINGS, "")
        others = [
            other.name
            for other in cluster.nodes
            if other.joined
            and other.name in seen
            and seen[other.name].connected(now)
            and seen[other.name].positions.get(SETTINGS, 0) < head
        ]
        if not others and now - self._started >= SILENT:
            # Whoever is there has been heard by now. Once is enough: what follows later is another change.
            watched.complete = watched.complete or now
        here = self._followers.seen(node.name)
        watched.idle = watched.idle or now if here.connected(now) and here.glance.queue == 0 else None
        found = Found(
            mailboxes=view.count_mailboxes(home=node.name),
            pinned=view.count_mailboxes(home=node.name, ties=Ties(pin=node.name)),
            moves=_naming(view, node.name),
            seen=here,
            others=() if watched.complete else others,
            complete=watched.complete,
            idle=watched.idle,
            records=_sightings(view, node.name),
            looked=watched.asked_world is not None,
            unanswered=watched.unanswered,
        )
        return tuple(rests(node, found, now))

    def _sample(self, view: Reader, node: Node, left: tuple[Rest, ...], now: datetime) -> None:
        """Note how far it is, to know how fast it goes and whether it does."""
        watched = self._of(node)
        mailboxes = view.count_mailboxes(home=node.name)
        picture = (mailboxes, _naming(view, node.name), left)
        waits = any(rest.until for rest in left) or not within(view.cluster().policy.move_hours, now)
        if picture != watched.picture or waits:
            watched.picture, watched.changed = picture, now
        if node.batch and (not watched.samples or now - watched.samples[-1][0] >= _SAMPLE):
            watched.samples.append((now, mailboxes, view.bytes_at(node.name)))

    def stalled(self, node: Node, now: datetime) -> datetime | None:
        """Return since when nothing has changed on a node that is drained; None where that is not for long."""
        with self._lock:
            changed = self._of(node).changed
            return changed if changed and now - changed >= STALLED else None

    def progress(self, name: str) -> Progress:
        """Return how far a node is; raises ``NotFound``."""
        now = self._clock.now()
        with self._lock, self._store.read() as view:
            cluster = view.cluster()
            node = nodes.find(cluster, name)
            watched = self._of(node)
            left = self._rests(view, node, now) if node.life is Life.DRAINING else ()
            counts = {state: sum(view.count_moves([state], parent=node.batch).values()) for state in State}
            return Progress(
                node=node,
                mailboxes=view.count_mailboxes(home=node.name),
                bytes=view.bytes_at(node.name),
                moves={state: count for state, count in counts.items() if count and node.batch},
                failed={**_failed(view, node), **watched.without},
                rests=left,
                notes=tuple(notes(node, cluster)) if node.life.leaving else (),
                seconds=seconds_left(watched.samples),
                stalled=self.stalled(node, now),
            )

    # What the world's DNS says

    def naming(self, name: str) -> list[str]:
        """Ask now which records of the world name a node, and return it in sentences; raises ``NotFound``."""
        with self._store.read() as view:
            cluster = view.cluster()
        records, unanswered = naming(self._world, cluster, nodes.find(cluster, name))
        return [f"The record must go: {record.text}" for record in records] + list(unanswered)

    def _ask_world(self, node: Node) -> None:
        """Ask now and then which records name the node. They are written down, since they may be remembered."""
        watched, now = self._of(node), self._clock.now()
        if not node.roles & (MX_ROLES | {Role.DNS}):
            return
        if watched.asked_world is not None and now - watched.asked_world < _ASK_WORLD:
            return
        with self._store.read() as view:
            cluster, known = view.cluster(), _sightings(view, node.name)
        records, unanswered = naming(self._world, cluster, node)
        seen = {
            record.text: Sighting(record.text, there=True, until=now + timedelta(seconds=record.ttl))
            for record in records
        }
        for old in known:
            if old.text in seen:
                # Its TTL may have been lowered just now.
                seen[old.text] = replace(seen[old.text], until=max(old.until, seen[old.text].until))
            elif now < old.until:
                seen[old.text] = replace(old, there=False)
        if seen or known:
            self._store.put_value(_key(node.name), _text(seen.values()))
        watched.asked_world, watched.unanswered = now, unanswered


def naming(world: World, cluster: Cluster, node: Node) -> tuple[list[Record], tuple[str, ...]]:
    """Return the records of the world that lead to a node, and in sentences what could not be asked.

    An MX record names it also where its host is another name for the node's address.
    """

    def is_it(host: str) -> bool:
        if host == node.name or any(host == other.name for other in cluster.nodes):
            return host == node.name
        return not world.addresses(host).isdisjoint(node.addresses)

    def ask(question: tuple[str, str]) -> tuple[list[Record], str]:
        kind, name = question
        try:
            records = world.mail_hosts(name) if kind == "MX" else world.delegation(name)
            return [record for record in records if is_it(record.host)], ""
        except Unavailable as error:
            return [], f"{name} {kind} cannot be asked: {error.message}"

    questions: list[tuple[str, str]] = []
    if node.roles & MX_ROLES:
        questions += [("MX", domain.name) for domain in cluster.domains]
    if Role.DNS in node.roles:
        questions += [("NS", zone) for zone in (cluster.domain, *(domain.access_zone for domain in cluster.domains))]
    with ThreadPoolExecutor(_QUESTIONS, "ask world") as pool:
        answers = list(pool.map(ask, questions))
    return [record for records, _ in answers for record in records], tuple(words for _, words in answers if words)


def seconds_left(samples: Iterable[tuple[datetime, int, int]]) -> int | None:
    """Return how long it takes at the rate of the samples (time, mailboxes, bytes); of both, the longer.

    None where they say nothing: too few, or nothing has moved.
    """
    found = list(samples)
    if not found:
        return None
    (began, *first), (ended, *last) = found[0], found[-1]
    passed = (ended - began).total_seconds()
    if not last[0]:
        return 0
    left = [
        now * passed / (before - now)
        for before, now in zip(first, last, strict=True)
        if now and before > now and passed
    ]
    return round(max(left)) if left else None


def _undone(view: Reader, batch: str) -> dict[int, list[Move]]:
    """Return the moves of a batch that came to nothing, by their mailboxes' numbers, the oldest first."""
    found: dict[int, list[Move]] = {}
    after = 0
    while some := view.moves(states=[State.UNDONE], parent=batch, after=after, limit=_CHUNK):
        for move in some:
            found.setdefault(move.number, []).append(move)
        after = some[-1].id
    return found


def _failed(view: Reader, node: Node) -> dict[Address, str]:
    """Return the first mailboxes that still live on the node after a move of its batch, with the last reason."""
    found: dict[Address, str] = {}
    for moves in _undone(view, node.batch).values() if node.batch else ():
        last = moves[-1]
        mailbox = view.mailbox(last.address)
        if mailbox and (mailbox.number, mailbox.home) == (last.number, node.name):
            found[last.address] = last.reason
        if len(found) == _FAILED_MOST:
            break
    return found


def _naming(view: Reader, name: str) -> dict[State, int]:
    """Count the open moves that name a node, by state."""
    counts = Counter[State]()
    for state in OPEN:
        for pair, count in view.count_moves([state]).items():
            counts[state] += count if name in pair else 0
    return {state: count for state, count in counts.items() if count}


def _drain(node: Node) -> tuple[str, datetime | None]:
    """Return what tells this drain from an earlier one of the node."""
    return node.name, node.since


def _key(node: str) -> str:
    return f"records {node}"


def _sightings(view: Reader, node: str) -> list[Sighting]:
    found = json.loads(view.value(_key(node)) or "[]")
    return [Sighting(text, there, datetime.fromisoformat(until)) for text, there, until in found]


def _text(sightings: Iterable[Sighting]) -> str:
    return json.dumps([(one.text, one.there, one.until.isoformat()) for one in sightings])


def each_stalled(drainer: Drainer, cluster: Cluster, now: datetime) -> Iterator[tuple[Node, datetime]]:
    """Yield nodes whose drain does not go on, and since when."""
    for node in cluster.nodes:
        since = drainer.stalled(node, now) if node.life is Life.DRAINING else None
        if since:
            yield node, since
