"""Spreading the load, over the API: from what nodes have told to moves that are asked for, with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import loads
import pytest
from loads import STRENGTH, load, tell, users
from moving import MS3
from test_moves_api import Api
from world import MS1, MS2

from roost.control import headroom, nodes, usage
from roost.control.balancer import EVERY, days_of
from roost.control.placing import Placer
from roost.control.warnings import Warned
from roost.domain.errors import BadSetting, NotFound, Refused
from roost.domain.move import Part, Said, State
from roost.domain.node_load import Strength
from roost.store.store import SqlStore
from roost.wire.balance_resources import NewPlan, PlanView, Supposed
from roost.wire.resources import NewMailbox, NewMailboxes


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    """Anna and ben live on ms1; ms3 is there, too."""
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


@pytest.fixture
def busy(api: Api) -> dict[int, float]:
    """Twelve mailboxes that poll every second on ms1 (0.17 processors), one every ten seconds on ms2."""
    on1 = dict.fromkeys(users(api.bench.store, 12, MS1, "busy"), 8.0)
    on2 = dict.fromkeys(users(api.bench.store, 3, MS2, "calm"), 0.1)
    tell(api.bench, {MS1: on1, MS2: on2})
    return on1


def _homes(found: PlanView) -> set[tuple[str, str]]:
    return {(step.source, step.target) for step in found.steps}


def test_a_busy_node_sends_mailboxes_away_with_reasons(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    assert found.id == 1
    assert found.mailboxes > 1
    assert _homes(found) <= {(MS1, MS2), (MS1, MS3)}
    assert all(f"{MS1}'s processor is at" in step.reason and "logs in" in step.reason for step in found.steps)
    levels = {levels.node: levels for levels in found.nodes}
    assert levels[MS1].before[0] > levels[MS1].after[0]
    assert levels[MS1].after[0] <= found.goal[0] * 1.1
    assert found.refused == {"missing": 2}
    assert found.costs.minutes > 0
    assert api.admin.plan() == found == api.admin.plan(1)
    assert api.admin.make_plan(NewPlan()).steps == found.steps, "same input, same plan"


def test_a_budget_is_kept(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan(moves=1))
    assert found.mailboxes == 1
    assert any("budget" in words for words in found.left)


def test_apply_asks_for_just_these_moves_and_a_second_plan_is_empty(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    dry = api.admin.apply_plan(found.id, dry_run=True)
    assert (dry.dry_run, dry.ids) == (True, [])
    asked = api.admin.apply_plan(found.id)
    assert asked.parent == f"plan-{found.id}"
    assert len(asked.ids) == found.mailboxes
    with api.bench.store.read() as view:
        moves = {str(move.address): move for move in view.moves(parent=asked.parent)}
        events = [event for event in view.events(limit=10_000) if event.verb == "plan applied"]
    assert {(a, m.target) for a, m in moves.items()} == {(a, s.target) for s in found.steps for a in s.mailboxes}
    assert [event.subject for event in events] == [f"plan {found.id}"]
    assert api.admin.plan(found.id).applied == asked.parent
    assert api.admin.make_plan(NewPlan()).steps == [], "who is on his way counts at his target"
    with pytest.raises(Refused, match="already"):
        api.admin.apply_plan(found.id)


def test_what_was_asked_for_just_before_a_crash_is_not_asked_for_again(
    api: Api, busy: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = api.admin.make_plan(NewPlan())
    with monkeypatch.context() as patch:
        patch.setattr("roost.control.plans._put", lambda *_: None)
        asked = api.admin.apply_plan(found.id)
    assert not api.admin.plan(found.id).applied
    with pytest.raises(Refused, match=f"already, as the batch {asked.parent}"):
        api.admin.apply_plan(found.id)


def test_a_plan_that_no_longer_fits_is_refused_and_says_why(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    address = found.steps[0].mailboxes[0]
    numbers = list(busy)
    with api.bench.store.write("me") as tx:
        moved = [replace(box, home=MS3) for box in tx.numbered(numbers).values()]
        tx.put_mailboxes(moved, "mailbox changed")
    with pytest.raises(Refused, match=f"{address} lives on {MS3} and not on {MS1}"):
        api.admin.apply_plan(found.id)
    with pytest.raises(NotFound):
        api.admin.apply_plan(99)


def test_little_that_no_longer_fits_is_left_out(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    address = found.steps[0].mailboxes[0]
    api.admin.remove_mailbox(address)
    asked = api.admin.apply_plan(found.id)
    assert len(asked.ids) == found.mailboxes - 1
    assert f"Left out: {address} was removed." in asked.did


def test_who_could_not_be_moved_rests_for_a_day_and_who_was_called_off_does_not(
    api: Api, busy: dict[int, float]
) -> None:
    bench = api.bench
    [called_off] = bench.ask("busy0", to=MS2).ids
    [failed] = bench.ask("busy1", to=MS2).ids
    bench.until(failed, State.COPYING)
    api.admin.order_moves("abort", id=called_off)
    bench.report(failed, Part.TARGET, Said.REFUSED, bench.move(failed).attempts, "no room")
    for move in (called_off, failed):
        bench.drop(move)
        assert bench.move(move).state is State.UNDONE
    tell(bench, {MS1: busy})
    moved = {address for step in api.admin.make_plan(NewPlan()).steps for address in step.mailboxes}
    assert "busy1@example.com" not in moved
    bench.clock.at += timedelta(hours=25)
    tell(bench, {MS1: busy})
    assert api.admin.make_plan(NewPlan()).steps


def test_a_plan_is_of_today(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    api.bench.clock.at += timedelta(hours=25)
    with pytest.raises(Refused, match="more than a day ago"):
        api.admin.apply_plan(found.id)


def test_another_strength_makes_it_another_plan(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.make_plan(NewPlan())
    for name in (MS2, MS3):
        nodes.change(api.bench.store, "me", name, None, None, declared={"cpu": 0.1})
    with pytest.raises(Refused, match="not as strong"):
        api.admin.apply_plan(found.id)


def test_the_fast_machine_gets_more(api: Api) -> None:
    on1 = dict.fromkeys(users(api.bench.store, 40, MS1, "busy"), 8.0)
    tell(api.bench, {MS1: on1}, strengths={MS3: replace(STRENGTH, cpu=4.0, io=4000.0)})
    found = api.admin.make_plan(NewPlan())
    to = [step.target for step in found.steps]
    assert to.count(MS3) > 1.5 * to.count(MS2) > 0


def test_who_is_away_ill_silent_or_unmeasured_neither_gives_nor_takes(api: Api, busy: dict[int, float]) -> None:
    bench = api.bench
    bench.clock.at += timedelta(minutes=2)
    bench.hear(MS1)
    found = api.admin.make_plan(NewPlan())
    assert not found.steps
    assert {levels.node: levels.closed for levels in found.nodes}[MS2] == "is not connected"
    bench.hear()
    bench.hear(MS2, health={"dovecot": "it fell over."})
    assert {step.target for step in api.admin.make_plan(NewPlan()).steps} == {MS3}
    bench.clock.at += timedelta(minutes=30)
    bench.hear()
    with pytest.raises(Refused, match="not told its load"):
        api.admin.make_plan(NewPlan())


def test_nothing_measured_is_said_with_the_remedy(api: Api) -> None:
    with pytest.raises(Refused, match="not said how strong") as caught:
        api.admin.make_plan(NewPlan())
    assert "roost node load" in caught.value.remedy


def test_a_full_disk_gets_no_one(api: Api, busy: dict[int, float]) -> None:
    bench = api.bench
    with bench.store.read() as view:
        ms2 = nodes.find(view.cluster(), MS2)
    usage.take(bench.store, ms2, [], loads.minute(disk_free=5e10), bench.clock.at)
    assert {step.target for step in api.admin.make_plan(NewPlan()).steps} == {MS3}
    api.bench.mover.tick()
    bench.store.put_value("headroom", "")
    api.http.app.state.parts.balancer.tick()  # type: ignore[attr-defined]
    for name in ("new1", "new2", "new3"):
        assert MS2 not in api.admin.add_mailbox(NewMailbox(address=f"{name}@example.com", password="x" * 12)).did[0]


@pytest.mark.parametrize(
    "rubbish",
    [
        {"hour": (999,) * 6, "week": (999,) * 6},
        {"hour": (0, 0, 0, 0, 0, 300), "week": (0, 0, 0, 0, 0, 300)},
        {"since": 10**9},
        {"age": 3},
    ],
)
def test_rubbish_moves_nobody(api: Api, rubbish: dict[str, object]) -> None:
    """Absurd rates, a counter that began anew, a measuring that has just begun."""
    bench = api.bench
    numbers = users(bench.store, 4, MS1, "odd")
    tell(bench, {})
    with bench.store.read() as view:
        ms1 = nodes.find(view.cluster(), MS1)
    age = int(rubbish.pop("age", loads.WEEK))  # type: ignore[call-overload]
    told = [load(number, 30.0, bench.clock.at, age=age)._replace(**rubbish) for number in numbers]  # type: ignore[arg-type]
    bench.store.put_loads(ms1.name, told, lambda new, _: new)
    assert api.admin.make_plan(NewPlan()).steps == []


def test_minutes_of_a_larger_machine_around_it_are_left_out(api: Api) -> None:
    """In a container the counters may be the whole machine's: busier than it has processors."""
    on1 = dict.fromkeys(users(api.bench.store, 12, MS1, "busy"), 8.0)
    tell(api.bench, {MS1: on1}, cpu=30.0)
    found = api.admin.make_plan(NewPlan())
    assert found.costs.minutes == 0
    assert max(levels.before[0] for levels in found.nodes) < 2


