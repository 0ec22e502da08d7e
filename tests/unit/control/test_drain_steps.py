"""What still lives on a node that is drained, and the table of its life."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from roost.control.drain_steps import (
    AGAIN,
    AGAIN_MOST,
    Found,
    Sighting,
    again,
    copies_until,
    notes,
    rests,
)
from roost.control.drainer import seconds_left
from roost.control.followers import Seen
from roost.domain.cluster import Cluster, Node, Policy, Role
from roost.domain.figures import Glance, Waiting
from roost.domain.move import State
from roost.domain.node_life import NEXT, Life

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
NODE = Node("n1.cluster.test", frozenset({Role.MX}), ("192.0.2.1",), joined=True, life=Life.DRAINING, since=NOW)
HEARD = Seen(at=NOW, glance=Glance(at=NOW.timestamp(), queue=0))
NOTHING_LEFT = Found(seen=HEARD, complete=LONG_AGO, idle=LONG_AGO, looked=True)


def in_roles(*roles: Role) -> Node:
    return replace(NODE, roles=frozenset(roles))


def left(node: Node, found: Found) -> list[str]:
    return [rest.what for rest in rests(node, found, NOW)]


@given(life=st.sampled_from(list(Life)), path=st.lists(st.sampled_from(list(Life)), max_size=20))
def test_the_table_of_a_life(life: Life, path: list[Life]) -> None:
    """Nobody comes to be drained but by being drained, and everybody can be had back."""
    for following in path:
        if following in NEXT[life]:
            assert not (life is Life.ACTIVE and following is Life.DRAINED)
            life = following
    assert Life.ACTIVE in NEXT[life] or life is Life.ACTIVE
    assert life.leaving == (life is not Life.ACTIVE)


@pytest.mark.parametrize("role", [Role.MX, Role.BACKUP_MX, Role.DNS, Role.STORAGE, Role.LOG])
def test_nothing_is_left(role: Role) -> None:
    assert left(in_roles(role), NOTHING_LEFT) == []


@pytest.mark.parametrize(
    ("role", "found", "what"),
    [
        (Role.STORAGE, replace(NOTHING_LEFT, mailboxes=1), ["mailboxes"]),
        (Role.STORAGE, replace(NOTHING_LEFT, moves={State.COPYING: 1, State.SETTLING: 2}), ["moves", "moves"]),
        (Role.STORAGE, replace(NOTHING_LEFT, seen=Seen(at=LONG_AGO, glance=HEARD.glance)), ["silent"]),
        (Role.STORAGE, replace(NOTHING_LEFT, idle=NOW), ["queue"]),
        (Role.MX, replace(NOTHING_LEFT, seen=Seen(at=NOW)), ["silent"]),
        (Role.MX, replace(NOTHING_LEFT, looked=False), ["records"]),
        (Role.MX, replace(NOTHING_LEFT, unanswered=["example.com MX cannot be asked."]), ["records"]),
        (Role.MX, replace(NOTHING_LEFT, complete=NOW), ["answers"]),
        (Role.MX, replace(NOTHING_LEFT, complete=NOW - timedelta(minutes=2)), []),
        (Role.DNS, replace(NOTHING_LEFT, complete=NOW - timedelta(minutes=2)), ["answers"]),
        (Role.LOG, replace(NOTHING_LEFT, seen=Seen(at=LONG_AGO), complete=NOW), []),
        (Role.LOG, replace(NOTHING_LEFT, others=["ms1.cluster.test"], complete=None), ["others"]),
    ],
)
def test_what_is_left(role: Role, found: Found, what: list[str]) -> None:
    """Each role by itself; a machine with several has what each of them has."""
    assert left(in_roles(role), found) == what
    assert set(what) <= set(left(in_roles(*Role), found))


def test_a_record_is_waited_for_until_nobody_may_remember_it() -> None:
    there = Sighting("example.com. MX 10 n1.cluster.test.", there=True, until=NOW - timedelta(seconds=1))
    [rest] = rests(NODE, replace(NOTHING_LEFT, records=[there]), NOW)
    assert (rest.until, rest.remedy) == (None, "Take the record out of its zone.")
    gone = replace(there, there=False, until=NOW + timedelta(seconds=1))
    [rest] = rests(NODE, replace(NOTHING_LEFT, records=[gone]), NOW)
    assert rest.until == gone.until
    assert not left(NODE, replace(NOTHING_LEFT, records=[replace(gone, until=NOW)]))


def test_a_queue_says_for_whom_it_waits() -> None:
    glance = replace(HEARD.glance, queue=3, waiting={"ms3.test": Waiting(3, 60), "ms1.test": Waiting(0, 0)})
    [rest] = rests(NODE, replace(NOTHING_LEFT, seen=replace(HEARD, glance=glance)), NOW)
    assert "3 messages are in its mail queue (for ms3.test 3)" in rest.words


def test_copies_are_kept_for_their_days() -> None:
    drained = replace(in_roles(Role.STORAGE), life=Life.DRAINED)
    assert copies_until(drained, 7) == NOW + timedelta(days=7)
    assert copies_until(replace(drained, life=Life.DRAINING), 7) is None
    assert copies_until(replace(NODE, life=Life.DRAINED), 7) is None
    cluster = Cluster("cluster.test", 1, (drained,), (), Policy(keep_days=7, notify_secondaries=("192.0.2.9",)))
    assert [words.split()[0] for words in notes(drained, cluster)] == ["Copies"]
    assert len(list(notes(in_roles(Role.DNS, Role.LOG), cluster))) == 2


@given(failures=st.integers(1, 1000))
def test_a_failed_move_is_tried_again_less_and_less(failures: int) -> None:
    assert AGAIN <= again(failures) <= again(failures + 1) <= AGAIN_MOST


def test_the_time_left_is_measured() -> None:
    """By mailboxes and by bytes; what takes longer counts. Nothing is said before anything has moved."""
    began = (NOW, 100, 1000)
    assert seconds_left([]) is None
    assert seconds_left([began]) is None
    assert seconds_left([began, (NOW + timedelta(seconds=10), 100, 1000)]) is None
    assert seconds_left([began, (NOW + timedelta(seconds=10), 50, 1000)]) == 10
    assert seconds_left([began, (NOW + timedelta(seconds=10), 50, 900)]) == 90
    assert seconds_left([began, (NOW + timedelta(seconds=10), 0, 900)]) == 0
