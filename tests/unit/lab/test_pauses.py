"""What clients saw of a move, reckoned from their journals."""

from __future__ import annotations

import math

import pytest

from roost.lab.accounting import INBOX, Event
from roost.lab.pauses import Pause, complaints, delays, pause, percentile, refusals

EVENTS: list[Event] = [
    {
        "at": 10.1,
        "what": "tried",
        "by": "probe",
        "began": 10.0,
        "seconds": 0.1,
        "ok": True,
        "said": "",
        "logged_in": True,
    },
    {
        "at": 10.9,
        "what": "tried",
        "by": "probe",
        "began": 10.1,
        "seconds": 0.8,
        "ok": True,
        "said": "",
        "logged_in": True,
    },
    {
        "at": 10.6,
        "what": "tried",
        "by": "probe",
        "began": 10.5,
        "seconds": 0.1,
        "ok": False,
        "said": "a NO no",
        "logged_in": False,
    },
    {
        "at": 20.0,
        "what": "tried",
        "by": "probe",
        "began": 15.0,
        "seconds": 5.0,
        "ok": True,
        "said": "",
        "logged_in": True,
    },
    {"at": 3.0, "what": "refused", "by": "idle", "said": "not now"},
    {"at": 1.0, "what": "taken", "token": "a"},
    {"at": 1.5, "what": "seen", "token": "a", "folder": INBOX},
    {"at": 9.5, "what": "seen", "token": "a", "folder": INBOX},
    {"at": 2.0, "what": "taken", "token": "b"},
    {"at": 1.9, "what": "seen", "token": "b", "folder": INBOX},
]


def test_a_pause_is_the_longest_login_of_its_time() -> None:
    assert pause(EVENTS, 10.2, 10.45) == Pause(0.8, (), 1)
    assert pause(EVENTS, 10.0, 10.05) == Pause(0.1, (), 1)
    assert pause(EVENTS, 30, 40) == Pause(0.0, (), 0)


def test_whoever_was_refused_waits_until_the_next_is_served() -> None:
    found = pause(EVENTS, 10.2, 12)
    assert found == Pause(9.5, ("a NO no",), 2)
    assert pause(EVENTS[2:3], 10, 11).longest == math.inf


def test_whoever_was_let_in_and_cut_off_was_not_refused() -> None:
    event = {**EVENTS[2], "said": "* BYE", "logged_in": True}
    assert pause([event, EVENTS[3]], 10, 12) == Pause(9.5, (), 1, 1)
    assert refusals([event]) == []


def test_commands_that_failed_are_told_apart() -> None:
    assert complaints([*EVENTS, {"at": 1, "what": "no", "by": "worker", "said": "copy: no"}]) == ["worker: copy: no"]


def test_whoever_was_refused_is_named() -> None:
    assert refusals(EVENTS) == ["probe: a NO no", "idle: not now"]


def test_delays_count_from_the_answer_of_the_door_to_the_first_sight() -> None:
    assert delays(EVENTS) == [0.5, 0.0]


@pytest.mark.parametrize(("percent", "value"), [(50, 3), (95, 5), (99, 5), (20, 1)])
def test_percentiles(percent: float, value: float) -> None:
    assert percentile([5, 1, 4, 2, 3], percent) == value
