"""What a mailbox is used: counts, and the rates that follow from them. Pure: the time is an argument.

Counting
    A home is told of each session and each delivery when it ends (``Deed``): what it did, and for how long it lasted.

Rates
    A rate is what is done in a second, the recent weighing more: with the half-life ``H`` and ``k = ln 2 / H``, what
    was done at a time ``t`` counts ``e^(-k (now - t))``. A home keeps the sum ``S`` of what was done, so weighed; the
    rate is ``k S / (1 - e^(-k age))``. The divisor makes up for a short history: a mailbox that did the same every
    second since measuring began has just that rate, at any age. (Ages below a seventh of the half-life count as that:
    one login in a mailbox's first second is no storm.) What lasted ``d`` seconds is taken as done evenly in them: its
    part of ``S`` is ``amount * (1 - e^(-k d)) / (k d)``, so a session of a week is no peak at its end.

    There are two rates of each measure: with ``HOUR`` as half-life for what is now, with ``WEEK`` for what is usual.

Pattern
    When the work is done: 24 figures, twelve slots of two hours (UTC) of working days, then twelve of weekends. Finer
    slots would show chance, not habits, and a pattern of 168 hours would be seven times as large. Sums of ``work``,
    with ``SEASON`` as half-life.

Codes
    A rate travels and is kept as a small whole number on a logarithmic scale (``code_of``), exact to 4.5 %.

What cannot be is refused and counted, never believed: ``refusal``. So is a clock that jumps: ``Time``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

HOUR, WEEK, SEASON = 3600.0, 604_800.0, 2_419_200.0
"""Half-lives, in seconds: an hour, a week, four weeks."""

SLOTS = 24
_DAY = 86_400.0
_SLOT = 7200.0
_YOUNG = 7
_MOST_SEASONS = 500
_LONGEST = 366 * _DAY
_TOUCH = 0.005
"""Processor seconds that a login or a delivery takes outside of the mailbox's own process: a guess for ``work``."""

STEPS = 8
"""Codes for each doubling."""

_LEAST = 2.0**-24
_GREATEST_CODE = 999


class Counts(NamedTuple):
    """What was done. ``connected`` and ``cpu`` in seconds; the latter of the processes that work for the mailbox."""

    logins: float = 0.0
    deliveries: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    connected: float = 0.0
    cpu: float = 0.0


_MOST = Counts(logins=1e4, deliveries=1e4, bytes_in=1.25e11, bytes_out=1.25e11, connected=1e4, cpu=1e3)
"""The most that one mailbox can do in a second; of bytes, what a line of 1,000 Gbit/s carries."""

NOTHING = Counts()


class Deed(NamedTuple):
    """What one mailbox did within so many seconds until now."""

    number: int
    seconds: float
    counts: Counts


class Size(NamedTuple):
    """How large a mailbox is: bytes as its owner counts them, and messages."""

    bytes: int
    messages: int


class History(NamedTuple):
    """What a home knows of one mailbox.

    ``since`` is when measuring began, ``at`` the time to which the rates' sums are weighed; seconds (UNIX). Those of
    ``slots`` are weighed to ``since``: what comes later weighs more, and what is there need not be touched.
    """

    since: float
    at: float
    hour: Counts = NOTHING
    week: Counts = NOTHING
    slots: tuple[float, ...] = (0.0,) * SLOTS


def refusal(seconds: float, counts: Counts) -> str:
    """Return why these counts cannot be, '' where they can: ``negative``, ``absurd`` or ``no-number``."""
    if not all(map(math.isfinite, (seconds, *counts))):
        return "no-number"
    if seconds < 0 or min(counts) < 0:
        return "negative"
    if seconds > _LONGEST or any(count > most * (seconds + 1) for count, most in zip(counts, _MOST, strict=True)):
        return "absurd"
    return ""


def together(counts: Iterable[Counts]) -> Counts:
    """Return the sum."""
    return Counts._make(map(math.fsum, zip(NOTHING, *counts, strict=True)))


def work(counts: Counts) -> float:
    """Return roughly how much processor time it took, in seconds; for the pattern only."""
    return counts.cpu + _TOUCH * (counts.logins + counts.deliveries)


def added(history: History, seconds: float, counts: Counts, at: float) -> History:
    """Return the history with what was done in so many seconds until ``at``; to be asked ``refusal`` before.

    Where ``at`` lies before the history's time, the clock was put back: what is known counts as known now.
    """
    since, before, hour, week, slots = history
    gone = at - before if at > before else 0.0
    done = work(counts)
    if at < since:
        slots = _weighed_to(slots, since, at)
        since = at
    if done:
        now = list(slots)
        weight = done * 2.0 ** ((at - since) / SEASON)
        for slot, share in _shares(at, seconds):
            now[slot] += weight * share
        slots = tuple(now)
    return History(
        since, at, _summed(hour, gone, counts, seconds, HOUR), _summed(week, gone, counts, seconds, WEEK), slots
    )


