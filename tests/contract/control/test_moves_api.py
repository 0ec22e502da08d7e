"""Moves over the API: the real client speaks to the real application, without a network between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import world
from moving import KEY, MS3, Bench, proof
from starlette.testclient import TestClient
from world import MS1, MS2

from roost.api.app import build
from roost.api.identity import node_of
from roost.api.parts import Parts
from roost.api.wakeup import Wakeup
from roost.control import keys
from roost.control.authority import Authority
from roost.control.balancer import Balancer
from roost.control.feed import Feed
from roost.control.probes import Probes
from roost.control.warnings import Warned
from roost.domain.errors import BadImport, BadSetting, Forbidden, InvalidInput, NotFound, Refused
from roost.domain.move import State
from roost.store import open_backups
from roost.store.store import SqlStore
from roost.wire.client import AdminClient
from roost.wire.move_resources import NewMove, NewMoves
from roost.wire.resources import MailboxChange, NewMailbox

ANNA = "anna@example.com"


class Api:
    """The application, asked as an administrator, or as the node that ``who`` names."""

    def __init__(self, store: SqlStore, folder: Path) -> None:
        world.add(store, "anna", "ben")
        self.bench = Bench(store)
        bench = self.bench
        feed, backups = Feed(store, 100), open_backups("", store, folder)
        parts = Parts(
            store,
            backups,
            bench.clock,
            bench.authority,
            feed,
            bench.followers,
            Wakeup(),
            bench.mover,
            bench.drainer,
            Probes(bench.clock.now()),
            Balancer(store, bench.followers, bench.clock, lambda: self.warnings),
        )
        application = build(parts)
        application.dependency_overrides[node_of] = lambda: self.who
        self.who = ""
        self.warnings: list[Warned] = []
        self.http = TestClient(application)
        key = keys.make(store, "founder", "admin", bench.clock.at, None).text
        self.admin = AdminClient("https://control.test", key, transport=httpx2.MockTransport(self._send))

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        target = request.url.raw_path.decode()
        answer = self.http.request(
            request.method, target, content=request.read(), headers=dict(request.headers.items())
        )
        return httpx2.Response(answer.status_code, content=answer.content, headers=dict(answer.headers.items()))

    def report(self, who: str, move: int, part: str, said: str, attempt: int, body: str = "") -> int:
        self.who = who
        one = {"move": move, "part": part, "said": said, "attempt": attempt, "body": body}
        return self.http.post("/agent/moves", json={"reports": [one]}).status_code


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


def one(address: str = ANNA, to: str = "", **more: object) -> NewMoves:
    return NewMoves.model_validate({"mailboxes": [NewMove(address=address, to=to)], **more})


def test_a_move_over_the_api(api: Api) -> None:
    """Asked for, acknowledged by the feed, reported, settled, proved, taken back."""
    asked = api.admin.ask_moves(one(to=MS2))
    [move] = asked.ids
    assert asked.did == [f"{ANNA} moves from {MS1} to {MS2} (move {move})."]
    assert api.admin.move(move).state is State.PREPARING
    assert api.admin.mailbox(ANNA).moving_to == MS2
    assert [box.moving_to for box in api.admin.mailboxes()] == [MS2, ""]
    with api.bench.store.read() as view:
        upto = view.revision()
    for who in (MS1, MS2):
        api.who = who
        positions = {"settings": upto, "accounts": upto, "moves": upto}
        body = {"epoch": "x", "positions": positions, "wait": 0}
        assert api.http.post("/agent/feed", json=body).status_code == 200
    assert api.admin.move(move).state is State.COPYING, "the acknowledgement itself has moved it on"
    body = json.dumps({"passes": 1, "messages": 3, "octets": 5000, "total_messages": 3, "seconds": 2.5})
    assert api.report(MS2, move, "target", "copying", 0, body) == 200
    shown = api.admin.move(move).progress
    assert (shown.phase, shown.passes, shown.rate) == ("catching up", 1, 2000)
    assert api.report(MS2, move, "target", "ready", 0, body) == 200
    assert api.admin.move(move).progress.phase == "handing over"
    assert api.report(MS1, move, "source", "moved", 1, proof()) == 200
    shown_box = api.admin.mailbox(ANNA)
    assert (shown_box.home, shown_box.moving_to) == (MS2, "")
    api.bench.until(move, State.DONE)
    done = api.admin.move(move)
    assert (done.pause_ms, done.passed_on) == (120, 2)
    assert done.kept_until is not None
    assert (done.kept_until - done.changed).days == 7
    proved = api.admin.move_certificate(move)
    assert proved.valid
    assert Authority(*KEY).verify(proved.body, proved.signature)
    [again] = api.admin.move_back(move).ids
    assert api.admin.move(again).back_of == move


def test_lists(api: Api) -> None:
    """By state, mailbox and batch; page by page."""
    first = api.admin.ask_moves(NewMoves(domain="example.com", to=MS3, parent="spring"))
    assert first.parent == "spring"
    api.admin.order_moves("abort", id=first.ids[0])
    api.bench.drop(first.ids[0])
    third = api.admin.ask_moves(one(to=MS2)).ids[0]
    ids = [*first.ids, third]
    assert [move.id for move in api.admin.moves()] == ids
    assert [move.id for move in api.admin.moves(open=True)] == ids[1:]
    assert [move.id for move in api.admin.moves(states=["undone"])] == ids[:1]
    assert api.admin.moves(states=["undone"], open=True) == []
    assert [move.id for move in api.admin.moves(address=ANNA)] == [ids[0], third]
    assert [move.id for move in api.admin.moves(parent="spring", limit=1)] == ids[:1]
    assert [move.id for move in api.admin.moves(after=ids[1])] == ids[2:]


def test_orders(api: Api) -> None:
    """One or many; a dry run changes nothing."""
    asked = api.admin.ask_moves(NewMoves(from_node=MS1))
    assert len(api.admin.order_moves("pause", parent=asked.parent, dry_run=True).did) == 2
    assert len(api.admin.order_moves("pause", parent=asked.parent).did) == 2
    assert all(move.paused for move in api.admin.moves())
    assert len(api.admin.order_moves("resume", id=asked.ids[0]).did) == 1
    assert len(api.admin.order_moves("resume").did) == 1
    assert len(api.admin.order_moves("abort").did) == 2
    assert {move.state for move in api.admin.moves()} == {State.UNDOING}


def test_what_is_refused(api: Api) -> None:
    """With the class that the controller had."""
    assert api.admin.ask_moves(one(to=MS2), dry_run=True).ids == []
    assert api.admin.moves() == []
    with pytest.raises(NotFound):
        api.admin.move(9)
    with pytest.raises(NotFound):
        api.admin.move_certificate(9)
    with pytest.raises(Refused, match="at home on ms1"):
        api.admin.ask_moves(one(to=MS1))
    with pytest.raises(BadImport) as caught:
        api.admin.ask_moves(NewMoves(mailboxes=[NewMove(address=ANNA), NewMove(address="no@example.com")]))
    assert caught.value.findings[0].line == 2
    with pytest.raises(InvalidInput):
        api.admin.change_policy({"move_hours": "late"})
    with pytest.raises(BadSetting):
        api.admin.change_policy({"move_hours": "8-8"})
    with pytest.raises(InvalidInput):
        api.admin.change_policy({"hold_seconds": 0})
    [move] = api.admin.ask_moves(one(to=MS2)).ids
    with pytest.raises(NotFound, match="nothing was handed over"):
        api.admin.move_certificate(move)
    assert api.report(MS3, move, "target", "refused", 0) == Forbidden.status
    assert api.report(MS2, move, "target", "bored", 0) == BadSetting.status
    api.bench.until(move, State.HOLDING)
    wrong = proof().replace('"uidvalidity": 7', '"uidvalidity": 8', 1)
    assert api.report(MS1, move, "source", "moved", 1, wrong) == Refused.status
    assert "UIDVALIDITY" in api.admin.move(move).reason


def test_formats_of_new_mailboxes(api: Api) -> None:
    """As it is asked for, else as the policy says."""
    hashed = "{SHA512-CRYPT}$6$abcdefgh$0123456789"
    api.admin.change_policy({"mailbox_format": "sdbox"})
    for name, wanted in (("new", None), ("other", "maildir")):
        address = f"{name}@example.com"
        api.admin.add_mailbox(NewMailbox(address=address, password_hash=hashed, format=wanted))
        assert api.admin.mailbox(address).format == (wanted or "sdbox")
    api.admin.change_mailbox("new@example.com", MailboxChange(quota=5))
    assert api.admin.mailbox("new@example.com").format == "sdbox"
