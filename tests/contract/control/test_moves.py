"""Moves from the controller's side: fake nodes play the protocol, also badly."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import world
from moving import MS3, Bench, evidence, proof
from world import MS1, MS2, MX1, NS1

from roost.control import domains, mailboxes, move_orders, moves, node_lives, nodes, policy
from roost.control.move_certificate import Certificate
from roost.control.move_orders import Which
from roost.control.move_steps import ATTEMPTS, Heard
from roost.control.probes import Probes
from roost.control.status import status
from roost.domain.cluster import Suspended
from roost.domain.desired import Table
from roost.domain.errors import BadImport, BadSetting, Forbidden, NotFound, Refused, RoostError, StillInUse
from roost.domain.move import Part, Said, State, Wanted
from roost.store import open_store
from roost.store.store import SqlStore


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """A founded cluster on each kind of database."""
    opened = open_store(url)
    world.found(opened)
    yield opened
    opened.close()


@pytest.fixture
def bench(store: SqlStore) -> Bench:
    """Five mailboxes on ms1."""
    world.add(store, "anna", "ben", "cleo", "dora", "ed@example.org")
    return Bench(store)


def account(bench: Bench, node: str, name: str = "anna") -> dict[str, object] | None:
    rows = world.Follower(Table.ACCOUNTS, node).catch_up(bench.store)
    return cast("dict[str, object] | None", rows.get(str(world.address(name))))


def home(bench: Bench, name: str = "anna") -> str:
    with bench.store.read() as view:
        return mailboxes.find(view, str(world.address(name))).home


def test_a_move_from_end_to_end(bench: Bench) -> None:
    """Every state, with what both nodes are told in it."""
    [move] = bench.ask("anna", to=MS2).ids
    assert bench.move(move).state is State.PREPARING
    assert bench.mover.awaits(MS1)
    assert bench.mover.awaits(MS2)
    incoming = account(bench, MS2)
    assert incoming
    assert (incoming["place"], incoming["peer"]) == ("incoming", MS1)
    order = bench.order(move, MS1)
    assert order
    assert (order.part, order.wanted, order.peer, order.hold) == (Part.SOURCE, Wanted.PREPARE, MS2, 5)
    bench.hear(MS1)
    bench.mover.tick()
    assert bench.move(move).state is State.PREPARING, "the target has not got its account"
    bench.hear(MS2)
    assert bench.mover.tick()
    assert not bench.mover.awaits(MS1)
    body = '{"passes":1,"messages":3,"octets":900,"total_messages":3,"total_octets":800,"seconds":3,"x":[1]}'
    bench.say(move, Said.COPYING, body=body)
    progress = bench.mover.progress(bench.move(move))
    assert (progress.passes, progress.bytes, progress.total_bytes, progress.rate) == (1, 900, 800, 300)
    bench.say(move, Said.READY, body=body)
    held = bench.move(move)
    assert (held.state, held.attempts) == (State.HOLDING, 1)
    order = bench.order(move, MS2)
    assert order
    assert (order.wanted, order.attempt) == (Wanted.HAND_OVER, 1)
    assert not bench.say(move, Said.HELD)
    assert bench.say(move, Said.MOVED, body=proof())
    assert bench.move(move).state is State.SETTLING
    assert home(bench) == MS2
    moved = account(bench, MS1)
    assert moved
    assert (moved["place"], moved["peer"], moved["password"]) == ("moved", MS2, "")
    assert bench.order(move, MS2) is None
    bench.say(move, Said.PASSED_ON, body='{"sessions":2,"idle":100}')
    bench.later(seconds=1)
    bench.later(seconds=59)
    assert bench.move(move).state is State.SETTLING, "old DNS answers have not expired"
    bench.later(seconds=2)
    done = bench.move(move)
    assert (done.state, done.reason) == (State.DONE, "")
    assert account(bench, MS1) is None
    assert bench.order(move, MS1) is None
    progress = bench.mover.progress(done)
    assert (progress.pause_ms, progress.passed_on, progress.passes) == (120, 2, 1)
    assert not bench.mover.tick()
    with bench.store.read() as view:
        verbs = [event.verb for event in view.events(after=0, limit=1000) if event.detail.get("move") == str(move)]
    assert verbs == ["move asked", *(f"move {s}" for s in ("preparing", "copying", "holding", "settling", "done"))]
    assert list(bench.store.verify_audit()) == []


def test_the_certificate_is_signed(bench: Bench, tmp_path: Path) -> None:
    """And nothing in it can be changed; openssl verifies it as the documentation says."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, State.SETTLING)
    read = Certificate.of_text(bench.move(move).certificate)
    assert bench.authority.verify(read.body, read.signature)
    assert not bench.authority.verify(read.body.replace("anna", "hans"), read.signature)
    assert not bench.authority.verify(read.body, "no base64!")
    files = [tmp_path / name for name in ("ca.crt", "move", "move.sig", "ca.pub")]
    files[0].write_text(bench.authority.certificate_pem)
    files[1].write_text(read.body)
    files[2].write_bytes(base64.b64decode(read.signature))
    public = subprocess.run(
        ["openssl", "x509", "-in", files[0], "-pubkey", "-noout"], capture_output=True, check=True
    )
    files[3].write_bytes(public.stdout)
    argv = ["openssl", "dgst", "-sha256", "-verify", files[3], "-signature", files[2], files[1]]
    assert b"Verified OK" in subprocess.run(argv, capture_output=True, check=True).stdout
    body = json.loads(read.body)
    assert (body["move"], body["source"], body["target"], body["pause_ms"]) == (move, MS1, MS2, 120)
    assert body["evidence"]["source"] == json.loads(evidence().text())
    bench.until(move, State.DONE)
    assert bench.move(move).certificate
    with bench.store.read() as view:
        assert [one.certificate for one in view.moves()] == [""]