def _summed(sums: Counts, gone: float, counts: Counts, seconds: float, half_life: float) -> Counts:
    less, part = 0.5 ** (gone / half_life), _part(seconds, half_life)
    return Counts._make([total * less + count * part for total, count in zip(sums, counts)])  # noqa: B905 - one type


def _weighed_to(slots: tuple[float, ...], since: float, to: float) -> tuple[float, ...]:
    """Return the slots' sums weighed to another time."""
    more = 2.0 ** max(-_MOST_SEASONS, min((since - to) / SEASON, _MOST_SEASONS))
    return tuple([value * more for value in slots])


@functools.lru_cache(maxsize=256)
def _part(seconds: float, half_life: float) -> float:
    """Return what remains of an amount that was done evenly in the last seconds."""
    lives = math.log(2) * seconds / half_life
    return -math.expm1(-lives) / lives if lives > 1e-9 else 1.0


def rates(history: History, at: float, half_life: float) -> Counts:
    """Return the rates (of a second) at a time that is not before the history's."""
    sums = history.hour if half_life == HOUR else history.week
    k = math.log(2) / half_life
    weight = k * 0.5 ** (max(0.0, at - history.at) / half_life)
    age = max(at - history.since, half_life / _YOUNG)
    weight /= -math.expm1(-k * age)
    return Counts._make([total * weight for total in sums])