def test_a_machine_of_which_no_processors_are_known_is_taken_as_a_reference(api: Api) -> None:
    on1 = dict.fromkeys(users(api.bench.store, 12, MS1, "busy"), 8.0)
    tell(api.bench, {MS1: on1}, strengths={MS1: Strength(2.0, 2000.0, 8e9, 1e12)})
    assert api.admin.make_plan(NewPlan()).steps


def test_stop_ends_it_and_undoes_what_is_under_way(api: Api, busy: dict[int, float]) -> None:
    api.admin.change_policy({"balance_auto": "on"})
    asked = api.admin.apply_plan(api.admin.make_plan(NewPlan(moves=3)).id)
    other = api.bench.ask("anna", to=MS2)
    dry = api.admin.stop_balance(dry_run=True)
    assert dry.did
    assert api.admin.balance().auto
    api.admin.stop_balance()
    assert not api.admin.balance().auto
    assert all(api.bench.move(one).state in {State.UNDOING, State.UNDONE} for one in asked.ids)
    assert api.bench.move(other.ids[0]).state not in {State.UNDOING, State.UNDONE}


def test_by_itself_it_acts_at_the_second_look_and_then_waits(api: Api, busy: dict[int, float]) -> None:
    bench, balancer = api.bench, api.http.app.state.parts.balancer  # type: ignore[attr-defined]

    def look() -> bool:
        bench.clock.at += EVERY
        on2: dict[int, float] = {}
        tell(bench, {MS1: busy, MS2: on2})
        return balancer.tick()

    assert not look()
    assert "not applied by themselves" in api.admin.balance().said
    api.admin.change_policy({"balance_auto": "on", "balance_moves": 2})
    api.warnings.append(Warned("mx1", "is not connected.", "Look.", "node-silent"))
    assert not look()
    assert "Something is wrong: mx1" in api.admin.balance().said
    api.warnings[:] = [Warned("cluster", "there is only one dns node.", "Add one.", "role-single")]
    assert not look()
    assert "looked at once more" in balancer.said
    assert not balancer.tick(), "a look is taken every quarter of an hour only"
    assert look()
    with bench.store.read() as view:
        moves = view.moves()
        events = [event.actor for event in view.events(limit=10_000) if event.verb == "plan applied"]
    assert [move.actor for move in moves] == ["balancer"] * 2
    assert events == ["balancer"]
    assert not look()
    assert "The last plan was applied" in balancer.said