@pytest.mark.parametrize("state", [State.PREPARING, State.COPYING, State.HOLDING, State.SETTLING, State.UNDOING])
def test_reports_that_come_twice_or_late_change_nothing(bench: Bench, state: State) -> None:
    """Of an earlier attempt, of another state, or once more."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, State.HOLDING)
    bench.say(move, Said.FAILED, words="The network was cut.")
    assert bench.move(move).reason == "The network was cut."
    if state is State.PREPARING:
        [move] = bench.ask("ben", to=MS2).ids
    elif state is State.UNDOING:
        move_orders.abort(bench.store, "admin", Which(move), bench.clock.at)
    else:
        bench.until(move, state)
    before = bench.move(move)
    assert before.state is state
    for said in (Said.READY, Said.FAILED, Said.REFUSED):
        for attempt in (before.attempts - 1, before.attempts + 1):
            assert not bench.say(move, said, attempt=attempt, words="late")
    if state is not State.COPYING:
        assert not bench.say(move, Said.READY)
    if state is not State.HOLDING:
        assert not bench.say(move, Said.FAILED, words="late")
    if state is State.SETTLING:
        assert not bench.say(move, Said.MOVED, body=proof())
    bench.restart()
    bench.mover.tick()
    assert bench.move(move) == before


def test_after_too_many_attempts_it_is_undone(bench: Bench) -> None:
    """With the last reason."""
    [move] = bench.ask("anna", to=MS2).ids
    for attempt in range(1, ATTEMPTS + 1):
        bench.until(move, State.HOLDING)
        assert bench.move(move).attempts == attempt
        bench.say(move, Said.FAILED, words=f"Failed for the {attempt}th time.")
    undoing = bench.move(move)
    assert undoing.state is State.UNDOING
    assert undoing.reason == "5 hand-overs failed. The last one: Failed for the 5th time."
    order = bench.order(move, MS1)
    assert order
    assert order.wanted is Wanted.DROP
    bench.drop(move)
    undone = bench.move(move)
    assert (undone.state, undone.reason) == (State.UNDONE, undoing.reason)
    assert account(bench, MS2) is None
    assert home(bench) == MS1


@pytest.mark.parametrize("state", [State.PREPARING, State.COPYING, State.HOLDING])
@pytest.mark.parametrize("part", list(Part))
def test_a_node_that_cannot_says_so(bench: Bench, state: State, part: Part) -> None:
    """In any state before the hand-over."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, state)
    node = MS1 if part is Part.SOURCE else MS2
    bench.report(move, part, Said.REFUSED, bench.move(move).attempts, "There is no room.")
    assert bench.move(move).state is State.UNDOING
    assert bench.move(move).reason == f"{node} says: There is no room."


