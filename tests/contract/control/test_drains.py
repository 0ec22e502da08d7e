"""Nodes are drained, had back and retired: what the store says, what moves, and when nothing is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import world
from moving import MS3, NODES, Bench
from world import MS1, MS2, MX1, NS1

from roost.control import domains, mailboxes, moves, node_lives, nodes
from roost.control.drain_steps import AGAIN, STALLED
from roost.control.drainer import Progress
from roost.control.figures import figures
from roost.control.probes import Probes
from roost.control.receipts import receipt
from roost.control.status import status
from roost.domain.cluster import Node
from roost.domain.errors import Refused, StillInUse, Unavailable
from roost.domain.figures import Figure, Glance, Told
from roost.domain.move import OPEN, Said, State
from roost.domain.node_life import Life
from roost.ports.world import Record
from roost.store.store import SqlStore

MX2, LOG1 = "mx2.example.net", "log1.example.net"
EMPTY = Glance(at=1.0, queue=0)


class Drain(Bench):
    """A bench on which nodes are drained; every queue is empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, role, address in ((MX2, "mx", "192.0.2.21"), (LOG1, "log", "192.0.2.22")):
            node = Node.parse(name, [role], [address])
            with self.store.write("founder") as tx:
                tx.put_node(Node(node.name, node.roles, node.addresses, joined=True), "node added")
        # The controller has been up for a while, and has heard everybody.
        self.clock.at += timedelta(minutes=1)
        self.hear()

    def hear(self, *names: str, positions: int | None = None, health: dict[str, str] | None = None) -> None:
        super().hear(*(names or (*NODES, MX2, LOG1)), positions=positions, health=health)
        for name in names or (*NODES, MX2, LOG1):
            self.followers.look(name, EMPTY, self.clock.at)

    def drain(self, name: str) -> None:
        node_lives.drain(self.store, "admin", name, self.clock.at)
        self.turn()

    def turn(self, **delta: float) -> None:
        """Time passes, everybody is heard, and both loops have a turn."""
        self.later(**delta)
        self.drainer.tick()
        self.mover.tick()

    def node(self, name: str) -> Node:
        with self.store.read() as view:
            return nodes.find(view.cluster(), name)

    def left(self, name: str) -> list[str]:
        return [rest.what for rest in self.progress(name).rests]

    def progress(self, name: str) -> Progress:
        return self.drainer.progress(name)

    def play(self, *, but: str = "") -> None:
        """Bring all open moves to their ends, but those of one mailbox."""
        for _ in range(20):
            with self.store.read() as view:
                waiting = [move for move in view.moves(states=OPEN) if move.address.local != but]
            if not waiting:
                return
            for move in waiting:
                if self.move(move.id).open:
                    self.until(move.id, State.DONE)


@pytest.fixture
def bench(store: SqlStore) -> Drain:
    world.add(store, "anna", "ben", "cleo")
    return Drain(store)


def test_a_store_is_emptied_and_may_be_switched_off(bench: Drain) -> None:
    """Every mailbox moves away as part of one batch; then nothing is left, and nobody waits for the node."""
    bench.drain(MS1)
    node = bench.node(MS1)
    assert (node.life, node.since, bool(node.batch)) == (Life.DRAINING, bench.clock.at, True)
    assert bench.left(MS1) == ["mailboxes", "moves", "queue"]
    bench.turn(seconds=10)
    bench.play()
    progress = bench.progress(MS1)
    assert (progress.mailboxes, progress.moves, progress.failed) == (0, {State.DONE: 3}, {})
    bench.turn(minutes=2)
    assert bench.node(MS1).life is Life.DRAINED
    with bench.store.read() as view:
        assert {move.parent for move in view.moves()} == {node.batch}
        assert view.homes() == {MS2: 2, MS3: 1} or view.homes() == {MS2: 1, MS3: 2}
        revision = view.revision()
        verbs = [event.verb for event in view.events_of(MS1)]
    assert verbs[-2:] == ["node draining", "node drained"]
    bench.clock.at += timedelta(minutes=5)
    bench.hear(*(name for name in NODES if name != MS1), MX2, LOG1)
    told = status(
        bench.store, bench.followers, bench.mover, bench.drainer, Probes(bench.clock.at), now=bench.clock.at
    )
    assert MS1 not in {warned.subject for warned in told.warnings}, "it is off, and nobody notices"
    names = {one.name for one in figures(told, bench.mover.pauses(), 0.0) if _tells_of(one, MS1)}
    assert {"roost_node_leaving", "roost_node_joined"} <= names
    assert "roost_node_connected" not in names
    assert MS1 not in {line.node for line in receipt(bench.store, bench.followers, revision, bench.clock.at).lines}


def _tells_of(told: Told, node: str) -> bool:
    return isinstance(told, Figure) and told.labels == (node,)