def test_new_mailboxes_go_where_room_was_measured(api: Api, busy: dict[int, float]) -> None:
    balancer = api.http.app.state.parts.balancer  # type: ignore[attr-defined]
    balancer.tick()
    with api.bench.store.read() as view:
        room = headroom.known(view)
        assert room is not None
        placer = Placer(view.cluster(), view.homes(), room)
    homes = [placer.place(None) for _ in range(300)]
    assert homes[0] in {MS2, MS3}
    assert homes.count(MS1) < homes.count(MS2)
    assert homes.count(MS2) > 100 < homes.count(MS3), "what was placed counts at once"
    many = [NewMailbox(address=f"m{n}@example.com", password="correct horse") for n in range(20)]
    assert api.admin.import_mailboxes(NewMailboxes(mailboxes=many)).did == ["20 mailboxes added."]
    assert api.admin.mailbox("m0@example.com").home != MS1
    api.bench.clock.at += timedelta(minutes=30)
    balancer.tick()
    with api.bench.store.read() as view:
        assert headroom.known(view) is None, "nobody has told anything: mailboxes are counted"


def test_a_forecast_needs_days_and_then_tells(api: Api, busy: dict[int, float]) -> None:
    with pytest.raises(Refused, match="7 days"):
        api.admin.forecast()
    balancer = api.http.app.state.parts.balancer  # type: ignore[attr-defined]
    for day in range(10):
        api.bench.clock.at += timedelta(days=1)
        tell(api.bench, {MS1: busy}, minutes=2, disk_free=9e11 - day * 1e10)
        balancer.tick()
    assert len(days_of(api.bench.store)) == 10
    found = api.admin.forecast()
    first = found[0]
    assert (first.dimension, first.limit) == ("disk", 0.9)
    assert first.a_day == pytest.approx(0.01, rel=0.1)
    assert first.likely == pytest.approx(71, abs=3)


