"""``roost balance``: plans that people can read, and what it asks for."""

from __future__ import annotations

from pathlib import Path

from fake_admin_api import BALANCE, FORECAST, PLAN, FakeApi

from conftest import Roost
from roost.wire import balance_resources as b


def test_a_plan_shows_moves_with_reasons_and_nodes_before_and_after(roost: Roost, api: FakeApi) -> None:
    ran = roost("balance", "plan", "--moves", "5", "--bytes", "1G", "--pauses", "2.5")
    assert "Plan 12, made 2026-11-23 12:00:00 UTC: 1 mailbox and 3G to copy." in ran.out
    assert "john@example.test  ms1   ms3  3G    ms1's processor is at 93 %, ms3's at 41 %" in ran.out
    assert "Processor in the busiest hour; the goal is 60%:" in ran.out
    assert "ms1  before" in ran.out
    assert " 93.0%" in ran.out
    assert "Of 2 mailboxes nothing is known yet" in ran.err
    assert "'roost balance apply 12'" in ran.err
    assert api.last("POST").json == {"moves": 5, "bytes": 2**30, "pauses": 2.5}


def test_without_limits_none_are_asked_for(roost: Roost, api: FakeApi) -> None:
    roost("balance", "plan")
    assert api.last("POST").json == {}


def test_what_was_left_out_is_warned_of(roost: Roost, api: FakeApi) -> None:
    closed = PLAN.nodes[1].model_copy(update={"closed": "is not connected"})
    plan = PLAN.model_copy(
        update={
            "steps": [],
            "nodes": [PLAN.nodes[0], closed],
            "left": ["ms1 stays at 93% of its processor: the budget is spent."],
            "refused": {"absurd": 1},
        }
    )
    api.on("POST", "/v1/balance/plans", plan)
    ran = roost("balance", "plan")
    assert "No node is much fuller" in ran.out
    for words in ("ms1 stays at 93%", "ms3.cluster.test is not connected: it neither", "of 1 mailbox are absurd"):
        assert words in ran.err
    assert "apply" not in ran.err


def test_many_nodes_and_steps_are_shown_in_part(roost: Roost, api: FakeApi) -> None:
    nodes = [
        b.NodeLevels(node=f"ms{n}.test", before=[n / 100] * 4, after=[0.1] * 4, capacity=[1] * 4) for n in range(40)
    ]
    api.on("GET", "/v1/balance/plans/last", PLAN.model_copy(update={"nodes": nodes, "steps": PLAN.steps * 50}))
    out = roost("balance", "show", "0").out
    assert "... and 10 more" in out
    assert "of the nodes that change most" in out
    assert out.count("after") == 16


def test_the_picture_is_drawn(roost: Roost, tmp_path: Path) -> None:
    file = tmp_path / "plan.svg"
    assert roost("balance", "show", "12", "--svg", str(file)).status == 0
    assert "<svg" in file.read_text()
    ran = roost("balance", "plan", "--svg", str(tmp_path / "no" / "plan.svg"))
    assert (ran.status, "(field: svg)" in ran.err) == (2, True)


def test_apply_takes_the_last_plan_and_follows_its_moves(roost: Roost, api: FakeApi) -> None:
    ran = roost("balance", "apply")
    assert ran.status == 0
    assert [asked.path for asked in api.asked if asked.method == "POST"] == ["/v1/balance/plans/12/apply"]
    assert "Asked for one move." in ran.out
    roost("balance", "apply", "12", "--dry-run")
    assert api.last("POST").query == {"dry_run": "true"}


def test_show_tells_what_is_done_by_itself(roost: Roost, api: FakeApi) -> None:
    out = roost("balance", "show").out
    assert "By itself:" in out
    assert "at most 100 mailboxes, 50G and 60 s of pauses, every 24 h" in out
    api.on("GET", "/v1/balance", BALANCE.model_copy(update={"auto": True, "hours": "22-6"}))
    assert "22-6 UTC" in roost("balance", "show").out


def test_a_forecast_says_when(roost: Roost, api: FakeApi) -> None:
    out = roost("balance", "forecast").out
    assert out.splitlines()[1].split("  ")[-1].strip() == "never"
    assert "disk space" in out
    assert "+9.0%" in out
    assert "30 days" in out
    api.on("GET", "/v1/balance/forecast", [FORECAST[0].model_copy(update={"likely": 0.0})])
    assert "now" in roost("balance", "forecast").out


def test_what_cannot_be_is_refused_with_the_field(roost: Roost) -> None:
    for words, field in (
        (["plan", "--moves", "-1"], "moves"),
        (["plan", "--bytes", "much"], "bytes"),
        (["whatif"], "add"),
        (["whatif", "--remove", "not a name"], "remove"),
        (["apply", "--timeout", "-1"], "timeout"),
    ):
        ran = roost("balance", *words)
        assert ran.status == 2, words
        assert f"(field: {field})" in ran.err
    assert roost("balance", "auto", "perhaps").status == 2
