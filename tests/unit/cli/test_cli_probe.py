"""``roost probe``: the last round as tables, what is broken, and a round that is asked for."""

from __future__ import annotations

from fake_admin_api import PROBE, PROBER, FakeApi

from conftest import Roost


def test_a_line_for_each_storage_node(roost: Roost) -> None:
    assert roost("probe").out.splitlines() == [
        "control.cluster.test at 2026-11-23 12:00:00 UTC, in 1.2 s:",
        "MAIL TO   BY mx1.test  BY mx2.test",
        "ms1.test  52 ms        refused",
        "LOGIN AT  IMAP   POP3  IMAP BY ns1.test  IMAP BY ns2.test",
        "ms1.test  52 ms  -     12 s              silent",
        "! ns2.test: does not answer. Look at it.",
    ]


def test_now_waits_for_the_round_that_it_asked_for(roost: Roost, api: FakeApi) -> None:
    asked = PROBE.model_copy(update={"asked": 1701})
    there = asked.model_copy(update={"probers": [PROBER.model_copy(update={"number": 1701})]})
    answers = iter([asked, there])
    api.on("POST", "/v1/probe", asked)
    api.on("GET", "/v1/probe", lambda _: next(answers))
    ran = roost("probe", "--now")
    assert (ran.status, ran.err) == (0, "")
    assert next(answers, None) is None, "it has waited for the second"
    assert api.last("GET").query["number"] == "1701"


def test_now_says_who_has_not_answered(roost: Roost, api: FakeApi) -> None:
    api.on("POST", "/v1/probe", PROBE.model_copy(update={"asked": 1701}))
    ran = roost("probe", "--now", "--timeout", "0.2")
    assert "control.cluster.test has not sent round 1701" in ran.err


def test_a_probe_that_is_off_or_has_seen_nothing_says_so(roost: Roost, api: FakeApi) -> None:
    off = PROBE.model_copy(update={"every": 0})
    api.on("GET", "/v1/probe", off)
    api.on("POST", "/v1/probe", off)
    assert roost("probe").out.startswith("The probe is switched off")
    assert roost("probe", "--now").status == 2
    fresh = PROBER.model_copy(update={"at": None})
    api.on("GET", "/v1/probe", PROBE.model_copy(update={"probers": [fresh], "findings": []}))
    assert roost("probe").out == "control.cluster.test has sent no round since the controller started.\n"
    api.on("GET", "/v1/probe", PROBE.model_copy(update={"probers": [], "findings": []}))
    assert roost("probe").out.startswith("There is no prober")


def test_renew_and_now_are_two_commands(roost: Roost) -> None:
    assert roost("probe", "--renew", "--now").status == 2
