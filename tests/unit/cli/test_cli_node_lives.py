"""``roost node drain``, ``undrain`` and ``retire``: what is asked, what is waited for, and how it is told."""

from __future__ import annotations

import httpx2
import pytest
from fake_admin_api import DRAIN, NOON, FakeApi, node, problem

from conftest import Roost
from roost.cli import node_lives
from roost.cli.node_lives import lines_of
from roost.domain.node_life import Life
from roost.wire import resources as r

MS1 = "ms1.cluster.test"
DRAINED = DRAIN.model_copy(update={"life": Life.DRAINED, "mailboxes": 0, "failed": {}, "left": [], "moves": {}})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(node_lives, "_EVERY_SECONDS", 0.0)


def test_a_drain_is_told(roost: Roost, api: FakeApi) -> None:
    """How far it is, what is left, what failed and what is to be known besides."""
    ran = roost("node", "drain", MS1)
    assert ran.status == 0
    assert ran.out.splitlines()[-5:] == [
        f"{MS1} is draining since 2026-11-23 12:00 UTC.",
        "[####################..........] 60 of 90 mailboxes, 3G left, about 4 min",
        "Left: 30 mailboxes live there.",
        "Not moved yet: ann@example.test. ms2.cluster.test says: There is no room.",
        "Mind the gap.",
    ]
    assert api.asked[0].method == "POST"
    document = roost("node", "drain", MS1, "-o", "json").json
    assert (document["drain"]["batch"], document["receipt"]["done"]) == ("drain-17", True)


def test_a_drain_is_watched_to_its_end(roost: Roost, api: FakeApi) -> None:
    """Over a controller that is away for a moment; what is left is told where it changes."""
    answers = iter([DRAIN, DRAIN, None, DRAINED])

    def answer(request: httpx2.Request) -> r.DrainView | httpx2.Response:
        del request
        return next(answers) or problem(503, "unavailable", "Away.")

    api.on("GET", f"/v1/nodes/{MS1}/drain", answer)
    ran = roost("node", "drain", MS1, "--watch")
    assert ran.status == 0
    assert ran.out.count("is draining") == 1
    assert "It may be switched off" in ran.out
    assert list(answers) == []


def test_somebody_has_it_back_meanwhile(roost: Roost, api: FakeApi) -> None:
    api.on("GET", f"/v1/nodes/{MS1}/drain", DRAIN.model_copy(update={"life": Life.ACTIVE}))
    ran = roost("node", "drain", MS1, "--watch", "-o", "json")
    assert ran.status == 1
    assert ran.json["drain"]["life"] == "active"
    assert ran.json["revision"] == 7


def test_a_dry_run_looks_at_no_drain(roost: Roost, api: FakeApi) -> None:
    for verb in ("drain", "undrain", "retire"):
        api.asked.clear()
        assert roost("node", verb, MS1, "--dry-run").status == 0
        assert api.asked[0].query == {"dry_run": "true"}
        assert ("GET", f"/v1/nodes/{MS1}/drain") not in {(asked.method, asked.path) for asked in api.asked}


def test_retire_now(roost: Roost, api: FakeApi) -> None:
    assert roost("node", "retire", MS1, "--now").status == 0
    assert api.last("DELETE").query == {"now": "true"}


def test_lists_show_the_state(roost: Roost, api: FakeApi) -> None:
    """And a node that may be off is not waited for."""
    off = node(MS1, life="drained", since=NOON, connected=False)
    api.on("GET", "/v1/nodes", [off])
    assert "drained, not connected" in roost("node", "list").out
    api.on("GET", f"/v1/nodes/{MS1}", off)
    shown = roost("node", "show", MS1).out
    assert "2026-11-23 12:00:00" in shown
    assert "Left: 30 mailboxes live there." in shown


def test_times_and_stalls() -> None:
    stalled = DRAIN.model_copy(update={"seconds_left": 90_000 * 2, "stalled": NOON})
    assert "about 2 d" in lines_of(stalled)[1]
    assert "Nothing has changed since 2026-11-23 12:00 UTC." in lines_of(stalled)
    failed = {f"u{number}@example.test": "No." for number in range(9)}
    assert any("4 more" in line for line in lines_of(DRAIN.model_copy(update={"failed": failed})))
