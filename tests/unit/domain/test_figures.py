"""The list of metrics, and what the controller is told of it."""

from __future__ import annotations

import re

import pytest

from roost.domain.figures import (
    COUNTER,
    HISTOGRAM,
    METRICS,
    TELLERS,
    Figure,
    Glance,
    Spread,
    Waiting,
    age_of,
    glance_of,
)

_BOUNDED = {
    *(
        "age",
        "certificate",
        "daemon",
        "figures",
        "home",
        "kind",
        "mx",
        "node",
        "outcome",
        "path",
        "protocol",
        "queue",
        "reason",
        "resource",
    ),
    *("roles", "sender", "stage", "state", "table", "verdict", "version", "warning"),
}
"""Labels whose values are nodes or words of ours: ``sender`` is a node that sends its log."""


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_metric_is_well_formed(metric) -> None:  # type: ignore[no-untyped-def]
    """A new label has to be added to the list above by somebody who has asked himself how many values it has."""
    assert re.fullmatch(r"roost_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == COUNTER)
    assert bool(metric.bounds) == (metric.kind == HISTOGRAM)
    assert metric.teller in TELLERS
    assert metric.words.endswith(".")
    assert set(metric.labels) <= _BOUNDED


def test_ages_have_words() -> None:
    assert [age_of(seconds) for seconds in (0, 59, 60, 3599, 86_399, 86_400)] == [
        "1m",
        "1m",
        "10m",
        "1h",
        "1d",
        "older",
    ]


def test_a_spread_counts_each_value_once_in_its_place() -> None:
    spread = Spread("roost_move_pause_seconds")
    for seconds in (0.01, 0.05, 0.3, 4.0, 60.0):
        spread.take(seconds)
    assert spread.counts == [2, 0, 0, 1, 0, 0, 0, 1, 0, 1]
    assert spread.total == pytest.approx(64.36)
    before = spread.copy()
    spread.take(1.0)
    assert sum(before.counts) == 5


def test_a_glance_is_the_worst_of_each() -> None:
    told = [
        Figure("roost_load_ratio", 0.517),
        Figure("roost_memory_size_bytes", 1000),
        Figure("roost_memory_available_bytes", 250),
        *(Figure("roost_disk_size_bytes", 100, (path,)) for path in ("/", "/var/vmail")),
        Figure("roost_disk_free_bytes", 60, ("/",)),
        Figure("roost_disk_free_bytes", 10, ("/var/vmail",)),
        Figure("roost_disk_inodes_free_ratio", 0.05, ("/",)),
        *(Figure("roost_queue_messages", n, (queue,)) for queue, n in (("active", 1), ("deferred", 7))),
        *(Figure("roost_queue_waiting", n, ("ms1", age)) for age, n in (("1m", 2), ("1h", 3))),
        Figure("roost_queue_oldest_seconds", 700, ("ms1",)),
        *(Figure("roost_sessions", n, (protocol,)) for protocol, n in (("imap", 5), ("pop3", 1))),
        *(Figure("roost_lessons_waiting", n, (mx,)) for mx, n in (("mx1", 4), ("mx2", 9))),
        *(
            Figure("roost_certificate_expires_timestamp_seconds", n, (name,))
            for name, n in (("identity", 90), ("service", 80), ("monitoring", 1))
        ),
        *(Figure("roost_log_delay_seconds", n, (node,)) for node, n in (("mx1", 0.5), ("ms1", 31.26))),
        Figure("roost_drift_braked", 1),
        Spread("roost_mail_delivery_seconds", ("ms1",)),
    ]
    assert glance_of(told, 5.0) == Glance(
        at=5.0,
        load=0.52,
        memory=0.25,
        disk=0.95,
        disk_path="/",
        queue=8,
        oldest=700,
        waiting={"ms1": Waiting(5, 700)},
        sessions=6,
        lessons=9,
        expires=80,
        log_delay=31.3,
        braked=True,
    )


def test_a_node_without_queue_and_sessions_says_so() -> None:
    assert (glance_of([], 5.0).queue, glance_of([], 5.0).sessions) == (-1, -1)