def test_nothing_new_comes_to_a_node_that_leaves(bench: Drain) -> None:
    """No mailbox is placed there, no move goes there, asked for or chosen, and no way back leads there."""
    [there] = bench.ask("ben", to=MS2).ids
    bench.until(there, State.DONE)
    bench.drain(MS1)
    for name in ("dora", "emil", "fritz", "gerd"):
        mailboxes.add(bench.store, "admin", mailboxes.Wanted(f"{name}@example.com", "a secret of hers"))
    wanted = mailboxes.Wanted("hans@example.com", "a secret of his", home=MS1)
    with pytest.raises(Refused, match=f"{MS1} is draining"):
        mailboxes.add(bench.store, "admin", wanted)
    with pytest.raises(Refused, match=f"{MS1} is draining"):
        bench.ask("ben", to=MS1)
    with pytest.raises(Refused, match="is draining"):
        moves.back(bench.store, bench.followers, "admin", there, bench.clock.at)
    bench.turn(seconds=5)
    bench.play()
    with bench.store.read() as view:
        assert MS1 not in view.homes()


def test_a_node_is_had_back(bench: Drain) -> None:
    """What has not begun is taken back, what moved stays; a second call of either finds nothing to do."""
    with bench.store.write("admin") as tx:
        cluster = tx.cluster()
        tx.set_cluster(cluster.domain, replace(cluster.policy, moves=1))
    bench.hear()
    bench.drain(MS1)
    bench.turn(seconds=1)
    [first] = [n for n, state in enumerate(bench.states(), 1) if state is not State.ASKED]
    with bench.store.read() as view:
        identity = view.moves()[first - 1].id
    bench.until(identity, State.SETTLING)
    assert node_lives.drain(bench.store, "admin", MS1, bench.clock.at).revision == 0
    done = node_lives.undrain(bench.store, "admin", MS1, bench.clock.at)
    assert done.did[0] == f"Node {MS1} is active again."
    assert any("stay where they are" in words for words in done.did)
    assert (bench.node(MS1).life, bench.node(MS1).batch) == (Life.ACTIVE, "")
    assert State.ASKED not in bench.states()
    bench.turn(seconds=5)
    assert State.ASKED not in bench.states(), "no more are asked for"
    assert node_lives.undrain(bench.store, "admin", MS1, bench.clock.at).revision == 0


def test_a_failed_move_is_named_and_tried_again(bench: Drain) -> None:
    bench.drain(MS1)
    bench.turn(seconds=1)
    with bench.store.read() as view:
        [anna] = view.moves(address="anna@example.com")
    bench.until(anna.id, State.COPYING)
    bench.say(anna.id, Said.REFUSED, words="There is no room.")
    bench.drop(anna.id)
    bench.play(but="anna")
    bench.turn(seconds=30)
    assert dict(bench.progress(MS1).failed)[anna.address].endswith("There is no room.")
    assert [state for state in bench.states() if state in {State.ASKED, *OPEN}] == []
    for _ in range(2):
        bench.turn(seconds=AGAIN.total_seconds() + 61)
    bench.play()
    bench.turn(minutes=2)
    assert bench.progress(MS1).failed == {}
    assert bench.node(MS1).life is Life.DRAINED


def test_a_mailbox_that_cannot_be_moved_is_named(bench: Drain) -> None:
    """It keeps the node from being drained; after a while that is a warning."""
    mailboxes.change(bench.store, "admin", "anna@example.com", suspended=True)
    domains.change(bench.store, "admin", "example.com", suspended=domains.Suspended("refuse"))
    bench.hear()
    bench.drain(MS1)
    bench.turn(seconds=1)
    bench.play(but="anna")
    bench.turn(minutes=2)
    assert "is suspended" in bench.progress(MS1).failed[world.address("anna")]
    assert bench.left(MS1) == ["mailboxes"]
    bench.turn(seconds=STALLED.total_seconds() + 1)
    told = status(
        bench.store, bench.followers, bench.mover, bench.drainer, Probes(bench.clock.at), now=bench.clock.at
    )
    assert "drain-stuck" in {warned.name for warned in told.warnings}


def test_another_controller_goes_on(bench: Drain) -> None:
    bench.drain(MS1)
    bench.restart()
    bench.turn(seconds=5)
    bench.play()
    bench.restart()
    bench.turn(seconds=5)
    assert bench.node(MS1).life is Life.DRAINING, "it has yet to see that the queue stays empty"
    bench.turn(minutes=2)
    assert bench.node(MS1).life is Life.DRAINED


def test_the_last_one_is_refused_and_the_controller(bench: Drain) -> None:
    for name in (NS1, MX1, MX2):
        if name == MX2:
            with pytest.raises(StillInUse, match="last node in the role mx"):
                node_lives.drain(bench.store, "admin", name, bench.clock.at)
        elif name == NS1:
            with pytest.raises(StillInUse, match="last node in the role dns"):
                node_lives.drain(bench.store, "admin", name, bench.clock.at)
        else:
            bench.drain(name)
    nodes.add(bench.store, "admin", "c1.example.net", ["control"], ["192.0.2.77"])
    with pytest.raises(Refused, match="has not joined"):
        node_lives.drain(bench.store, "admin", "c1.example.net", bench.clock.at)
    with bench.store.write("founder") as tx:
        tx.put_node(replace(nodes.find(tx.cluster(), "c1.example.net"), joined=True), "node joined")
    with pytest.raises(StillInUse, match="controller") as refused:
        node_lives.drain(bench.store, "admin", "c1.example.net", bench.clock.at)
    assert refused.value.remedy