def test_abort_against_moved(bench: Bench) -> None:
    """Who was first on the source's disk wins, and the controller believes it."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, State.HOLDING)
    move_orders.abort(bench.store, "admin", Which(move), bench.clock.at)
    assert bench.move(move).state is State.UNDOING
    bench.say(move, Said.MOVED, body=proof())
    assert bench.move(move).state is State.SETTLING
    assert home(bench) == MS2
    with pytest.raises(Refused, match="settling and cannot be aborted"):
        move_orders.abort(bench.store, "admin", Which(move), bench.clock.at)
    bench.until(move, State.DONE)


def test_a_controller_that_lost_time_believes_the_source(bench: Bench) -> None:
    """It was restored to when the move was copying."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, State.COPYING)
    assert bench.say(move, Said.MOVED, attempt=3, body=proof())
    assert bench.move(move).state is State.SETTLING


def test_a_proof_that_does_not_hold_is_refused_loudly(bench: Bench) -> None:
    """The home stays, everybody who looks is told, and nothing is repeated in the log."""
    [move] = bench.ask("anna", to=MS2, deep=True).ids
    bench.until(move, State.COPYING)
    bench.say(move, Said.READY)
    wrong = {"number of messages": proof(evidence(3), evidence(2)), "Contents were to be compared": proof()}
    for why, body in wrong.items():
        for _ in range(2):
            with pytest.raises(Refused, match=why):
                bench.say(move, Said.MOVED, body=body)
        assert bench.move(move).state is State.HOLDING
        assert why in bench.move(move).reason
    with bench.store.read() as view:
        assert [event.verb for event in view.events(limit=1000)].count("move doubted") == 2
    with pytest.raises(BadSetting):
        bench.say(move, Said.MOVED, body="{}")
    assert home(bench) == MS1
    whole = proof(evidence(deep=True), evidence(deep=True))
    assert bench.say(move, Said.MOVED, body=whole)
    assert bench.move(move).state is State.SETTLING


def test_moves_that_do_not_get_on_are_told(bench: Bench) -> None:
    """Trouble after a minute, silence after the state's own time; pausing is no trouble."""

    def warned() -> list[str]:
        found = status(
            bench.store, bench.followers, bench.mover, bench.drainer, Probes(bench.clock.at), now=bench.clock.at
        )
        return [warning.warning for warning in found.warnings if warning.subject.startswith("move")]

    anna, ben, cleo = bench.ask("anna", "ben", "cleo", to=MS2).ids
    for move in (anna, ben, cleo):
        bench.until(move, State.COPYING)
    move_orders.pause(bench.store, "admin", Which(cleo))
    bench.say(anna, Said.COPYING, words="The cable is cut.")
    assert not warned()
    bench.later(minutes=2)
    assert not warned(), "without a body nothing was taken down"
    bench.say(anna, Said.COPYING, words="The cable is cut.", body="{}")
    [words] = warned()
    assert words.endswith("The cable is cut.")
    assert f"from {MS1} to {MS2} is copying since" in words
    bench.say(anna, Said.COPYING, body="{}")
    assert not warned()
    bench.later(hours=7)
    assert len(warned()) == 2
    bench.say(ben, Said.READY)
    assert len(warned()) == 1


