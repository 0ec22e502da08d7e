"""Drains over the API: asked for, looked at, taken back; a node retired."""

from __future__ import annotations

from pathlib import Path

import pytest
from moving import FakeWorld
from test_moves_api import Api
from world import MS1, MS2, MX1

from roost.domain.errors import NotFound, StillInUse
from roost.domain.node_life import Life
from roost.ports.world import Record
from roost.store.store import SqlStore


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path)


def test_a_drain_is_asked_for_seen_and_taken_back(api: Api) -> None:
    would = api.admin.drain_node(MS1, dry_run=True)
    assert (would.revision, would.did[0]) == (0, f"Node {MS1} is being drained.")
    assert api.admin.node(MS1).life is Life.ACTIVE
    done = api.admin.drain_node(MS1)
    assert done.revision
    assert api.admin.receipt(done.revision).lines, "who has to know it is asked like after any change"
    shown = api.admin.node(MS1)
    assert (shown.life, shown.since) == (Life.DRAINING, api.bench.clock.at)
    found = api.admin.drain(MS1)
    assert (found.life, found.mailboxes, found.batch) == (Life.DRAINING, 2, "drain-1")
    assert "mailboxes" in {rest.what for rest in found.left}
    api.bench.drainer.tick()
    assert api.admin.drain(MS1).moves == {"asked": 2}
    assert api.admin.undrain_node(MS1).did[0] == f"Node {MS1} is active again."
    assert api.admin.drain(MS1).life is Life.ACTIVE
    assert api.admin.moves(open=True) == []


def test_a_dry_run_names_the_records_that_must_go(api: Api) -> None:
    assert isinstance(api.bench.world, FakeWorld)
    text = "example.com. MX 10 mx1.example.net."
    api.bench.world.records["example.com"] = [Record(text, MX1, 60)]
    with pytest.raises(StillInUse, match="last node in the role mx"):
        api.admin.drain_node(MX1, dry_run=True)
    assert api.bench.drainer.naming(MX1) == [f"The record must go: {text}"]


def test_a_node_is_retired(api: Api) -> None:
    with pytest.raises(StillInUse, match="is active"):
        api.admin.retire_node(MS2)
    assert api.admin.retire_node(MS2, now=True, dry_run=True).revision == 0
    assert api.admin.retire_node(MS2, now=True).did[0] == f"Node {MS2} retired."
    with pytest.raises(NotFound):
        api.admin.drain(MS2)
