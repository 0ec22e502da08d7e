"""Groups, pins and classes of service: where mailboxes are placed and moved, and what is said where they cannot."""

from __future__ import annotations

from dataclasses import replace

import loads
import pytest
import world
from loads import tell
from moving import MS3
from test_drains import Drain
from world import MS1, MS2

from roost.balance.moves import Budget
from roost.control import headroom, mailboxes, measured, moves, node_lives, nodes, plans
from roost.control.mailboxes import Wanted
from roost.domain.errors import BadImport, BadName, BadSetting, NotFound, Refused, RoostError, StillInUse
from roost.domain.move import State
from roost.domain.node_life import Life
from roost.domain.ties import Ties
from roost.store.store import SqlStore

HASH = "{SHA512-CRYPT}$6$abcdefgh$0123456789"


@pytest.fixture
def bench(store: SqlStore) -> Drain:
    """Three storage nodes; ms2 and ms3 offer the class gold. A family of three on ms1, and one who is free."""
    bench = Drain(store)
    for name in (MS2, MS3):
        nodes.change(store, "admin", name, None, None, classes=["Gold"])
    for name in ("anna", "ben", "cleo"):
        add(bench, name, home=MS1, together="Smith")
    add(bench, "free", home=MS1)
    bench.hear()
    return bench


def want(name: str, home: str | None = None, **ties: str) -> Wanted:
    return Wanted(f"{name}@example.com", password_hash=HASH, home=home, ties=Ties(**ties))


def add(bench: Drain, name: str, home: str | None = None, **ties: str) -> str:
    """Add a mailbox; returns its home."""
    mailboxes.add(bench.store, "admin", want(name, home, **ties))
    return home_of(bench, name)


def home_of(bench: Drain, name: str) -> str:
    with bench.store.read() as view:
        return mailboxes.find(view, f"{name}@example.com").home


def tie(bench: Drain, name: str, **ties: str) -> list[str]:
    """Change ties; returns what is said."""
    done = mailboxes.change(bench.store, "admin", f"{name}@example.com", ties=ties).did
    bench.hear()
    return done


def targets(bench: Drain) -> dict[str, str]:
    """Where those go that are asked to move."""
    with bench.store.read() as view:
        return {move.address.local: move.target for move in view.moves(states=[State.ASKED, State.PREPARING])}


def refusal(call: object, *given: object, **more: object) -> tuple[str, str]:
    """The field and the words of what is refused; there is a remedy, too."""
    with pytest.raises(RoostError) as caught:
        call(*given, **more)  # type: ignore[operator]
    assert caught.value.remedy
    return caught.value.field, caught.value.message


# Placing


def test_a_new_mailbox_goes_where_its_ties_allow(bench: Drain) -> None:
    assert add(bench, "dora", together="smith") == MS1, "though it is the fullest"
    gold = {add(bench, f"gold{n}", service_class="gold") for n in range(4)}
    assert gold == {MS2, MS3}
    assert add(bench, "emil", pin=MS1) == MS1
    assert {add(bench, f"post{n}", apart="postmasters") for n in range(3)} == {MS1, MS2, MS3}
    assert add(bench, "fritz", together="miller", pin=MS3) == MS3
    assert add(bench, "gerd", together="miller") == MS3
    with bench.store.read() as view:
        assert view.mailbox(world.address("dora")).ties == Ties(together="smith")  # type: ignore[union-attr]


def test_a_home_that_breaks_a_tie_is_refused(bench: Drain) -> None:
    add(bench, "post0", home=MS2, apart="postmasters")
    for ties, words in (
        (
            {"together": "smith"},
            "x@example.com is kept together with anna@example.com, who lives on ms1.example.net.",
        ),
        (
            {"apart": "postmasters"},
            "x@example.com is kept apart from post0@example.com, who lives on ms2.example.net.",
        ),
        ({"pin": MS3}, "x@example.com is pinned to ms3.example.net."),
    ):
        assert refusal(add, bench, "x", home=MS2, **ties) == ("home", words)
    field, words = refusal(add, bench, "x", home=MS1, service_class="gold")
    assert (field, words) == ("home", "x@example.com has the class gold, which ms1.example.net does not offer.")
    field, words = refusal(add, bench, "x", together="smith", service_class="gold")
    assert field == "home", "its group lives where its class is not offered"