def test_only_the_parts_may_speak(bench: Bench) -> None:
    """A node reports on what is its own."""
    [move] = bench.ask("anna", to=MS2).ids
    for node, part in ((MS3, Part.SOURCE), (MS1, Part.TARGET), (MX1, Part.TARGET)):
        with pytest.raises(Forbidden):
            bench.mover.take(node, [Heard(move, part, Said.REFUSED, 0, "no")])
    assert not bench.mover.take(MS1, [Heard(999, Part.SOURCE, Said.DROPPED, 0)])
    with pytest.raises(Refused, match="nobody knows"):
        bench.mover.take(MS1, [Heard(999, Part.SOURCE, Said.MOVED, 0, body=proof())])


def test_limits(bench: Bench) -> None:
    """Of a pair, of a node, of the cluster; the longest waiting goes first."""
    set_policy(bench, moves_per_pair=2, moves_per_node=3)
    asked = bench.ask("anna", "ben", "cleo", to=MS2)
    [fourth] = bench.ask("dora", to=MS3).ids
    [fifth] = bench.ask("ed@example.org", to=MS3).ids
    begun, waits = State.PREPARING, State.ASKED
    assert bench.states() == [begun, begun, waits, begun, waits]
    bench.until(asked.ids[0], State.SETTLING)
    assert bench.states()[2:] == [begun, State.COPYING, waits]
    set_policy(bench, moves_per_node=8, moves=3)
    bench.later(seconds=1)
    assert bench.move(fifth).state is waits
    set_policy(bench, moves=4)
    bench.later(seconds=1)
    assert bench.move(fifth).state is begun
    assert bench.move(fourth).state is State.COPYING


def set_policy(bench: Bench, **wanted: object) -> None:
    policy.change(bench.store, "admin", wanted)


def test_hours(bench: Bench) -> None:
    """Moves begin in them only; what has begun goes on."""
    set_policy(bench, move_hours="22-6")
    [move] = bench.ask("anna", to=MS2).ids
    bench.later(hours=9, minutes=59)
    assert bench.move(move).state is State.ASKED
    bench.later(minutes=1)
    assert bench.move(move).state is State.PREPARING
    bench.later(hours=10)
    assert bench.move(move).state is State.COPYING
    for wrong in ("6", "25-3", "8-8", "0-24", "a-b"):
        with pytest.raises(BadSetting):
            set_policy(bench, move_hours=wrong)


def test_a_node_that_is_away_is_waited_for(bench: Bench) -> None:
    """A move from or to it does not begin."""
    set_policy(bench, moves=0)
    [move] = bench.ask("anna", to=MS2).ids
    bench.later(heard=False, seconds=60)
    bench.hear(MS1)
    set_policy(bench, moves=1)
    bench.mover.tick()
    assert bench.move(move).state is State.ASKED
    bench.hear(MS2)
    bench.mover.tick()
    assert bench.move(move).state is State.PREPARING


def test_pause_and_resume(bench: Bench) -> None:
    """One, a batch, all; a paused target is not asked to hand over."""
    first, second = bench.ask("anna", "ben", to=MS2).ids
    [third] = bench.ask("cleo", to=MS2).ids
    bench.until(first, State.COPYING)
    move_orders.pause(bench.store, "admin", Which(first))
    order = bench.order(first, MS2)
    assert order
    assert order.wanted is Wanted.PAUSE
    assert not bench.say(first, Said.READY)
    assert move_orders.pause(bench.store, "admin", Which(first)).did == []
    parent = bench.move(first).parent
    assert parent == f"b{first}"
    assert len(move_orders.pause(bench.store, "admin", Which(parent=parent)).did) == 1
    assert [bench.move(one).paused for one in (first, second, third)] == [True, True, False]
    assert len(move_orders.pause(bench.store, "admin", Which(), dry_run=True).did) == 1
    assert len(move_orders.resume(bench.store, "admin", Which()).did) == 2
    assert bench.say(first, Said.READY)
    move_orders.pause(bench.store, "admin", Which())
    bench.ask("dora", to=MS3)
    bench.later(seconds=1)
    assert bench.states()[-1] is State.COPYING, "only those that were open are paused"


