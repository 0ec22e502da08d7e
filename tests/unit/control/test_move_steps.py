"""The table of states, walked at random: whatever is reported, a step leads along the table or there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from roost.control.followers import Seen
from roost.control.move_limits import Places, hours, within
from roost.control.move_progress import Progress
from roost.control.move_steps import ATTEMPTS, LONGEST_SETTLING, Heard, Settling, prepared, settled, undone, upon
from roost.domain.cluster import Policy
from roost.domain.desired import Place, Table
from roost.domain.errors import BadSetting
from roost.domain.move import NEXT, OPEN, UNDER_WAY, Move, Order, Part, Said, State, Wanted, guest_of, rows_of_move
from roost.domain.names import Address

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MOVE = Move(17, Address("john", "example.com"), 5, "ms1", "ms2", State.ASKED, NOW, NOW, "admin", revision=10)
STATES = st.sampled_from(list(State))
HEARD = st.builds(
    Heard, st.just(17), st.sampled_from(list(Part)), st.sampled_from(list(Said)), st.integers(0, 6), st.just("Words.")
)


@given(start=STATES, attempts=st.integers(0, ATTEMPTS), paused=st.booleans(), reports=st.lists(HEARD, max_size=20))
def test_reports_lead_along_the_table(start: State, attempts: int, paused: bool, reports: Sequence[Heard]) -> None:
    """Attempts only grow, and never beyond their limit; the same report twice does nothing the second time."""
    move = replace(MOVE, state=start, attempts=attempts, paused=paused)
    for heard in reports:
        step = upon(move, heard, NOW)
        if step is None:
            continue
        assert step.old == move
        assert step.new.state in NEXT[move.state]
        assert step.new.state not in {State.SETTLING, State.DONE, State.UNDONE}, "a word alone hands nothing over"
        assert move.attempts <= step.new.attempts <= ATTEMPTS + 1
        assert heard.attempt == move.attempts
        assert upon(step.new, heard, NOW) is None
        move = step.new


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_orders_and_its_guest(state: State) -> None:
    """Both nodes work while a move is under way, the source alone while it settles, nobody else."""
    move = replace(MOVE, state=state, format="sdbox", format_before="maildir")
    orders = {row.scope: Order.of_row(row.key, row.value) for row in rows_of_move(move, "j.pop.example.com", 0, 5)}
    guest = guest_of(move, "mdbox")
    if state in UNDER_WAY:
        assert set(orders) == {"ms1", "ms2"}
        assert guest
        assert (guest.node, guest.place, guest.format) == ("ms2", Place.INCOMING, "sdbox")
    elif state is State.SETTLING:
        assert [order.wanted for order in orders.values()] == [Wanted.SETTLE]
        assert guest
        assert (guest.node, guest.place, guest.format) == ("ms1", Place.MOVED, "maildir")
    else:
        assert orders == {}
        assert guest is None
    assert move.open == (state in OPEN) == bool(NEXT[state])


@given(st.tuples(*[st.integers(8, 12)] * 3))
def test_copying_begins_when_both_have_their_orders(positions: tuple[int, int, int]) -> None:
    """And the target its account."""
    source, target, account = positions
    seen = {"ms1": Seen({Table.MOVES: source}), "ms2": Seen({Table.MOVES: target, Table.ACCOUNTS: account})}
    step = prepared(replace(MOVE, state=State.PREPARING), seen, NOW)
    assert (step is not None) == (min(positions) >= MOVE.revision)
    assert prepared(replace(MOVE, state=State.PREPARING), {}, NOW) is None


@given(
    attempts=st.integers(0, 5),
    dropped=st.sets(st.sampled_from(list(Part))),
    here=st.sets(st.sampled_from(["ms1", "ms2"])),
    minutes=st.integers(0, 90),
)
def test_undoing_ends_only_where_the_source_is_surely_the_owner(
    attempts: int, dropped: set[Part], here: set[str], minutes: int
) -> None:
    """After a hand-over was begun, nothing but the source's own word ends it."""
    move = replace(MOVE, state=State.UNDOING, attempts=attempts)
    seen = {node: Seen(at=NOW if node in here else NOW - timedelta(days=1)) for node in ("ms1", "ms2")}
    step = undone(move, dropped, seen, NOW, waited=timedelta(minutes=minutes))
    if dropped == set(Part):
        assert step
    if step:
        assert attempts == 0 or Part.SOURCE in dropped
        assert all(part in dropped or node not in here for part, node in zip(Part, ("ms1", "ms2"), strict=True))


@given(
    without=st.sampled_from([(), ("mx1",)]),
    complete=st.integers(0, 100),
    idle=st.integers(-1, 100),
    hour=st.integers(0, 25),
)
def test_settling_ends(without: tuple[str, ...], complete: int, idle: int, hour: int) -> None:
    """When all is quiet, or after a day in any case, with a reason."""
    now = NOW + timedelta(hours=hour)
    since = None if without else now - timedelta(seconds=complete)
    step = settled(replace(MOVE, state=State.SETTLING), Settling(without, since, idle), 60, now)
    quiet = not without and complete >= 60 and idle >= 60
    assert (step is not None) == (quiet or now - NOW >= LONGEST_SETTLING)
    if step:
        assert bool(step.new.reason) != quiet


@given(pairs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=40))
def test_limits_are_never_passed(pairs: list[tuple[str, str]]) -> None:
    """Of a pair, of a node, of all."""
    policy = Policy(moves=9, moves_per_node=5, moves_per_pair=2)
    places = Places(policy, {("a", "x"): 1})
    taken = [("a", "x"), *(pair for pair in pairs if places.take(*pair))]
    assert len(taken) <= 9
    assert all(taken.count(pair) <= 2 for pair in taken)
    assert all(sum(node in pair for pair in taken) <= 5 for node in "abcxyz")
    assert Places(Policy(moves=1), {("a", "x"): 3}).free("b", "y") == 0


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("", range(24), []), ("22-6", [22, 23, 0, 5], [6, 21]), ("0-24", [], []), ("8-12", [8, 11], [7, 12])],
)
def test_hours(text: str, inside: Sequence[int], outside: Sequence[int]) -> None:
    """The first counts, the last does not; a whole day is said by nothing."""
    if text == "0-24":
        with pytest.raises(BadSetting):
            hours(text)
        return
    assert all(within(text, NOW.replace(hour=hour)) for hour in inside)
    assert not any(within(text, NOW.replace(hour=hour)) for hour in outside)


def test_progress_is_read_with_care() -> None:
    """A node's report may hold anything."""
    for body in ("[]", "{", '{"octets": "x"}', '{"passes": -1}', '{"messages": NaN}', '{"octets": 1e400}'):
        with pytest.raises(BadSetting):
            Progress().copied(body, "")
    read = Progress().copied('{"octets": 900, "seconds": 2, "other": [1]}', "Words.")
    assert (read.bytes, read.rate, read.trouble) == (900, 450, "Words.")
    assert Progress.of_text(read.text()) == read
    assert Progress.of_text("") == Progress()
    assert Progress().text() == ""
