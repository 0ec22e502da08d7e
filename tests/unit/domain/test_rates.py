"""Rates and patterns: right at any age, the same however what was done is cut up, and never moved by rubbish."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.domain import usage
from roost.domain.usage import HOUR, NOTHING, SLOTS, WEEK, Counts, History, Prior, Time

_NOW = 1_800_000_000.0
_amounts = st.floats(min_value=0, max_value=1e9)
_counts = st.builds(Counts, *[_amounts] * 6)
_seconds = st.floats(min_value=0, max_value=30 * 86_400)
_half_lives = st.sampled_from([HOUR, WEEK])


def _close(a: Counts, b: Counts, tolerance: float = 1e-6) -> bool:
    return all(math.isclose(x, y, rel_tol=tolerance, abs_tol=1e-9) for x, y in zip(a, b, strict=True))


@given(age=st.floats(min_value=WEEK / 7, max_value=100 * WEEK), half_life=_half_lives)
def test_who_does_the_same_all_the_time_has_that_rate_at_any_age(age: float, half_life: float) -> None:
    history = usage.added(History(_NOW - age, _NOW - age), age, Counts(logins=age / 30), _NOW)
    assert math.isclose(usage.rates(history, _NOW, half_life).logins, 1 / 30, rel_tol=1e-6)


@given(counts=_counts, cut=st.floats(min_value=0.01, max_value=0.99), seconds=_seconds, half_life=_half_lives)
def test_one_long_session_counts_like_its_two_halves(
    counts: Counts, cut: float, seconds: float, half_life: float
) -> None:
    began = History(_NOW - seconds, _NOW - seconds)
    first = Counts._make(c * cut for c in counts)
    rest = Counts._make(c - d for c, d in zip(counts, first, strict=True))
    whole = usage.added(began, seconds, counts, _NOW)
    middle = usage.added(began, seconds * cut, first, _NOW - seconds * (1 - cut))
    halves = usage.added(middle, seconds * (1 - cut), rest, _NOW)
    assert _close(usage.rates(whole, _NOW, half_life), usage.rates(halves, _NOW, half_life), 1e-4)


@given(counts=_counts, half_life=_half_lives, gone=st.floats(min_value=0, max_value=WEEK))
def test_after_a_half_life_of_nothing_the_sum_is_half(counts: Counts, half_life: float, gone: float) -> None:
    history = usage.added(History(_NOW - 100 * WEEK, _NOW), 0, counts, _NOW)
    then = usage.rates(history, _NOW, half_life)
    later = usage.rates(history, _NOW + gone, half_life)
    assert _close(later, Counts._make(rate * 0.5 ** (gone / half_life) for rate in then), 1e-6)


@given(counts=_counts, back=st.floats(min_value=0, max_value=1e8))
def test_a_clock_that_was_put_back_loses_nothing_and_ends_in_no_number(counts: Counts, back: float) -> None:
    history = usage.added(History(_NOW, _NOW), 0, counts, _NOW)
    found = usage.rates(usage.added(history, 0, NOTHING, _NOW - back), _NOW - back, WEEK)
    assert all(map(math.isfinite, found))
    assert min(found) >= 0


@pytest.mark.parametrize(
    ("seconds", "counts", "why"),
    [
        (1, Counts(logins=1), ""),
        (0, Counts(), ""),
        (1, Counts(logins=-1), "negative"),
        (-1, Counts(), "negative"),
        (60, Counts(cpu=math.nan), "no-number"),
        (math.inf, Counts(), "no-number"),
        (60, Counts(bytes_in=1e18), "absurd"),
        (60, Counts(cpu=1e6), "absurd"),
        (4e8, Counts(logins=1), "absurd"),
    ],
)
def test_rubbish_is_refused_by_name(seconds: float, counts: Counts, why: str) -> None:
    assert usage.refusal(seconds, counts) == why


@given(
    seconds=st.floats(allow_nan=True, allow_infinity=True),
    counts=st.builds(Counts, *[st.floats(allow_nan=True, allow_infinity=True)] * 6),
)
def test_what_is_not_refused_gives_rates_that_are_numbers(seconds: float, counts: Counts) -> None:
    if usage.refusal(seconds, counts):
        return
    history = usage.added(History(_NOW, _NOW), seconds, counts, _NOW)
    for half_life in (HOUR, WEEK):
        found = usage.rates(history, _NOW, half_life)
        assert all(map(math.isfinite, found))
        assert min(found) >= 0
    assert set(usage.pattern(history)) <= set("0123456789")


def test_slots_are_two_hours_of_working_days_and_of_weekends() -> None:
    friday, saturday, monday = 86_400.0, 2 * 86_400.0, 4 * 86_400.0
    assert usage.slot_of(friday + 23 * 3600) == 11
    assert usage.slot_of(saturday) == 12
    assert usage.slot_of(saturday + 86_399) == 23
    assert usage.slot_of(monday + 9 * 3600) == 4


def test_a_pattern_shows_when_somebody_works() -> None:
    history = History(0.0, 0.0)
    for day in range(28):
        weekend = (day + 3) % 7 >= 5
        for hour, logins in ((9, 100), (13, 50)):
            at = day * 86_400.0 + hour * 3600
            history = usage.added(history, 60, Counts(logins=0 if weekend else logins), at)
    found = usage.pattern(history)
    assert len(found) == SLOTS
    assert found[4] == "9"
    assert found[6] in "45"
    assert set(found[12:]) == {"0"}


def test_a_session_of_days_is_no_peak_at_its_end() -> None:
    history = usage.added(History(0.0, 0.0), 7 * 86_400.0, Counts(cpu=700), 7 * 86_400.0)
    assert set(usage.pattern(history)) == {"9"}


@given(rate=st.floats(min_value=2.0**-24, max_value=1e12))
def test_a_code_is_exact_to_four_and_a_half_percent(rate: float) -> None:
    assert abs(usage.rate_of(usage.code_of(rate)) / rate - 1) < 0.045


@given(rate=st.floats(min_value=1e-3, max_value=1e9), hours=st.floats(min_value=0, max_value=5))
def test_a_code_fades_as_the_rate_does(rate: float, hours: float) -> None:
    gone = usage.code_of(rate * 0.5**hours)
    assert abs(usage.faded(usage.code_of(rate), hours * HOUR, HOUR) - gone) <= 1


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, 1e-9])
def test_no_rate_has_code_0(rate: float) -> None:
    assert usage.code_of(rate) == 0
    assert usage.rate_of(0) == 0


def _prior(history: History, at: float) -> Prior:
    rates = [usage.rates(history, at, half_life) for half_life in (HOUR, WEEK)]
    return Prior(history.since, at, rates[0], rates[1], usage.pattern(history))


@given(
    counts=st.builds(Counts, *[st.floats(min_value=0, max_value=1e6)] * 6),
    later=st.floats(min_value=0, max_value=10 * HOUR),
)
def test_after_a_move_the_rates_go_on(counts: Counts, later: float) -> None:
    there = usage.added(History(_NOW - 3 * WEEK, _NOW), HOUR, counts, _NOW)
    here = usage.with_prior(History(_NOW + later, _NOW + later), _prior(there, _NOW))
    for half_life in (HOUR, WEEK):
        at = _NOW + later
        assert _close(usage.rates(here, at, half_life), usage.rates(there, at, half_life), 1e-6)
    if usage.work(counts):
        assert usage.pattern(here) == usage.pattern(there)


def test_what_was_known_before_counts_once() -> None:
    there = usage.added(History(0.0, _NOW), HOUR, Counts(logins=100), _NOW)
    here = usage.with_prior(History(_NOW, _NOW), _prior(there, _NOW))
    assert usage.with_prior(here, _prior(there, _NOW)) == here


def test_a_prior_that_cannot_be_is_not_believed() -> None:
    here = History(_NOW, _NOW)
    for counts in (Counts(logins=-1), Counts(cpu=math.nan), Counts(bytes_in=1e30)):
        assert usage.with_prior(here, Prior(0.0, _NOW, counts, NOTHING, "")) == here


def test_a_clock_that_jumps_is_followed_only_when_it_stays() -> None:
    time = Time(_NOW)
    for turn in range(9):
        time = time.later(60, _NOW + 1e6 + 60 * turn)
        assert time.jumped
        assert time.at == _NOW + 60 * (turn + 1)
    time = time.later(60, _NOW + 2e6)
    assert (time.at, time.jumped) == (_NOW + 2e6, True)
    assert not time.later(60, _NOW + 2e6 + 61).jumped


def test_a_short_jump_leaves_no_trace() -> None:
    time = Time(_NOW).later(60, 0.0).later(60, _NOW + 120)
    assert time == Time(_NOW + 120)