def slot_of(at: float) -> int:
    """Return the slot of a time: 0 to 11 on working days, 12 to 23 on weekends; UTC.

    >>> slot_of(0.0)  # a Thursday's midnight
    0
    """
    days, second = divmod(at, _DAY)
    return int(second // _SLOT) + (12 if (int(days) + 3) % 7 >= 5 else 0)


def _days(slot: int) -> int:
    """Return on how many days of a week there is such a slot."""
    return 5 if slot < SLOTS // 2 else 2


def _shares(at: float, seconds: float) -> Iterable[tuple[int, float]]:
    """Yield slots and the share of the last seconds that lay in them; the last week stands for a longer time."""
    if seconds <= at % _SLOT:
        yield slot_of(at - seconds), 1.0
        return
    seconds = left = min(seconds, WEEK)
    while left > 0:
        here = min(left, at % _SLOT or _SLOT)
        yield slot_of(at - here), here / seconds
        at, left = at - here, left - here


def pattern(history: History) -> str:
    """Return 24 digits, how much is done in a second of each slot: 9 in the busiest one; '' for no work at all."""
    means = [value / _days(slot) for slot, value in enumerate(history.slots)]
    most = max(means)
    return "".join(str(round(9 * mean / most)) for mean in means) if most > 0 else ""


@dataclass(frozen=True)
class Prior:
    """What the cluster knew of a mailbox before: since when, its rates at a time, its pattern."""

    since: float
    at: float
    hour: Counts
    week: Counts
    pattern: str


def with_prior(history: History, prior: Prior) -> History:
    """Return a history that goes on from what was known: the mailbox has moved here, or the home's file is new.

    Nothing changes where this history is the longer one, or what was known cannot be.
    """
    if refusal(1.0, prior.hour) or refusal(1.0, prior.week):
        return history
    if not (history.at - _LONGEST * 10 < prior.since < history.since and prior.since <= prior.at):
        return history
    hour, week = (_sums_of(prior, half_life) for half_life in (HOUR, WEEK))
    older = added(History(prior.since, prior.at, hour, week), 0.0, NOTHING, history.at)
    known = prior.pattern if len(prior.pattern) == SLOTS and prior.pattern.isdigit() else "0" * SLOTS
    weighed = [int(digit) * _days(slot) for slot, digit in enumerate(known)]
    share = work(older.week) / max(sum(weighed), 1)
    known_now = tuple([weight * share * 2.0 ** ((history.at - prior.since) / SEASON) for weight in weighed])
    mine = _weighed_to(history.slots, history.since, prior.since)
    return History(
        prior.since,
        history.at,
        together([older.hour, history.hour]),
        together([older.week, history.week]),
        tuple([before + now for before, now in zip(known_now, mine, strict=True)]),
    )


def _sums_of(prior: Prior, half_life: float) -> Counts:
    """Return the sums from which ``rates`` would have made these."""
    k = math.log(2) / half_life
    age = max(prior.at - prior.since, half_life / _YOUNG)
    known = prior.hour if half_life == HOUR else prior.week
    return Counts._make([value * -math.expm1(-k * age) / k for value in known])


# Codes


def code_of(rate: float) -> int:
    """Return a rate as a code: 0 for less than 2^-24, which is one in half a year; then 8 codes for each doubling."""
    if not rate >= _LEAST:
        return 0
    return min(_GREATEST_CODE, round(STEPS * math.log2(rate / _LEAST)) + 1)


def rate_of(code: int) -> float:
    """Return the rate for which a code stands."""
    return _LEAST * 2.0 ** ((code - 1) / STEPS) if code > 0 else 0.0


def codes_of(counts: Counts) -> tuple[int, ...]:
    """Return the codes of all measures."""
    return tuple(map(code_of, counts))


def rates_of(codes: Iterable[int]) -> Counts:
    """Return the rates of all measures."""
    return Counts._make(map(rate_of, codes))


def faded(code: int, seconds: float, half_life: float) -> int:
    """Return what a code has become after so many seconds in which nothing was done."""
    return max(0, round(code - STEPS * max(0.0, seconds) / half_life)) if code else 0


class Load(NamedTuple):
    """What the cluster is told of one mailbox, in codes. ``since`` and ``at`` in minutes (UNIX).

    ``hour`` and ``week`` are the rates with those half-lives. ``size`` is None where nobody has looked yet,
    ``pattern`` '' where there is none, or none that is new.
    """

    number: int
    since: int
    at: int
    hour: tuple[int, ...]
    week: tuple[int, ...]
    size: Size | None = None
    pattern: str = ""

    def prior(self) -> Prior:
        """Return what can be gone on from."""
        return Prior(self.since * 60.0, self.at * 60.0, rates_of(self.hour), rates_of(self.week), self.pattern)

    def rates(self, half_life: float, at: float) -> Counts:
        """Return the rates at a time (seconds), with nothing done since."""
        codes = self.hour if half_life == HOUR else self.week
        less = 0.5 ** (max(0.0, at - self.at * 60.0) / half_life)
        return Counts._make([rate_of(code) * less for code in codes])

    def surprise(self, known: Load | None) -> int:
        """Return how much it differs from what is known and has faded since; below 1 it is not worth telling."""
        if known is None:
            return _NEWS
        gone = (self.at - known.at) * 60.0
        if gone > _DAY:
            # Whoever was told may have lost it.
            return 1
        hour = max(abs(now - faded(then, gone, HOUR)) for now, then in zip(self.hour, known.hour, strict=True))
        week = max(abs(now - faded(then, gone, WEEK)) for now, then in zip(self.week, known.week, strict=True))
        size = 0 if self.size == known.size else _size_steps(self.size, known.size)
        return max(hour // _HOUR_STEPS, week // _WEEK_STEPS, size)


_NEWS = 1000
_HOUR_STEPS, _WEEK_STEPS = 4, 2
"""Codes by which a rate must differ to be told: by 41 % and 19 %."""

_SIZE_SHARE = 0.05


def _size_steps(now: Size | None, then: Size | None) -> int:
    if now is None:
        return 0
    if then is None:
        return 1
    return int(abs(now.bytes - then.bytes) > _SIZE_SHARE * then.bytes)


def load_of(number: int, history: History, at: float, size: Size | None = None, *, with_pattern: bool = True) -> Load:
    """Return what is to be told of a history at a time."""
    return Load(
        number,
        int(history.since // 60),
        int(at // 60),
        codes_of(rates(history, at, HOUR)),
        codes_of(rates(history, at, WEEK)),
        size,
        pattern(history) if with_pattern else "",
    )


# Time

_STEP = 60.0
_TURNS = 10


@dataclass(frozen=True)
class Time:
    """The time as it is believed. ``at`` in seconds (UNIX); ``odd`` is how many times the clock has said another.

    ``jumped`` says whether it does now.
    """

    at: float
    odd: int = 0
    jumped: bool = False

    def later(self, passed: float, clock: float) -> Time:
        """Return the time ``passed`` seconds later, by a clock that nobody sets; the one on the wall says ``clock``.

        A jump of the clock is not followed at once: rates would fall for time that has not passed. One that stays,
        for ten turns, is: the clock was wrong before.
        """
        at = self.at + max(0.0, passed)
        if abs(clock - at) <= _STEP:
            return Time(clock)
        if self.odd + 1 >= _TURNS:
            return Time(clock, jumped=True)
        return Time(at, self.odd + 1, jumped=True)
