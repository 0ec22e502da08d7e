"""What somebody should know: when each warning is there, under which name, and when it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from roost.control.followers import Followers, Seen
from roost.control.warnings import NodeStatus, age, of_cluster, of_node, of_waiting
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.figures import OUTSIDE, Glance, Waiting

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MS1 = Node("ms1.cluster.test", frozenset({Role.STORAGE}), ("192.0.2.1",), joined=True)
WELL = Glance(at=NOW.timestamp(), disk=0.5, disk_path="/", expires=(NOW + timedelta(days=60)).timestamp())


def entry(glance: Glance = WELL, *, skew: float = 0.0, **more: object) -> NodeStatus:
    given = {"connected": True, "late": 0, "mailboxes": 0, **more}
    return NodeStatus(MS1, Seen(at=NOW, glance=glance, skew=skew), **given)  # type: ignore[arg-type]


def names(of: NodeStatus) -> list[str]:
    found = list(of_node(of, NOW))
    assert all(warned.remedy.endswith(".") or warned.remedy.endswith(")") for warned in found), "each has a remedy"
    return [warned.name for warned in found]


def test_a_node_that_is_well_warns_of_nothing() -> None:
    assert names(entry()) == []
    assert names(entry(Glance())) == [], "nor one that has told nothing yet"


@pytest.mark.parametrize(
    ("glance", "name"),
    [
        (replace(WELL, disk=0.89), ""),
        (replace(WELL, disk=0.91), "disk-nearly-full"),
        (replace(WELL, disk=0.98), "disk-full"),
        (replace(WELL, memory=0.02), "memory-short"),
        (replace(WELL, expires=(NOW + timedelta(days=13)).timestamp()), "certificate-expires"),
        (replace(WELL, expires=(NOW + timedelta(days=15)).timestamp()), ""),
        (replace(WELL, lessons=501), "lessons-wait"),
        (replace(WELL, log_delay=301), "logs-late"),
        (replace(WELL, braked=True), "repair-braked"),
    ],
)
def test_figures_warn(glance: Glance, name: str) -> None:
    assert names(entry(glance)) == ([name] if name else [])


@pytest.mark.parametrize(("skew", "words"), [(60.0, "60 s ahead of"), (-7.5, "8 s behind"), (4.0, "")])
def test_a_clock_that_is_wrong(skew: float, words: str) -> None:
    found = [warned.warning for warned in of_node(entry(skew=skew), NOW)]
    assert (words in found[0]) if words else not found


def test_what_a_silent_node_said_last_warns_no_more() -> None:
    """That it is silent is what matters."""
    assert names(entry(replace(WELL, disk=0.99), connected=False)) == ["node-silent"]


def test_a_node_is_late_only_after_a_while() -> None:
    assert names(entry(late=3, late_since=NOW - timedelta(seconds=30))) == []
    assert names(entry(late=3, late_since=NOW - timedelta(seconds=90))) == ["node-late"]


def test_daemons() -> None:
    found = entry()
    found.seen.health.update({"dovecot": "It is off.", "rspamd": "It is off."})
    assert names(found) == ["daemon-ill", "filter-down"]


def test_mail_that_waits() -> None:
    """For a home some minutes are enough, for servers outside they are not."""
    waiting = {"ms1": Waiting(1, 190), "ms2": Waiting(9, 100), OUTSIDE: Waiting(2, 7200)}
    (only,) = of_waiting(waiting)
    assert (only.subject, only.name) == ("ms1", "mail-waits")
    assert only.warning == "1 message waits for it, the oldest for 3 min."
    (other,) = of_waiting({OUTSIDE: Waiting(2, 7 * 3600)})
    assert (other.name, other.warning) == (
        "mail-waits-outside",
        "2 messages wait for servers outside, the oldest for 7 h.",
    )


def test_roles_that_nobody_has() -> None:
    mx = Node("mx1.cluster.test", frozenset({Role.MX}), ("192.0.2.2",), joined=True)
    found = {(warned.name, warned.warning) for warned in of_cluster(Cluster("cluster.test", 1, (MS1, mx), ()))}
    assert found == {
        ("role-single", "there is only one mx node."),
        ("role-missing", "no dns node has joined."),
    }


def test_ages_as_people_say_them() -> None:
    assert [age(seconds) for seconds in (5, 119, 120, 7200, 200_000)] == ["5 s", "119 s", "2 min", "2 h", "2 d"]


def test_a_glance_is_kept_with_the_clocks_difference() -> None:
    followers = Followers()
    followers.look("ms1", Glance(at=NOW.timestamp() + 3, sessions=7), NOW)
    followers.note("ms1", {"settings": 4}, {}, 0, NOW)
    seen = followers.seen("ms1")
    assert (seen.glance.sessions, seen.skew, seen.positions) == (7, 3.0, {"settings": 4})
    followers.look("ms1", Glance(), NOW)
    assert followers.seen("ms1").skew == 0.0