@pytest.mark.parametrize(
    ("ties", "error", "field"),
    [
        ({"together": "two words"}, BadSetting, "together"),
        ({"apart": "-x"}, BadSetting, "apart"),
        ({"pin": "no host"}, BadName, "pin"),
        ({"service_class": "a,b"}, BadSetting, "class"),
        ({"service_class": "silver"}, Refused, "class"),
        ({"pin": "ms9.example.net"}, NotFound, "pin"),
        ({"pin": world.MX1}, NotFound, "pin"),
        ({"pin": MS1, "service_class": "gold"}, Refused, "pin"),
        ({"together": "miller", "pin": MS2}, Refused, "pin"),
        ({"together": "miller", "apart": "copies"}, Refused, "apart"),
        ({"together": "miller", "service_class": "gold"}, Refused, "class"),
        ({"apart": "three"}, Refused, "apart"),
    ],
)
def test_what_cannot_be(bench: Drain, ties: dict[str, str], error: type[RoostError], field: str) -> None:
    """Adding and changing refuse it alike, and name the field and the remedy."""
    add(bench, "pinned", together="miller", pin=MS1, apart="copies")
    for n in range(3):
        add(bench, f"three{n}", apart="three")
    for call in (lambda: add(bench, "x", **ties), lambda: tie(bench, "free", **ties)):
        with pytest.raises(error) as caught:
            call()
        assert (caught.value.field, bool(caught.value.remedy)) == (field, True)


def test_a_full_home_of_a_group_is_said(bench: Drain) -> None:
    tell(bench, {}, disk_free=5e10)
    headroom.note(bench.store, measured.read(bench.store, bench.followers, bench.clock.at).fleet, {})
    field, words = refusal(add, bench, "dora", together="smith")
    assert (field, words.endswith("There is no disk space left.")) == ("together", True)


def test_an_import_keeps_groups_together_and_finds_faults(bench: Drain) -> None:
    wanted = [want(f"m{n}", together=f"family{n % 50}", apart=f"copies{n // 2}" if n < 6 else "") for n in range(200)]
    mailboxes.add_many(bench.store, "admin", wanted)
    with bench.store.read() as view:
        homes: dict[str, set[str]] = {}
        for box in view.mailboxes(limit=1000):
            homes.setdefault(box.ties.together, set()).add(box.home)
        assert {len(where) for name, where in homes.items() if name.startswith("family")} == {1}
        for n in range(3):
            assert len({box.home for box in view.grouped(apart=[f"copies{n}"])}) == 2
    with pytest.raises(BadImport) as caught:
        mailboxes.add_many(bench.store, "admin", [want("ok"), want("no", pin=MS1, home=MS2), want("nor", pin="-")])
    assert [(one.line, one.field) for one in caught.value.findings] == [(2, "home"), (3, "pin")]


# Changing


def test_a_change_moves_nobody_and_says_what_should(bench: Drain) -> None:
    add(bench, "dora", home=MS2)
    said = tie(bench, "dora", together="smith")
    assert said[:2] == [
        "Mailbox dora@example.com: kept together as smith.",
        "dora@example.com is kept together with anna@example.com, who lives on ms1.example.net.",
    ]
    assert "'roost user move dora@example.com'" in said[2]
    assert home_of(bench, "dora") == MS2
    bench.ask("dora")
    assert targets(bench) == {"dora": MS1}
    assert tie(bench, "dora", together="") == ["Mailbox dora@example.com: not kept together."]
    assert tie(bench, "dora", together="") == []
    assert tie(bench, "free", pin=MS1) == ["Mailbox free@example.com: pinned to ms1.example.net."]


def test_to_take_a_tie_away_is_never_refused(bench: Drain) -> None:
    with bench.store.write("a store of old") as tx:
        box = mailboxes.find(tx, "free@example.com")
        tx.put_mailboxes([replace(box, ties=Ties(together="smith", service_class="gone"))], "mailbox changed")
    assert "not kept together" in tie(bench, "free", together="")[0]
    assert refusal(tie, bench, "free", together="smith")[0] == "class"
    assert tie(bench, "free", service_class="") == ["Mailbox free@example.com: of no class."]


def test_a_class_stays_while_it_is_needed(bench: Drain) -> None:
    add(bench, "rich", home=MS2, service_class="gold")
    done = nodes.change(bench.store, "admin", MS2, None, None, classes=[])
    assert "1 mailboxes of the class gold live there" in done.did[1]
    assert refusal(nodes.change, bench.store, "admin", MS3, None, None, classes=["bulk"])[0] == "class"
    assert refusal(node_lives.drain, bench.store, "admin", MS3, bench.clock.at)[0] == "class"
    assert refusal(nodes.change, bench.store, "admin", world.MX1, None, None, classes=["gold"])[0] == "class"
    many = [f"c{n}" for n in range(31)]
    assert refusal(nodes.change, bench.store, "admin", MS1, None, None, classes=many)[0] == "class"