def test_an_mx_is_waited_for_until_no_record_names_it(bench: Drain) -> None:
    """By its name or by its address; and then for as long as the record may be remembered."""
    mine = Record("example.com. MX 10 mx1.example.net.", MX1, 3600)
    other = Record("example.com. MX 10 mx2.example.net.", MX2, 3600)
    alias = Record("example.org. MX 10 mail.example.org.", "mail.example.org", 60)
    bench.world.hosts["mail.example.org"] = frozenset({"192.0.2.1"})
    bench.world.records |= {"example.com": [mine, other], "example.org": [alias]}
    assert bench.drainer.naming(MX1) == [
        f"The record must go: {mine.text}",
        f"The record must go: {alias.text}",
    ]
    bench.drain(MX1)
    bench.turn(minutes=2)
    assert [rest.words for rest in bench.progress(MX1).rests] == [f"{mine.text} names it.", f"{alias.text} names it."]
    bench.world.records |= {"example.com": [other], "example.org": Unavailable("No server answers.")}
    bench.turn(minutes=2)
    [gone, unanswered] = bench.progress(MX1).rests
    assert gone.until == bench.clock.at - timedelta(minutes=2) + timedelta(hours=1), "from when it was seen last"
    assert unanswered.words.startswith("example.org MX cannot be asked")
    bench.restart()
    bench.world.records["example.org"] = []
    bench.turn(minutes=2)
    bench.turn(minutes=2)
    bench.turn(minutes=2)
    assert bench.left(MX1) == ["records"], "another controller knows how long the record may be remembered"
    bench.turn(hours=1)
    assert bench.node(MX1).life is Life.DRAINED


def test_records_of_domains_no_longer_name_it(bench: Drain) -> None:
    bench.drain(MX1)
    with bench.store.read() as view:
        domain = domains.find(view.cluster(), "example.com")
        assert domains.records(view, domain) == [f"example.com. MX 10 {MX2}.", f"pop.example.com. NS {NS1}."]


def test_a_queue_is_waited_for_and_silence_too(bench: Drain) -> None:
    bench.drain(MX1)
    bench.turn(minutes=2)
    assert bench.node(MX1).life is Life.DRAINED
    node_lives.undrain(bench.store, "admin", MX1, bench.clock.at)
    bench.hear()
    bench.drain(MX1)
    bench.clock.at += timedelta(minutes=2)
    bench.hear(*(name for name in NODES if name != MX1), MX2, LOG1)
    bench.drainer.tick()
    assert bench.left(MX1) == ["silent"]


def test_a_log_node_leaves_when_the_others_know(bench: Drain) -> None:
    bench.turn(minutes=1)
    node_lives.drain(bench.store, "admin", LOG1, bench.clock.at)
    bench.clock.at += timedelta(seconds=1)
    bench.drainer.tick()
    assert bench.left(LOG1) == ["others"], "nobody has the new settings yet"
    bench.turn(seconds=1)
    assert bench.node(LOG1).life is Life.DRAINED
    assert "traces" in bench.progress(LOG1).notes[0]


def test_a_node_is_retired_once_nothing_lives_there(bench: Drain) -> None:
    """Not before it is drained, nor while copies are kept, unless they are given up; nothing is done by a dry run."""
    with pytest.raises(StillInUse, match="home of 3 mailboxes"):
        node_lives.retire(bench.store, "admin", MS1, bench.clock.at, give_up=True)
    with pytest.raises(StillInUse, match="is active"):
        node_lives.retire(bench.store, "admin", MS3, bench.clock.at)
    bench.drain(MS3)
    bench.turn(minutes=2)
    assert bench.node(MS3).life is Life.DRAINED
    with pytest.raises(StillInUse, match="keeps copies"):
        node_lives.retire(bench.store, "admin", MS3, bench.clock.at)
    assert node_lives.retire(bench.store, "admin", MS3, bench.clock.at, give_up=True, dry_run=True).did
    assert bench.node(MS3).name == MS3
    node_lives.retire(bench.store, "admin", MS3, bench.clock.at + timedelta(days=7))
    with bench.store.read() as view:
        assert MS3 not in {node.name for node in view.cluster().nodes}
        assert view.events_of(MS3)[-1].verb == "node retired"


def test_the_last_mx_is_not_retired_even_now(bench: Drain) -> None:
    node_lives.retire(bench.store, "admin", MX1, bench.clock.at, give_up=True)
    with pytest.raises(StillInUse, match="last node in the role mx"):
        node_lives.retire(bench.store, "admin", MX2, bench.clock.at, give_up=True)


def test_a_node_that_joins_anew_is_still_drained(bench: Drain) -> None:
    """It was reinstalled: it comes back when it is had back, not by itself."""
    bench.drain(MS3)
    bench.turn(minutes=2)
    token = nodes.new_token(bench.store, "admin", MS3, "print", now=bench.clock.at, minutes=5)
    nodes.redeem(bench.store, token.text, bench.clock.at)
    assert bench.node(MS3).life is Life.DRAINED
