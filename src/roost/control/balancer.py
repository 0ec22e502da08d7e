"""The load, watched: every quarter of an hour measured anew, and where the policy says so, a plan applied by itself.

One for each controller; of several each looks, and the moves of a plan can be asked for once only. By itself it acts

* only where ``balance_auto`` is on, within ``move_hours``, ``balance_every`` hours after the last time;
* never while anything is wrong in the cluster (warnings), or anybody is being moved;
* only where two looks in a row have found something to move: what passes by in a quarter of an hour moves nobody;
* within the policy's limits, as a batch of moves with an event in the audit log; its actor is ``balancer``.

What it does or waits for it says in a sentence: ``said``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from roost.balance.fleet import State
from roost.balance.moves import Budget
from roost.balance.plan import plan
from roost.control import headroom, measured, plans
from roost.control.followers import Followers
from roost.control.measured import Measured
from roost.control.move_limits import within
from roost.control.warnings import Warned
from roost.domain.cluster import Policy
from roost.domain.errors import InvalidInput, Refused
from roost.domain.move import OPEN
from roost.ports.clock import Clock
from roost.ports.store import Store

ACTOR = "balancer"
EVERY = timedelta(minutes=15)
_SOON = timedelta(minutes=1)
"""Where there was nothing to look at, it is looked again so soon."""

_APPLIED = "balance applied"
_DAYS = "balance days"
_DAYS_KEPT = 90
_HARMLESS = {"role-single", "mail-waits-outside", "certificate-expires", "disk-nearly-full"}
"""Warnings in spite of which mailboxes may move; of a disk that is nearly full they should."""


class Balancer:
    """Looks, and acts where it may. ``warnings`` returns what is wrong in the cluster."""

    def __init__(
        self, store: Store, followers: Followers, clock: Clock, warnings: Callable[[], Sequence[Warned]]
    ) -> None:
        self._store = store
        self._followers = followers
        self._clock = clock
        self._warnings = warnings
        self._looked: datetime | None = None
        self._relieves: frozenset[str] = frozenset()
        self.said = "It has not looked yet."

    def tick(self) -> bool:
        """Look, where it is time to; True where moves were asked for."""
        now = self._clock.now()
        if self._looked is not None and timedelta() <= now - self._looked < EVERY:
            return False
        self._looked = now
        try:
            state = measured.read(self._store, self._followers, now)
        except Refused as error:
            headroom.forget(self._store)
            self._looked = now - EVERY + _SOON
            self.said = error.message
            return False
        with self._store.read() as view:
            policy, homes = view.cluster().policy, view.homes()
        headroom.note(self._store, state.fleet, homes)
        note_day(self._store, state, now)
        before = self._relieves
        self.said = self._hindrance(policy, now)
        if self.said:
            self._relieves = frozenset()
            return False
        return self._act(state, policy, before, now)

    def _hindrance(self, policy: Policy, now: datetime) -> str:
        """Return why nothing is to be done by itself now, '' where it may."""
        if policy.balance_auto != "on":
            return "Plans are not applied by themselves: 'roost balance auto on' lets them."
        if not within(policy.move_hours, now):
            return f"It is not within the hours {policy.move_hours} UTC."
        with self._store.read() as view:
            last = view.value(_APPLIED)
            moving = sum(view.count_moves(OPEN).values())
        if last and now - datetime.fromisoformat(last) < timedelta(hours=policy.balance_every):
            when = last[:16].replace("T", " ")
            return f"The last plan was applied at {when} UTC; {policy.balance_every} h are to pass."
        if moving:
            return f"{moving} moves are not over yet."
        wrong = [warned for warned in self._warnings() if warned.name not in _HARMLESS]
        if wrong:
            return f"Something is wrong: {wrong[0].subject} {wrong[0].warning}"
        return ""

    def _act(self, state: Measured, policy: Policy, before: frozenset[str], now: datetime) -> bool:
        budget = Budget(policy.balance_bytes, policy.balance_moves, float(policy.balance_pauses))
        found = plan(state.fleet, budget)
        self._relieves = frozenset(found.fleet.nodes.names[move.source] for move in found.moves)
        if not found.moves:
            self.said = "The load is even enough: there is nothing to move."
            return False
        names = ", ".join(sorted(self._relieves))
        if not self._relieves & before:
            self.said = (
                f"{names} should send mailboxes away; it is looked at once more in {EVERY.seconds // 60} minutes."
            )
            return False
        made = plans.keep(self._store, plans.told(self._store, state, found, now))
        try:
            asked = plans.apply(self._store, self._followers, ACTOR, made.id, now)
        except (Refused, InvalidInput) as error:
            self.said = error.message
            return False
        self._store.put_value(_APPLIED, now.isoformat())
        self._relieves = frozenset()
        self.said = f"Plan {made.id} was applied: {len(asked.ids)} mailboxes leave {names}."
        return bool(asked.ids)


# What was, day by day


def note_day(store: Store, state: Measured, now: datetime) -> None:
    """Keep how full nodes are, once a day, for the forecast."""
    with store.read() as view:
        days: dict[str, dict[str, list[float]]] = json.loads(view.value(_DAYS) or "{}")
    today = f"{now:%Y-%m-%d}"
    if today in days:
        return
    nodes, levels = state.fleet.nodes, state.fleet.levels
    days[today] = {
        name: [float(f"{level:.4g}") for level in levels[place].tolist()]
        for place, name in enumerate(nodes.names)
        if nodes.state[place] != State.CLOSED
    }
    kept = dict(sorted(days.items())[-_DAYS_KEPT:])
    store.put_value(_DAYS, json.dumps(kept))


def days_of(store: Store) -> dict[str, dict[str, list[float]]]:
    """Return how full nodes were (cpu, io, memory, disk), by day (2026-11-27) and name."""
    with store.read() as view:
        found: dict[str, dict[str, list[float]]] = json.loads(view.value(_DAYS) or "{}")
    return found