def test_a_node_that_is_a_pin_stays(bench: Drain) -> None:
    add(bench, "dora", home=MS2)
    tie(bench, "dora", pin=MS3)
    for call in (
        lambda: node_lives.retire(bench.store, "admin", MS3, bench.clock.at, give_up=True),
        lambda: nodes.change(bench.store, "admin", MS3, ["log"], None, classes=[]),
    ):
        with pytest.raises(StillInUse, match="pinned to ms3") as caught:
            call()
        assert "roost user list --pin ms3" in caught.value.remedy


# Moving


def test_one_of_a_group_does_not_leave_it(bench: Drain) -> None:
    for to in ("", MS2):
        field, words = refusal(bench.ask, "anna", to=to)
        assert (field, "kept together with ben@example.com" in words) == ("to" if to else "address", True)
    asked = bench.ask("anna", "ben", "cleo", "free")
    assert len(asked.ids) == 4
    went = targets(bench)
    assert len({went["anna"], went["ben"], went["cleo"]}) == 1
    assert MS1 not in went.values()


def test_a_group_moves_by_its_name_and_gathers(bench: Drain) -> None:
    add(bench, "dora", home=MS2)
    tie(bench, "dora", together="smith")
    ask = moves.ask(bench.store, bench.followers, "admin", moves.Wanted(together="smith"), bench.clock.at)
    assert ask.did == [
        "dora@example.com moves from ms2.example.net to ms1.example.net (move 1).",
        "3 left out: kept together with others.",
    ]
    bench.mover.tick()
    bench.until(ask.ids[0], State.DONE)
    for name in ("anna", "ben", "cleo", "dora"):
        assert home_of(bench, name) == MS1
    wanted = moves.Wanted(together="smith", to=MS3)
    assert len(moves.ask(bench.store, bench.followers, "admin", wanted, bench.clock.at).ids) == 4
    assert add(bench, "emil", together="smith") == MS3, "where the others are on their way to"
    assert refusal(bench.ask, to=MS2, together="nobody")[0] == "together"


def test_a_group_goes_where_all_of_it_may(bench: Drain) -> None:
    add(bench, "post", home=MS2, apart="postmasters")
    tie(bench, "cleo", apart="postmasters")
    tie(bench, "ben", service_class="gold")
    with pytest.raises(BadImport, match="3 of 3"):
        bench.ask("anna", "ben", "cleo", to=MS2)
    asked = bench.ask("anna", "ben", "cleo")
    assert len(asked.ids) == 3
    assert set(targets(bench).values()) == {MS3}


def test_where_nobody_may_go_it_is_said_why(bench: Drain) -> None:
    tie(bench, "free", pin=MS1)
    assert refusal(bench.ask, "free") == ("address", "free@example.com is pinned to ms1.example.net.")
    for n, home in enumerate((MS1, MS2, MS3)):
        add(bench, f"post{n}", home=home, apart="postmasters")
    _, words = refusal(bench.ask, "post0")
    assert "No storage node may have it. post0@example.com is kept apart from" in words
    asked = bench.ask(home=MS1)
    assert {"1 left out: pinned.", "1 left out: no node that their ties allow can take them."} <= set(asked.did)


# Draining


def test_a_drained_group_goes_together_and_who_is_pinned_stays(bench: Drain) -> None:
    tie(bench, "free", pin=MS1)
    done = node_lives.drain(bench.store, "admin", MS1, bench.clock.at, dry_run=True)
    assert any("1 are pinned to it and stay" in words for words in done.did)
    bench.drain(MS1)
    bench.turn(seconds=1)
    bench.play()
    assert len({home_of(bench, name) for name in ("anna", "ben", "cleo")} - {MS1}) == 1
    assert bench.left(MS1) == ["mailboxes", "pinned"]
    [pinned] = [rest for rest in bench.progress(MS1).rests if rest.what == "pinned"]
    assert "--pin" in pinned.remedy
    assert refusal(tie, bench, "anna", pin=MS1)[0] == "pin", "nobody is pinned to a node that leaves"
    tie(bench, "free", pin="")
    bench.turn(minutes=2)
    bench.play()
    bench.turn(minutes=2)
    assert bench.node(MS1).life is Life.DRAINED


def test_who_cannot_leave_holds_up_nobody_else(bench: Drain) -> None:
    """A thousand of a group that one pin holds come before the last in the order of addresses."""
    with bench.store.write("founder") as tx:
        numbers = tx.new_numbers(1000)
        ties = [Ties(together="large", pin=MS1 if not n else "") for n in range(1000)]
        boxes = [world.box(n, f"g{n}", ties=some) for n, some in zip(numbers, ties, strict=True)]
        tx.put_mailboxes([*boxes, world.box(tx.new_numbers(1)[0], "zoe")], "mailbox added")
    bench.hear()
    bench.drain(MS1)
    bench.turn(seconds=1)
    with bench.store.read() as view:
        assert {move.address.local for move in view.moves()} == {"anna", "ben", "cleo", "free", "zoe"}
    why = bench.progress(MS1).failed[boxes[1].address]
    assert "who is pinned to ms1" in why
    assert f"'roost user set {boxes[0].address} --pin NODE'" in why


