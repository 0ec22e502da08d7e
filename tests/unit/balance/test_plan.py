"""The plan: what always holds, whatever the fleet; and how near it comes to what a solver finds.

``bounds.py`` asks HiGHS for the least that any plan could do, mailboxes being cut like sand.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bounds import least_bytes, least_level
from fleets import invented
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from roost.balance.fleet import NONE, Fleet, Mailboxes, Nodes, State
from roost.balance.goals import Rules
from roost.balance.moves import Budget, Plan
from roost.balance.plan import plan
from roost.domain.load import Capacity, Dimension

EAGER = Rules(calm=(0.0, 0.0, 0.0, 0.0), band=0.0, gain=0.0, move_bytes=0)
SOME = settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])

any_fleet = st.builds(
    invented,
    mailboxes=st.integers(1, 120),
    nodes=st.integers(1, 6),
    seed=st.integers(0, 1000),
    groups=st.booleans(),
    states=st.lists(st.sampled_from(list(State)), max_size=2),
)
any_budget = st.builds(
    Budget,
    bytes=st.none() | st.integers(0, 10**11),
    mailboxes=st.none() | st.integers(0, 50),
    pause_seconds=st.none() | st.floats(0, 20),
)


def steps(fleet: Fleet, found: Plan) -> list[np.ndarray]:
    """Return where mailboxes are after each move."""
    home = fleet.mailboxes.home.copy()
    homes = []
    for move in found.moves:
        assert (home[list(move.mailboxes)] == move.source).all()
        home[list(move.mailboxes)] = move.target
        homes.append(home.copy())
    return homes


@SOME
@given(any_fleet, any_budget)
def test_the_same_input_gives_the_same_plan(fleet: Fleet, budget: Budget) -> None:
    assert plan(fleet, budget, EAGER).moves == plan(fleet, budget, EAGER).moves


@SOME
@given(any_fleet, any_budget)
def test_the_budget_is_kept(fleet: Fleet, budget: Budget) -> None:
    found = plan(fleet, budget, EAGER)
    assert budget.bytes is None or found.bytes <= budget.bytes
    assert budget.mailboxes is None or found.mailboxes <= budget.mailboxes
    assert budget.pause_seconds is None or found.mailboxes * EAGER.pause <= budget.pause_seconds + 1e-9
    assert found.bytes == int(fleet.mailboxes.size[[n for move in found.moves for n in move.mailboxes]].sum())


@SOME
@given(any_fleet)
def test_no_step_overfills_a_disk_even_if_nothing_is_freed(fleet: Fleet) -> None:
    disk = fleet.mailboxes.demand[:, Dimension.DISK].astype(np.float64)
    filled = fleet.loads[:, Dimension.DISK] + fleet.nodes.kept
    limit = EAGER.disk * fleet.nodes.capacity[:, Dimension.DISK]
    for move in plan(fleet, rules=EAGER).moves:
        filled[move.target] += disk[list(move.mailboxes)].sum()
        assert filled[move.target] <= limit[move.target] * (1 + 1e-6)
        assert fleet.nodes.state[move.target] == State.OPEN
        assert fleet.nodes.state[move.source] != State.CLOSED


@SOME
@given(any_fleet, any_budget)
def test_rules_hold_after_every_step(fleet: Fleet, budget: Budget) -> None:
    """Groups that were together stay so, nobody comes to one whom he is kept apart from, classes and pins."""
    boxes, nodes = fleet.mailboxes, fleet.nodes

    def spread(home: np.ndarray) -> dict[int, int]:
        groups = np.unique(boxes.together[boxes.together != NONE])
        return {int(g): len(np.unique(home[boxes.together == g])) for g in groups}

    def meetings(home: np.ndarray) -> int:
        kept = boxes.apart != NONE
        pairs = boxes.apart[kept].astype(np.int64) * len(nodes) + home[kept]
        return len(pairs) - len(np.unique(pairs))

    before, met = spread(boxes.home), meetings(boxes.home)
    for home in steps(fleet, plan(fleet, budget, EAGER)):
        assert all(count <= max(before[group], 1) for group, count in spread(home).items())
        assert meetings(home) <= met
        changed = home != boxes.home
        assert ((boxes.pin == NONE) | (boxes.pin == home))[changed].all()
        assert not (boxes.classes & ~nodes.classes[home])[changed].any()


@SOME
@given(any_fleet, any_budget)
def test_every_move_has_the_levels_of_its_moment(fleet: Fleet, budget: Budget) -> None:
    loads = fleet.loads.copy()
    for move in plan(fleet, budget, EAGER).moves:
        levels = loads / fleet.nodes.capacity
        taken = fleet.mailboxes.demand[list(move.mailboxes)].sum(axis=0, dtype=np.float64)
        assert move.source_level == pytest.approx(levels[move.source, move.dimension])
        assert move.target_level == pytest.approx(levels[move.target, move.dimension])
        assert move.takes == pytest.approx((taken / fleet.nodes.capacity[move.source])[move.dimension])
        loads[move.source] -= taken
        loads[move.target] += taken


@SOME
@given(any_fleet, st.sampled_from([EAGER, Rules()]))
def test_a_second_plan_is_empty(fleet: Fleet, rules: Rules) -> None:
    found = plan(fleet, rules=rules)
    assert plan(found.fleet, rules=rules).moves == ()


@SOME
@given(any_fleet)
def test_who_stays_is_moved_for_no_balance(fleet: Fleet) -> None:
    everybody = replace(fleet.mailboxes, stays=np.ones(len(fleet.mailboxes), np.bool_))
    moves = plan(Fleet(fleet.nodes, everybody), rules=EAGER).moves
    assert all(move.cause != "load" for move in moves)


@SOME
@given(st.integers(1, 300), st.integers(2, 5), st.integers(0, 1000))
def test_a_drained_node_ends_empty(mailboxes: int, nodes: int, seed: int) -> None:
    fleet = invented(mailboxes, nodes, seed, states=[State.DRAINED], fullness=0.3)
    found = plan(fleet)
    assert not (found.fleet.mailboxes.home == 0).any()
    assert not found.left


def test_a_full_disk_gets_no_one() -> None:
    """Though its processor is idle."""
    fleet = invented(200, 3, 1, fullness=0.5)
    base = fleet.nodes.base.copy()
    base[1, Dimension.DISK] = 0.95 * fleet.nodes.capacity[1, Dimension.DISK]
    full = Fleet(replace(fleet.nodes, base=base), fleet.mailboxes)
    assert all(move.target != 1 for move in plan(full, rules=EAGER).moves)


def test_a_group_is_not_torn_apart_by_one_who_stays() -> None:
    nodes = Nodes.of(["ms1", "ms2"], [Capacity(1, 1, 1, 1)] * 2)
    who = {"together": [NONE] * 4 + [0, 0], "stays": [True] * 5 + [False]}
    assert plan(Fleet(nodes, Mailboxes.of([0] * 6, [[0.15, 0, 0, 0.01]] * 6, [10] * 6, **who))).moves == ()


def test_a_new_node_is_filled_from_all_others() -> None:
    """Though all that leave want to go to the one."""
    fleet = invented(20_000, 40, 1, fullness=0.6, memory=0.2, disk=0.3, io=0.2)
    capacity = np.append(fleet.nodes.capacity, [fleet.nodes.capacity.mean(axis=0)], axis=0)
    nodes = Nodes.of([*fleet.nodes.names, "ms41"], [Capacity(*row) for row in capacity.tolist()])
    found = plan(Fleet(nodes, fleet.mailboxes), rules=Rules(band=0.0, gain=0.0))
    assert not found.left
    assert found.after[40, Dimension.CPU] > 0.97 * found.goal[Dimension.CPU]


def test_what_cannot_leave_is_told() -> None:
    nodes = Nodes.of(["ms1", "ms2"], [Capacity(1, 1, 1, 1)] * 2, state=[State.DRAINED, State.OPEN])
    boxes = Mailboxes.of([0, 1], [[0, 0, 0, 0.5], [0, 0, 0, 0.5]], [1, 1])
    found = plan(Fleet(nodes, boxes))
    assert (found.moves, found.left[0].node, found.left[0].mailboxes) == ((), 0, 1)
    assert "room" in found.left[0].why


def test_a_reason_has_the_figures() -> None:
    nodes = Nodes.of(["ms1", "ms2"], [Capacity(1, 1, 1, 1)] * 2)
    boxes = Mailboxes.of([0] * 9 + [1], [[0.1, 0, 0, 0.01]] * 10, [10] * 10, logins=[2880.0] * 10)
    fleet = Fleet(nodes, boxes)
    first = plan(fleet).moves[0]
    assert first.reason(fleet, lambda number: "john") == (
        "ms1's processor is at 90 %, ms2's at 10 %; john logs in 2,880 times a day and takes 10 % of ms1's."
    )


def test_a_calm_fleet_is_left_alone() -> None:
    """However unequal it is."""
    nodes = Nodes.of(["ms1", "ms2"], [Capacity(1, 1, 1, 1)] * 2)
    assert plan(Fleet(nodes, Mailboxes.of([0] * 9, [[0.03, 0, 0, 0]] * 9, [1] * 9))).moves == ()


@pytest.mark.parametrize("seed", range(2))
def test_close_to_the_solver_where_the_processor_is_short(seed: int) -> None:
    """The worst level within 1 % of the least that is possible; bytes near the least for that level."""
    fleet = invented(4000, 5, seed, fullness=0.6, memory=0.2, disk=0.3, io=0.2)
    rules = Rules(band=0.0, gain=0.0, move_bytes=0)
    found = plan(fleet, rules=rules)
    calm = np.maximum(found.goal / (1 + rules.room), rules.calm)
    worst = max(1.0, float((found.after / calm).max()))
    assert worst <= 1.011 * max(1.0, least_level(fleet, calm))
    assert found.bytes <= 1.1 * least_bytes(fleet, worst * calm)


def small(homes: list[int], *, nodes: int = 3, offered: list[int] | None = None, **ties: object) -> Fleet:
    """Return a calm fleet: only ties can move anybody."""
    machines = Nodes.of([f"ms{n + 1}" for n in range(nodes)], [Capacity(1, 1, 1, 1)] * nodes, classes=offered)
    return Fleet(machines, Mailboxes.of(homes, [[0.01, 0, 0, 0.01]] * len(homes), [1] * len(homes), **ties))


def ways(fleet: Fleet) -> list[tuple[tuple[int, ...], int, str]]:
    return [(move.mailboxes, move.target, move.cause) for move in plan(fleet).moves]


def test_who_strays_goes_to_the_others_of_his_group() -> None:
    """To where most of it lives; to its pin; to the node that offers what one of it needs."""
    assert ways(small([0, 1, 1, 2], together=[5, 5, 5, -1])) == [((0,), 1, "rule")]
    assert ways(small([0, 1, 1], together=[5, 5, 5], pin=[0, -1, -1])) == [((1, 2), 0, "rule")]
    gold = {"together": [5, 5, 5], "classes": [2, 0, 0]}
    assert ways(small([0, 1, 1], offered=[2, 0, 2], **gold)) == [((1, 2), 0, "rule")]
    assert ways(small([1, 1, 1], offered=[2, 0, 0], **gold)) == [((0, 1, 2), 0, "rule")]
    [one, other] = plan(small([0, 1, 1], offered=[0, 0, 2], **gold)).left
    assert (one.mailboxes, other.mailboxes) == (1, 2), "they have to be brought there by hand: all or none"


def test_who_lives_beside_one_from_whom_he_is_kept_goes() -> None:
    """All but one, and never the one who is pinned there; a group that is to be both together and apart stays."""
    found = plan(small([0, 0, 0, 1], apart=[5, 5, 5, -1], pin=[-1, 0, -1, -1])).fleet.mailboxes.home
    assert found[1] == 0
    assert len(set(found[:3].tolist())) == 3
    assert ways(small([0, 0], apart=[5, 5], together=[7, 7])) == []


def test_what_ties_forbid_and_nobody_can_help_is_told() -> None:
    found = plan(small([0, 0, 0, 0], nodes=3, apart=[5] * 4))
    [left] = found.left
    assert left.cause == "rule"
    assert left.sentence(found.fleet).startswith("1 mailbox on ms1 should live elsewhere")
    assert [left.mailboxes for left in plan(small([0, 1], offered=[1, 1, 1], classes=[2, 0])).left] == [1]


def test_a_drained_group_goes_together() -> None:
    fleet = small([0, 0, 0, 1], together=[5, 5, 5, -1])
    drained = Fleet(
        replace(fleet.nodes, state=np.array([State.DRAINED, State.OPEN, State.OPEN], np.int8)), fleet.mailboxes
    )
    assert ways(drained) == [((0, 1, 2), 2, "drain")]
