"""A queue in figures: by home and age, every home told of, nobody else named."""

from __future__ import annotations

import pytest

from roost.domain.errors import DaemonFailed
from roost.domain.figures import Figure
from roost.drivers.dovecot.sessions import visitors
from roost.drivers.postfix.entries import home_in
from roost.drivers.postfix.queue import Waits, _read, counted

MS1, MS2 = "ms1.cluster.test", "ms2.cluster.test"
JOHN, MARY, FAR = "john@john.pop.example.test", "mary@mary.pop.example.test", "x@stranger.test"
HOMES = {JOHN: MS1, MARY: MS2}


def values(told: tuple[Figure, ...], name: str) -> dict[tuple[str, ...], float]:
    return {one.labels: one.value for one in told if one.name == name}


def test_messages_are_counted_by_home_and_age() -> None:
    """One for two homes counts at each, in the queue once."""
    messages = [
        Waits("active", 990, (JOHN,)),
        Waits("deferred", 400, (JOHN, MARY)),
        Waits("deferred", 1000 - 7200, (FAR,)),
        Waits("maildrop", 1010, (JOHN,)),
    ]
    told = counted(messages, {MS1, MS2}, HOMES, 1000.0)
    assert values(told, "roost_queue_messages") == {
        ("active",): 1,
        ("deferred",): 2,
        ("hold",): 0,
        ("incoming",): 0,
        ("other",): 1,
    }
    waiting = {labels: count for labels, count in values(told, "roost_queue_waiting").items() if count}
    assert waiting == {(MS1, "1m"): 2, (MS1, "1h"): 1, (MS2, "1h"): 1, ("outside", "1d"): 1}
    assert values(told, "roost_queue_oldest_seconds") == {(MS1,): 600, (MS2,): 600, ("outside",): 7200}
    assert values(told, "roost_queue_cut") == {(): 0}


def test_an_empty_queue_tells_of_every_home() -> None:
    told = counted([], {MS1}, {}, 1000.0, cut=True)
    assert {home for home, _ in values(told, "roost_queue_waiting")} == {MS1, "outside"}
    assert not any(values(told, "roost_queue_waiting").values())
    assert values(told, "roost_queue_cut") == {(): 1}


def test_a_home_that_the_settings_do_not_have_is_outside() -> None:
    """The map of next hops and the settings may be of two moments."""
    told = counted([Waits("deferred", 0, (JOHN,))], {MS2}, HOMES, 10.0)
    assert values(told, "roost_queue_waiting")["outside", "1m"] == 1


def test_a_listing_that_is_none_is_said() -> None:
    with pytest.raises(DaemonFailed, match="not understood"):
        list(_read([b"Mail queue is empty\n"]))


def test_the_home_in_a_next_hop() -> None:
    assert home_in("lmtp:inet:[ms1.cluster.test]:24") == MS1
    assert home_in("smtp:[elsewhere.test]") == ""


@pytest.mark.parametrize(
    "who",
    [
        [
            "john",
            "3",
            "imap",
            "(1 2 3)",
            "(::1)",
            "john",
            "1",
            "pop3",
            "(4)",
            "(::1)",
            "mary",
            "1",
            "imap",
            "(5)",
            "()",
        ],
        [
            "john",
            "3",
            "imap",
            "(1 2 3)",
            "(::1)",
            "x",
            "john",
            "1",
            "pop3",
            "(4)",
            "()",
            "x",
            "mary",
            "1",
            "imap",
            "(5)",
        ],
    ],
    ids=["2.3", "one column more"],
)
def test_who_is_logged_in(who: list[str]) -> None:
    assert visitors(who) == ({"imap": 4, "pop3": 1}, 2)
