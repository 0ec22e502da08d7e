"""``roost user load`` and ``roost node load``: figures that people can read."""

from __future__ import annotations

from fake_admin_api import LOAD, NODE_LOAD, FakeApi

from conftest import Roost
from roost.wire.usage_resources import LoadView


def test_a_mailbox_s_use_is_told_in_hours_and_days(roost: Roost) -> None:
    out = roost("user", "load", "john@example.test").out
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["Logins"][-2:] == ["120", "1440"]
    assert rows["Messages in"][-2:] == ["0.0", "8.6"]
    assert rows["Hours connected"][-2:] == ["0.5", "6.0"]
    assert "3G in 4711 messages" in out
    assert "0h ▁▁▁▁█" in out


def test_a_mailbox_of_which_nothing_is_known_says_so(roost: Roost, api: FakeApi) -> None:
    api.on("GET", "/v1/mailboxes/john%40example.test/load", LoadView(address=LOAD.address, home=LOAD.home))
    ran = roost("user", "load", "john@example.test")
    assert ran.status == 0
    assert "Nothing is known" in ran.err


def test_nodes_are_told_by_the_mean_of_their_minutes(roost: Roost, api: FakeApi) -> None:
    out = roost("node", "load").out
    assert "ms1.cluster.test  3" in out
    assert " 2.00 " in out
    assert "8.0 processors, 900 writes/s" in out
    assert api.last("GET").query == {"minutes": "10"}


def test_one_node_is_told_minute_by_minute(roost: Roost) -> None:
    out = roost("node", "load", "ms1.cluster.test", "--minutes", "60").out
    assert " 1.50 " in out
    assert " 2.50 " in out
    assert "differed by 2% and 31%" in out
    assert "cpu 8" in out


def test_a_node_that_has_not_told_yet_is_no_fault(roost: Roost, api: FakeApi) -> None:
    silent = NODE_LOAD.model_copy(update={"minutes": []})
    api.on("GET", "/v1/nodes/load", [silent])
    assert roost("node", "load").status == 0


def test_what_cannot_be_is_refused_with_the_field(roost: Roost) -> None:
    for words, field in (
        (["node", "load", "--minutes", "0"], "minutes"),
        (["node", "set", "ms1.cluster.test", "--cpu", "-1"], "cpu"),
        (["node", "set", "ms1.cluster.test", "--disk", "much"], "disk"),
        (["node", "set", "ms1.cluster.test"], "role"),
    ):
        ran = roost(*words)
        assert ran.status == 2
        assert f"(field: {field})" in ran.err
