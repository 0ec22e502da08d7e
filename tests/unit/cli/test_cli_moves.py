"""``roost user move`` and ``roost move``: what is asked, what is waited for, and how it is told."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx2
import pytest
from fake_admin_api import CERTIFICATE, FakeApi, move, problem

from conftest import Roost
from roost.cli import move_watch
from roost.cli.move_csv import read_moves
from roost.cli.move_watch import Watched, lines_of
from roost.wire import move_resources as m

TO = "ms2.cluster.test"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(move_watch, "_EVERY_SECONDS", 0.0)


def test_a_move_is_waited_for(roost: Roost, api: FakeApi) -> None:
    """Through its states, over a controller that is away for a moment; the result is told."""
    states = iter(["asked", "copying", "away", "holding", "settling"])

    def answer(request: httpx2.Request) -> m.MoveView | httpx2.Response:
        del request
        state = next(states)
        return problem(503, "unavailable", "Away.") if state == "away" else move(state=state)

    api.on("GET", "/v1/moves/17", answer)
    ran = roost("user", "move", "john@example.test")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "Asked for one move.",
        f"john@example.test is at home on {TO} (move 17; closed for 140 ms).",
    ]
    assert list(states) == []


def test_a_mailbox_that_stays_is_a_failure(roost: Roost, api: FakeApi) -> None:
    """With the reason."""
    undone = move(state="undone", reason="ms2.cluster.test says: There is no room.")
    api.on("GET", "/v1/moves/17", undone)
    ran = roost("user", "move", "john@example.test")
    assert ran.status == 1
    assert (
        "john@example.test stays on ms1.cluster.test (move 17). ms2.cluster.test says: There is no room." in ran.out
    )
    document = roost("user", "move", "john@example.test", "-o", "json")
    assert document.status == 1
    assert document.json["moves"][0]["reason"] == undone.reason


def test_a_batch_is_asked_for_page_by_page(roost: Roost, api: FakeApi) -> None:
    """And summed up in the end."""
    ids = list(range(1, 31))
    api.on("POST", "/v1/moves", m.MovesAsked(revision=7, did=[], ids=ids, parent="b1"))
    left = iter([[move(n, state="copying", parent="b1") for n in ids[9:]], []])
    api.on("GET", "/v1/moves", lambda request: next(left))
    for n in ids:
        api.on("GET", f"/v1/moves/{n}", move(n, parent="b1", state="undone" if n == 30 else "done"))
    ran = roost("user", "move", "--domain", "example.test")
    assert ran.status == 1
    assert ran.out.splitlines()[-1] == "29 mailboxes have moved, 1 have not."
    assert api.asked[1].query["parent"] == "b1"


def test_without_waiting_and_dry_run(roost: Roost, api: FakeApi) -> None:
    """Nothing is asked after the request."""
    for option in ("--no-wait", "--dry-run"):
        assert roost("user", "move", "john@example.test", option).status == 0
        assert api.asked[-1].method == "POST"
    assert api.asked[-1].query == {"dry_run": "true"}


def test_time_is_over(roost: Roost, api: FakeApi) -> None:
    """The move goes on."""
    api.on("GET", "/v1/moves/17", move(state="asked"))
    ran = roost("user", "move", "john@example.test", "--timeout", "0")
    assert ran.status == 3
    assert "1 moves are still under way" in ran.err


def test_from_a_file(roost: Roost, api: FakeApi, tmp_path: Path) -> None:
    """Each line with its own home; the controller's findings come with the file's lines."""
    path = tmp_path / "moves.csv"
    path.write_text(f"Address,To\n\njohn@example.test,{TO}\njane@example.test,\n")
    assert roost("user", "move", "--from-csv", str(path)).status == 0
    asked = api.last("POST").json
    assert asked["mailboxes"] == [
        {"address": "john@example.test", "to": TO},
        {"address": "jane@example.test", "to": ""},
    ]
    findings = [{"line": 2, "column": 1, "field": "address", "message": "There is no mailbox jane@example.test."}]
    api.on("POST", "/v1/moves", problem(422, "bad-import", "1 of 2 mailboxes cannot be moved.", findings=findings))
    ran = roost("user", "move", "--from-csv", str(path))
    assert ran.status == 2
    assert ran.err.splitlines()[0] == f"{path}:4: There is no mailbox jane@example.test."


def test_faults_of_a_file_are_all_found() -> None:
    """With their lines."""
    reading = read_moves(b"address,to\njohn,ms2.test\njohn@example.test,-\na@b.test\n")
    assert [(finding.line, finding.field) for finding in reading.findings] == [(2, "address"), (3, "to"), (4, "")]
    assert read_moves(b"user,to\n").findings
    assert read_moves(b"\xff\n").findings
    assert read_moves(b'address\n"a').findings


@pytest.mark.parametrize(
    "argv",
    [
        ["user", "move"],
        ["user", "move", "john@example.test", "--domain", "example.test"],
        ["user", "move", "john@example.test", "--from-csv", "/nowhere"],
        ["move", "pause"],
        ["move", "abort", "17", "--all"],
        ["move", "list", "--state", "gone"],
    ],
)
def test_what_is_not_understood(roost: Roost, api: FakeApi, argv: list[str]) -> None:
    """Is not asked."""
    assert roost(*argv).status == 2
    assert not api.asked


def test_a_certificate_is_saved(roost: Roost, tmp_path: Path) -> None:
    """Text and signature, as openssl wants them."""
    path = tmp_path / "proof.json"
    ran = roost("move", "certificate", "17", "--save", str(path))
    assert "valid" in ran.out
    assert path.read_text() == CERTIFICATE.body
    assert (tmp_path / "proof.json.sig").read_bytes() == base64.b64decode(CERTIFICATE.signature)


def test_what_the_screen_shows() -> None:
    """A line for each that is under way; waiting ones only where there is nothing else; a bar for many."""
    waiting = move(1, state="asked", progress=move().progress.model_copy(update={"phase": "waiting"}))
    copying = move(2, state="copying", progress=move().progress.model_copy(update={"phase": "catching up"}))
    assert lines_of(Watched(4, [waiting, copying], {3: move(3)})) == [
        "john@example.test  catching up  pass 3  42/42 messages  1M of 1M  512K/s  pause about 150 ms",
        "[#######.......................] 1 of 4",
    ]
    assert "waiting" in lines_of(Watched(1, [waiting]))[0]
    many = lines_of(Watched(20, [copying] * 20))
    assert many[-2] == "... and 8 more under way"
