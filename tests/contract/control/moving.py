"""Two fake storage nodes that play their parts in moves, and a clock that a test turns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import world
from world import MS1, MS2, MX1, NS1

from roost.control import moves
from roost.control.authority import Authority
from roost.control.drainer import Drainer
from roost.control.followers import Followers
from roost.control.move_steps import Heard
from roost.control.mover import Mover
from roost.control.moves import Asked, Wanted
from roost.domain.cluster import Node
from roost.domain.desired import Table
from roost.domain.errors import RoostError
from roost.domain.evidence import Evidence, Folder
from roost.domain.move import Move, Order, Part, Said, State
from roost.ports.world import Record
from roost.store.store import SqlStore

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MS3 = "ms3.example.net"
NODES = (MX1, NS1, MS1, MS2, MS3)
KEY = Authority.create("example.net", NOON)


@dataclass
class Clock:
    """Stands still until it is turned."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at


@dataclass
class FakeWorld:
    """DNS that says what the test wants, by domain or zone; an error is raised."""

    records: dict[str, list[Record] | RoostError] = field(default_factory=dict)
    hosts: dict[str, frozenset[str]] = field(default_factory=dict)

    def mail_hosts(self, domain: str) -> list[Record]:
        return self._of(domain)

    def delegation(self, zone: str) -> list[Record]:
        return self._of(zone)

    def addresses(self, host: str) -> frozenset[str]:
        return self.hosts.get(host, frozenset())

    def _of(self, name: str) -> list[Record]:
        found = self.records.get(name, [])
        if isinstance(found, RoostError):
            raise found
        return found


@dataclass
class Bench:
    """A controller and nodes that hear and say what the test wants."""

    store: SqlStore
    clock: Clock = field(default_factory=Clock)
    followers: Followers = field(default_factory=Followers)
    authority: Authority = field(default_factory=lambda: Authority(*KEY))
    world: FakeWorld = field(default_factory=FakeWorld)

    def __post_init__(self) -> None:
        node = Node.parse(MS3, ["storage"], ["192.0.2.9"])
        with self.store.write("founder") as tx:
            tx.put_node(Node(node.name, node.roles, node.addresses, joined=True), "node added")
        self.restart()
        self.hear()

    def restart(self) -> None:
        """Another controller, which knows the store and nothing else."""
        self.mover = Mover(self.store, self.followers, self.clock, self.authority)
        self.drainer = Drainer(self.store, self.followers, self.clock, self.world)

    def hear(self, *names: str, positions: int | None = None, health: dict[str, str] | None = None) -> None:
        """Nodes ask for news, and so acknowledge all that there is, or all up to a revision."""
        with self.store.read() as view:
            upto = view.revision() if positions is None else positions
        tables = {str(table): upto for table in (*Table, "settings")}
        for name in names or NODES:
            self.followers.note(name, tables, health or {}, 0, self.clock.at)

    def later(self, *, heard: bool = True, **delta: float) -> None:
        """Turn the clock; the nodes are heard meanwhile."""
        self.clock.at += timedelta(**delta)
        if heard:
            self.hear()
        self.mover.tick()

    def ask(self, *texts: str, **wanted: object) -> Asked:
        """Ask for moves, and look at once what is due, as the API does."""
        named = [(str(world.address(text)), "") for text in texts]
        given = Wanted(mailboxes=named, **wanted)  # type: ignore[arg-type]
        asked = moves.ask(self.store, self.followers, "admin", given, self.clock.at)
        self.mover.tick()
        return asked

    def move(self, identity: int) -> Move:
        with self.store.read() as view:
            found = view.move(identity)
        assert found
        return found

    def states(self) -> list[State]:
        with self.store.read() as view:
            return [move.state for move in view.moves()]

    def order(self, identity: int, node: str) -> Order | None:
        """What a node's table tells it to do."""
        rows = world.Follower(Table.MOVES, node).catch_up(self.store)
        return Order.of_row(str(identity), rows[str(identity)]) if str(identity) in rows else None

    def say(self, identity: int, said: Said, *, attempt: int | None = None, words: str = "", body: str = "") -> bool:
        """The node whose part it is reports; ``attempt`` is by default that of the order."""
        move = self.move(identity)
        part = Part.SOURCE if said in {Said.MOVED, Said.HELD, Said.PASSED_ON} else Part.TARGET
        return self.report(identity, part, said, move.attempts if attempt is None else attempt, words, body)

    def report(self, identity: int, part: Part, said: Said, attempt: int, words: str = "", body: str = "") -> bool:
        move = self.move(identity)
        node = move.source if part is Part.SOURCE else move.target
        went_on = self.mover.take(node, [Heard(identity, part, said, attempt, words, body)])
        self.mover.tick()
        return went_on

    def drop(self, identity: int) -> None:
        """Both say that their part is undone."""
        for part in Part:
            self.report(identity, part, Said.DROPPED, self.move(identity).attempts)

    def until(self, identity: int, state: State) -> Move:
        """Play on until a move is in a state."""
        for _ in range(10):
            move = self.move(identity)
            if move.state is state:
                return move
            match move.state:
                case State.ASKED | State.PREPARING:
                    self.later(seconds=1)
                case State.COPYING:
                    self.say(identity, Said.READY)
                case State.HOLDING:
                    self.say(identity, Said.MOVED, body=proof())
                case State.SETTLING:
                    self.later(seconds=1)
                    self.later(seconds=61)
                    self.say(identity, Said.PASSED_ON, body='{"sessions":2,"idle":61}')
        raise AssertionError(f"{self.move(identity).state} and not {state}")


def evidence(messages: int = 3, *, deep: bool = False) -> Evidence:
    """A small mailbox."""
    return Evidence({"INBOX": Folder(7, messages + 1, messages, "aa", "d" * messages)}, {"quota": "x"}, deep=deep)


def proof(source: Evidence | None = None, target: Evidence | None = None) -> str:
    """The body of a source's report of the hand-over."""
    sides = {"source": source or evidence(), "target": target or evidence()}
    return json.dumps({**{side: json.loads(one.text()) for side, one in sides.items()}, "pause_ms": 120})