def test_a_paused_move_does_not_begin(bench: Bench) -> None:
    """And does not stand in the way of others."""
    set_policy(bench, moves=0)
    first, second = bench.ask("anna", "ben", to=MS2).ids
    move_orders.pause(bench.store, "admin", Which(first))
    set_policy(bench, moves=1)
    bench.mover.tick()
    assert [bench.move(one).state for one in (first, second)] == [State.ASKED, State.PREPARING]


def test_abort(bench: Bench) -> None:
    """What has not begun is undone at once; what has, when both nodes have dropped their parts."""
    set_policy(bench, moves=1)
    first, second = bench.ask("anna", "ben", to=MS2).ids
    bench.until(first, State.COPYING)
    done = move_orders.abort(bench.store, "admin", Which(), bench.clock.at)
    assert len(done.did) == 2
    assert bench.states() == [State.UNDOING, State.UNDONE]
    assert bench.move(first).aborting
    bench.report(first, Part.TARGET, Said.DROPPED, 0)
    bench.report(first, Part.TARGET, Said.DROPPED, 0)
    assert bench.move(first).state is State.UNDOING
    bench.report(first, Part.SOURCE, Said.DROPPED, 0)
    assert bench.move(first).state is State.UNDONE
    assert bench.move(second).reason == "Aborted by admin."
    with pytest.raises(Refused, match="undone"):
        move_orders.abort(bench.store, "admin", Which(second), bench.clock.at)


def test_undoing_without_a_node_that_is_dead(bench: Bench) -> None:
    """Before any hand-over nobody is needed; after one the source is, and the target for an hour."""
    early, late, dead = bench.ask("anna", "ben", "cleo", to=MS2).ids
    for move in (late, dead):
        bench.until(move, State.HOLDING)
    move_orders.abort(bench.store, "admin", Which(), bench.clock.at)
    bench.restart()
    bench.mover.tick()
    assert bench.move(early).state is State.UNDOING
    bench.report(late, Part.SOURCE, Said.DROPPED, 1)
    bench.later(heard=False, seconds=40)
    assert [bench.move(one).state for one in (early, late, dead)] == [State.UNDONE, State.UNDOING, State.UNDOING]
    bench.later(heard=False, hours=1)
    assert [bench.move(one).state for one in (late, dead)] == [State.UNDONE, State.UNDOING]


def test_settling_waits_for_all_and_for_those_who_still_come(bench: Bench) -> None:
    """Another controller begins to count anew; nobody waits for longer than a day."""
    [move] = bench.ask("anna", to=MS2).ids
    bench.until(move, State.SETTLING)
    before = bench.move(move).revision - 1
    bench.hear(positions=before)
    bench.hear(MS1, MS2, NS1)
    bench.say(move, Said.PASSED_ON, body='{"sessions":9,"idle":500}')
    bench.clock.at += timedelta(minutes=10)
    bench.mover.tick()
    assert bench.move(move).state is State.SETTLING, "mx1 has not got it"
    bench.hear(MX1)
    bench.mover.tick()
    bench.restart()
    bench.later(minutes=2)
    bench.later(minutes=2)
    assert bench.move(move).state is State.SETTLING, "the source has not been heard since"
    bench.say(move, Said.PASSED_ON, body='{"sessions":9,"idle":3}')
    bench.later(hours=23)
    assert bench.move(move).state is State.SETTLING
    bench.later(hours=1)
    done = bench.move(move)
    assert done.state is State.DONE
    assert done.reason == f"Done after 24 hours, although somebody still came to {MS1}."