def test_what_if(api: Api, busy: dict[int, float]) -> None:
    found = api.admin.suppose(Supposed(add=["2x"], remove=[MS2]))
    assert found.id == 0
    levels = {levels.node: levels for levels in found.nodes}
    assert levels["new1"].capacity[0] == pytest.approx(2 * STRENGTH.cpu)
    assert levels["new1"].after[0] > 0
    assert not [step for step in found.steps if step.target == MS2]
    assert {step.cause for step in found.steps if step.source == MS2} == {"drain"}
    assert api.admin.suppose(Supposed(add=[MS1])).nodes[-1].capacity == levels[MS1].capacity
    with pytest.raises(NotFound):
        api.admin.plan()
    for wrong in (Supposed(), Supposed(add=["large"]), Supposed(add=["0x"])):
        with pytest.raises(BadSetting) as caught:
            api.admin.suppose(wrong)
        assert caught.value.field == "add"
    with pytest.raises(NotFound):
        api.admin.suppose(Supposed(remove=["ms9.example.net"]))


def test_who_has_moved_rests_and_his_copy_counts(api: Api, busy: dict[int, float]) -> None:
    asked = api.bench.ask("busy0", to=MS2)
    api.bench.until(asked.ids[0], State.DONE)
    tell(api.bench, {MS1: busy})
    found = api.admin.make_plan(NewPlan())
    assert "busy0@example.com" not in {address for step in found.steps for address in step.mailboxes}


def test_only_administrators(api: Api) -> None:
    for method, path in (("GET", ""), ("POST", "/plans"), ("POST", "/stop"), ("GET", "/forecast")):
        assert api.http.request(method, f"/v1/balance{path}").status_code == 401