def test_a_drain_shows_whom_ties_hold(bench: Drain) -> None:
    for n, home in enumerate((MS1, MS2, MS3)):
        add(bench, f"post{n}", home=home, apart="postmasters")
    bench.drain(MS1)
    bench.turn(seconds=1)
    bench.play()
    bench.turn(minutes=2)
    assert "is kept apart from" in bench.progress(MS1).failed[world.address("post0")]


# Plans


def test_a_plan_brings_everybody_where_he_must_be(bench: Drain) -> None:
    """Who is pinned elsewhere, of a class, away from his group, or beside one from whom he is kept; nobody else."""
    names = ("pinned", "rich", "stray", "post0", "post1")
    for name in names:
        add(bench, name, home=MS2 if name == "stray" else MS1)
    tie(bench, "pinned", pin=MS3)
    tie(bench, "rich", service_class="gold")
    tie(bench, "stray", together="smith")
    tie(bench, "post0", apart="postmasters")
    tie(bench, "post1", apart="postmasters")
    with bench.store.read() as view:
        boxes = view.mailboxes(limit=100)
    rates = {home: {box.number: 0.01 for box in boxes if box.home == home} for home in (MS1, MS2)}
    tell(bench, rates)
    made = plans.make(bench.store, bench.followers, Budget(), bench.clock.at)
    went = {address.partition("@")[0]: step.target for step in made.steps for _, address in step.mailboxes}
    assert went.pop("rich") in {MS2, MS3}
    assert {went.pop("post1")} <= {MS2, MS3}
    assert went == {"pinned": MS3, "stray": MS1}
    assert {step.cause for step in made.steps} == {"rule"}
    assert "by pin, class or group" in made.steps[0].reason
    asked = plans.apply(bench.store, bench.followers, "admin", made.id, bench.clock.at)
    assert len(asked.ids) == 4
    again = plans.make(bench.store, bench.followers, Budget(), bench.clock.at)
    assert (again.steps, again.left) == ([], [])


def test_a_plan_that_would_break_a_tie_by_now_leaves_it_out(bench: Drain) -> None:
    for n in range(3):
        add(bench, f"p{n}", home=MS1)
        tie(bench, f"p{n}", pin=MS3)
    tell(bench, {})
    made = plans.make(bench.store, bench.followers, Budget(), bench.clock.at)
    assert made.mailboxes == 3
    tie(bench, "p0", pin=MS2)
    asked = plans.apply(bench.store, bench.followers, "admin", made.id, bench.clock.at)
    assert asked.did[-1] == f"Left out: p0@example.com is pinned to {MS2}."


def test_a_group_that_cannot_go_as_planned_stays_as_a_whole(bench: Drain) -> None:
    for n in range(3):
        add(bench, f"p{n}", home=MS1)
        tie(bench, f"p{n}", pin=MS3)
    tie(bench, "anna", pin=MS2)
    tell(bench, {})
    made = plans.make(bench.store, bench.followers, Budget(), bench.clock.at)
    assert sorted(len(step.mailboxes) for step in made.steps) == [1, 1, 1, 3]
    mailboxes.remove(bench.store, "admin", "ben@example.com")
    with pytest.raises(Refused, match=r"anna@example\.com is of the same group"):
        plans.apply(bench.store, bench.followers, "admin", made.id, bench.clock.at)


def test_what_no_plan_can_help_is_told(bench: Drain) -> None:
    with bench.store.write("a store of old") as tx:
        box = mailboxes.find(tx, "free@example.com")
        tx.put_mailboxes([replace(box, ties=Ties(service_class="gone"))], "mailbox changed")
    tell(bench, {})
    [left] = plans.make(bench.store, bench.followers, Budget(), bench.clock.at).left
    assert left.startswith("1 mailbox on ms1.example.net should live elsewhere")


def test_the_planner_sees_ties_as_they_are(bench: Drain) -> None:
    tie(bench, "free", pin=MS2, service_class="gold", apart="postmasters")
    tell(bench, {MS1: dict.fromkeys(loads.users(bench.store, 2, MS1, "u"), 1.0)})
    boxes = measured.read(bench.store, bench.followers, bench.clock.at).fleet.mailboxes
    assert boxes.together.tolist() == [0, 0, 0, -1, -1, -1]
    assert boxes.apart.tolist() == [-1, -1, -1, 0, -1, -1]
    assert boxes.pin.tolist() == [-1, -1, -1, 1, -1, -1]
    assert boxes.classes.tolist() == [0, 0, 0, 1, 0, 0]