def test_back(bench: Bench) -> None:
    """To the kept copy, in its format, as long as it is kept and is the last."""
    [move] = bench.ask("anna", to=MS2, format="maildir").ids
    incoming = account(bench, MS2)
    assert incoming
    assert incoming["format"] == "maildir"
    bench.until(move, State.SETTLING)
    kept, now = account(bench, MS1), account(bench, MS2)
    assert kept
    assert now
    assert (kept["format"], now["format"]) == ("mdbox", "maildir")
    with pytest.raises(Refused, match="it is settling, not done"):
        moves.back(bench.store, bench.followers, "admin", move, bench.clock.at)
    bench.until(move, State.DONE)
    assert moves.back(bench.store, bench.followers, "admin", move, bench.clock.at, dry_run=True).did
    [again] = moves.back(bench.store, bench.followers, "admin", move, bench.clock.at).ids
    back = bench.move(again)
    assert (back.source, back.target, back.format, back.back_of) == (MS2, MS1, "mdbox", move)
    bench.mover.tick()
    order = bench.order(again, MS1)
    assert order
    assert order.kept == move
    bench.until(again, State.DONE)
    assert home(bench) == MS1
    with pytest.raises(Refused, match=f"has moved since .move {again}"):
        moves.back(bench.store, bench.followers, "admin", move, bench.clock.at)
    bench.later(days=7)
    with pytest.raises(Refused, match="has not kept its copy"):
        moves.back(bench.store, bench.followers, "admin", again, bench.clock.at)
    with pytest.raises(NotFound):
        moves.back(bench.store, bench.followers, "admin", 99, bench.clock.at)


def test_targets_are_chosen(bench: Bench) -> None:
    """The emptiest, never the source, nor one that is away or not well."""
    world.add(bench.store, "x1", "x2", "x3", home=MS2)
    asked = bench.ask("anna", "ben", "x1")
    assert [bench.move(one).target for one in asked.ids] == [MS3, MS3, MS3]
    bench.hear(MS3, health={"dovecot": "It does not answer."})
    [fourth] = bench.ask("cleo").ids
    assert bench.move(fourth).target == MS2
    bench.clock.at += timedelta(minutes=5)
    bench.hear(MS1)
    with pytest.raises(Refused, match="There is no other storage node"):
        bench.ask("dora")


def test_a_whole_domain_or_node(bench: Bench) -> None:
    """Those that are there already, or on their way, are left out and counted."""
    world.add(bench.store, "zoe", home=MS2)
    bench.ask("anna", to=MS3)
    asked = bench.ask(domain="example.com", to=MS2)
    assert [str(bench.move(one).address) for one in asked.ids] == [
        f"{n}@example.com" for n in ("ben", "cleo", "dora")
    ]
    assert asked.did[-3:] == [
        f"Together they are the batch b{asked.ids[0]}.",
        "1 left out: at home there.",
        "1 left out: being moved.",
    ]
    assert len(bench.ask(home=MS1, to=MS3).ids) == 1
    assert bench.ask(home=MS1, domain="example.org").did == ["1 left out: being moved."]


REFUSALS: list[tuple[str, Callable[[Bench], object], type[RoostError], str]] = [
    ("no such mailbox", lambda b: b.ask("nobody"), NotFound, "no mailbox nobody@example.com"),
    ("no such node", lambda b: b.ask("anna", to="ms9.example.net"), NotFound, "no node ms9"),
    ("no storage node", lambda b: b.ask("anna", to=MX1), Refused, "is no storage node"),
    ("the same node", lambda b: b.ask("anna", to=MS1), Refused, "at home on ms1.example.net already"),
    ("twice", lambda b: (b.ask("anna"), b.ask("anna")), Refused, "is being moved to ms2"),
    ("two of one", lambda b: b.ask("anna", "anna", to=MS2), BadImport, "1 of 2"),
    ("several wrong", lambda b: b.ask("anna", "nobody", "ben", "ben", to=MS2), BadImport, "2 of 4"),
    ("no such format", lambda b: b.ask("anna", format="mbox"), BadSetting, "no format 'mbox'"),
    ("nothing", lambda b: b.ask(), BadSetting, "Either mailboxes are named"),
    ("too much", lambda b: b.ask("anna", domain="example.com"), BadSetting, "Either mailboxes are named"),
]


@pytest.mark.parametrize(("what", "do", "error", "words"), REFUSALS, ids=[one[0] for one in REFUSALS])
def test_refusals(
    bench: Bench, what: str, do: Callable[[Bench], object], error: type[RoostError], words: str
) -> None:
    """With the reason, and nothing is written."""
    del what
    with pytest.raises(error, match=words):
        do(bench)


def test_a_target_that_cannot(bench: Bench) -> None:
    """It has not joined, is away, or is not well."""
    bench.hear(MS2, health={"dovecot": "It does not answer."})
    with pytest.raises(Refused, match=r"is not well .dovecot: It does not answer.\."):
        bench.ask("anna", to=MS2)
    bench.clock.at += timedelta(minutes=5)
    with pytest.raises(Refused, match="is not connected"):
        bench.ask("anna", to=MS3)
    nodes.add(bench.store, "admin", "ms4.example.net", ["storage"], ["192.0.2.44"])
    with pytest.raises(Refused, match="has not joined"):
        bench.ask("anna", to="ms4.example.net")


def test_suspended_mailboxes_move_unless_mail_is_refused(bench: Bench) -> None:
    """A hold would look like a refusal to whoever sends."""
    for name in ("anna", "ben"):
        mailboxes.change(bench.store, "admin", str(world.address(name)), suspended=True)
    assert bench.ask("anna", to=MS2).ids
    domains.change(bench.store, "admin", "example.com", suspended=Suspended.REFUSE)
    with pytest.raises(Refused, match="suspended"):
        bench.ask("ben", to=MS2)


def test_what_moves_cannot_be_taken_away(bench: Bench) -> None:
    """Neither the mailbox nor the nodes, also while it settles."""
    [move] = bench.ask("anna", to=MS3).ids
    for state in (State.COPYING, State.SETTLING):
        bench.until(move, state)
        with pytest.raises(StillInUse, match="is being moved"):
            mailboxes.remove(bench.store, "admin", str(world.address("anna")))
        if state is State.COPYING:
            with pytest.raises(StillInUse, match="has a part in 1 moves"):
                node_lives.retire(bench.store, "admin", MS3, bench.clock.at, give_up=True)
            with pytest.raises(StillInUse, match="has a part in 1 moves"):
                nodes.change(bench.store, "admin", MS3, ["dns"], None)
    bench.until(move, State.DONE)
    mailboxes.remove(bench.store, "admin", str(world.address("anna")))
    node_lives.retire(bench.store, "admin", MS3, bench.clock.at, give_up=True)


def test_a_mailbox_may_change_while_it_moves(bench: Bench) -> None:
    """Both nodes have its new password; the old home has none."""
    [move] = bench.ask("anna", to=MS2).ids
    own = str(world.address("anna"))
    for state, has in ((State.COPYING, True), (State.SETTLING, False)):
        bench.until(move, state)
        hashed = f"{{SHA512-CRYPT}}$6$abcdefgh${state}0123456789"
        mailboxes.change(bench.store, "admin", own, password_hash=hashed)
        accounts = [account(bench, node) for node in (MS1, MS2)]
        assert [one and one["password"] for one in accounts] == [hashed if has else "", hashed]


def test_many_settle_in_one_transaction(bench: Bench) -> None:
    """Five hundred at once are quick."""
    set_policy(bench, moves=1000, moves_per_node=1000, moves_per_pair=1000)
    world.add(bench.store, *(f"u{n}" for n in range(500)), home=MS2)
    asked = bench.ask(home=MS2, to=MS3)
    assert len(asked.did) == 2
    steps = [(Part.TARGET, Said.READY, 0, ""), (Part.SOURCE, Said.MOVED, 1, proof())]
    bench.hear()
    assert bench.mover.tick()
    for part, said, attempt, body in steps:
        bench.mover.take(
            MS2 if part is Part.SOURCE else MS3, [Heard(one, part, said, attempt, "", body) for one in asked.ids]
        )
    idle = [Heard(one, Part.SOURCE, Said.PASSED_ON, 1, "", '{"sessions":0,"idle":99}') for one in asked.ids]
    bench.mover.take(MS2, idle)
    bench.later(seconds=1)
    began = time.perf_counter()
    bench.mover.tick()
    assert time.perf_counter() - began < 1, "a look at five hundred that settle"
    bench.later(seconds=60)
    with bench.store.read() as view:
        assert view.count_moves([State.DONE]) == {(MS2, MS3): 500}
        assert view.homes()[MS3] == 500
