"""An API in the same process: answers that a test lays out, and what was asked of it.

It speaks the real models through the real client, so only the network and the controller's rules are missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx2
from pydantic import BaseModel

from roost.domain.node_life import Life
from roost.domain.node_load import NodeLoad
from roost.domain.probe import Door, Login, Mail, NamedBox, Seen, Stage
from roost.domain.trace import Fate, Moment, Passage
from roost.wire import balance_resources as b
from roost.wire import move_resources as m
from roost.wire import resources as r
from roost.wire.client import AdminClient
from roost.wire.probe_messages import ProberView, ProbeView
from roost.wire.trace_messages import TimelineView, TraceView
from roost.wire.usage_resources import LoadView, MinuteView, NodeLoadView, RatesView, StrengthView

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
KEY = "k7d2.a-secret-of-the-key"

Answer = BaseModel | list[BaseModel] | bytes | httpx2.Response | Exception
Answering = Answer | Callable[[httpx2.Request], Answer]


@dataclass
class Asked:
    """One request as the API saw it."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    key: str

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


def line(node: str, *, applied: bool = True, connected: bool = True, table: str = "recipients") -> r.ReceiptLine:
    at = NOON + timedelta(milliseconds=42) if applied else None
    return r.ReceiptLine(
        node=node, table=table, applied=applied, position=7 if applied else 3, at=at, connected=connected
    )


def event(revision: int, **detail: str) -> r.EventView:
    return r.EventView(
        revision=revision,
        at=NOON,
        actor="key:admin",
        verb="mailbox added",
        subject="john@example.test",
        detail=detail,
    )


def node(name: str, **fields: object) -> r.NodeView:
    given: dict[str, object] = {"joined": True, "connected": True, "roles": ["storage"], "addresses": ["192.0.2.11"]}
    return r.NodeView.model_validate({"name": name, **given, **fields})


def move(identity: int = 17, **fields: object) -> m.MoveView:
    progress = m.MoveProgress(
        phase="settling",
        passes=2,
        messages=42,
        bytes=2**20,
        total_messages=42,
        total_bytes=2**20,
        rate=2**19,
        expected_pause_ms=150,
    )
    given: dict[str, object] = {
        "address": "john@example.test",
        "source": "ms1.cluster.test",
        "target": "ms2.cluster.test",
        "state": "settling",
        "reason": "",
        "actor": "admin",
        "asked": NOON,
        "changed": NOON,
        "parent": "",
        "paused": False,
        "aborting": False,
        "attempts": 1,
        "format": "",
        "deep": False,
        "back_of": 0,
        "progress": progress,
        "pause_ms": 140,
        "passed_on": 1,
    }
    return m.MoveView.model_validate({"id": identity, **given, **fields})


def passage(**fields: object) -> Passage:
    found = Passage(
        arrived=NOON - timedelta(seconds=0.5),
        node="mx1.cluster.test",
        queue_id="4jZw9g1KF1zJ9MW",
        fate=Fate.DELIVERED,
        recipient="john@example.test",
        personal="john@john.pop.example.test",
        sender="a@outside.test",
        message_id="4711@outside.test",
        home="ms1.cluster.test",
        ended=NOON,
        attempts=1,
        action="stored",
        folder="INBOX",
    )
    return replace(found, **fields)  # type: ignore[arg-type]


TIMELINE = TimelineView(
    moments=[
        Moment(NOON, "login", "IMAP from 192.0.2.77 at ms1.cluster.test."),
        Moment(
            NOON + timedelta(seconds=1), "stored", "Mail from a@outside.test was delivered to ms1.cluster.test INBOX."
        ),
    ]
)


_WELL, _AWAY = Seen(Stage.OK, seconds=0.052), Seen(Stage.SILENT, "no answer in time")
PROBER = ProberView(
    node="control.cluster.test",
    at=NOON,
    number=1700,
    seconds=1.25,
    mails=[
        Mail("mx1.test", "ms1.test", _WELL),
        Mail("mx2.test", "ms1.test", Seen(Stage.REFUSED, "451 4.7.1 Service unavailable")),
    ],
    logins=[Login("ns1.test", "ms1.test", replace(_WELL, seconds=12.3)), Login("ns2.test", "ms1.test", _AWAY)],
    doors=[Door("ms1.test", "imap", _WELL), Door("ms1.test", "pop3", Seen(Stage.UNSEEN))],
    boxes=[NamedBox("ms1.test", "ms1-x@roost-probe.cluster.test", "ms1-x.pop.roost-probe.cluster.test")],
)
PROBE = ProbeView(
    every=60,
    asked=1700,
    probers=[PROBER],
    findings=[r.Warned(subject="ns2.test", warning="does not answer.", remedy="Look at it.")],
)

LOAD = LoadView(
    address="john@example.test",
    home="ms1.cluster.test",
    since=NOON - timedelta(days=30),
    at=NOON,
    hour=RatesView(logins=1 / 30, deliveries=0, bytes_in=0, bytes_out=2048, connected=0.5, cpu=0.001),
    week=RatesView(logins=1 / 60, deliveries=1e-4, bytes_in=10, bytes_out=512, connected=0.25, cpu=0.0005),
    bytes=3 * 2**30,
    messages=4711,
    pattern="000099543210000000001000",
)
_MINUTE = NodeLoad(
    60.0, cpu=1.5, reads=20, writes=80, pressure_cpu=0.25, pressure_io=0.1, disk=1e12, disk_free=6e11, greeting=0.004,
    login=0.031, logins=12.5, deliveries=0.5, connected=310,
)  # fmt: skip
NODE_LOAD = NodeLoadView(
    node="ms1.cluster.test",
    mailboxes=3,
    minutes=[MinuteView(at=NOON, **vars(_MINUTE)), MinuteView(at=NOON, **vars(replace(_MINUTE, cpu=2.5)))],
    strength=StrengthView(cpu=8, io=900, memory=64 * 2**30, disk=4 * 2**40),
    measured=StrengthView(cpu=7.4, io=900, memory=64 * 2**30, disk=4 * 2**40, cpu_spread=0.02, io_spread=0.31),
    measured_at=NOON,
    declared={"cpu": 8.0},
)

PLAN = b.PlanView(
    id=12,
    at=NOON,
    mailboxes=1,
    bytes=3 * 2**30,
    steps=[
        b.PlanStep(
            mailboxes=["john@example.test"],
            source="ms1.cluster.test",
            target="ms3.cluster.test",
            bytes=3 * 2**30,
            cause="load",
            reason="ms1's processor is at 93 %, ms3's at 41 %; john@example.test logs in 2,880 times a day.",
        )
    ],
    nodes=[
        b.NodeLevels(
            node="ms1.cluster.test", before=[0.93, 0.2, 0.4, 0.5], after=[0.6, 0.2, 0.4, 0.5], capacity=[2] * 4
        ),
        b.NodeLevels(
            node="ms3.cluster.test", before=[0.41, 0.2, 0.4, 0.5], after=[0.6, 0.2, 0.4, 0.5], capacity=[4] * 4
        ),
    ],
    goal=[0.6, 0.3, 0.6, 0.6],
    left=[],
    refused={"missing": 2},
    costs=b.CostsView(cpu=[0.004] * 4, io=[2] * 4, minutes=1440),
)
BALANCE = b.BalanceView(
    auto=False, every=24, moves=100, bytes=50 * 2**30, pauses=60, rest_days=14, hours="", said="It is off.", plan=12
)
FORECAST = [
    b.ForecastView(
        node="ms1.cluster.test",
        dimension="disk",
        level=0.81,
        a_day=0.003,
        limit=0.9,
        earliest=20,
        likely=30,
        latest=None,
    )
]

_EVIDENCE = {"deep": False, "extras": {}, "folders": {"INBOX": {"messages": 42}}}
CERTIFICATE = m.MoveCertificate(
    move=17,
    body=json.dumps(
        {
            "address": "john@example.test",
            "source": "ms1.cluster.test",
            "target": "ms2.cluster.test",
            "handed over": NOON.isoformat(),
            "pause_ms": 140,
            "evidence": {"source": _EVIDENCE, "target": _EVIDENCE},
        }
    ),
    signature="c2lnbmVk",
    authority="PEM",
    valid=True,
)


DRAIN = r.DrainView(
    node="ms1.cluster.test",
    life=Life.DRAINING,
    since=NOON,
    batch="drain-17",
    mailboxes=30,
    bytes=3 * 2**30,
    moves={"copying": 4, "settling": 2, "done": 58},
    failed={"ann@example.test": "ms2.cluster.test says: There is no room."},
    left=[r.RestView(what="mailboxes", words="30 mailboxes live there.")],
    notes=["Mind the gap."],
    seconds_left=250,
)


def problem(status: int, code: str, detail: str, **fields: object) -> httpx2.Response:
    found = r.Problem.model_validate({"title": code, "status": status, "code": code, "detail": detail, **fields})
    return httpx2.Response(
        status, content=found.model_dump_json(), headers={"content-type": "application/problem+json"}
    )


@dataclass
class FakeApi:
    """Answers by method and path; a list of answers is not one answer but a model list, so callables vary them."""

    answers: dict[tuple[str, str], Answering] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, method: str, path: str, answer: Answering) -> None:
        self.answers[method, path] = answer

    def client(self) -> AdminClient:
        return AdminClient("https://control.test:8443", KEY, transport=httpx2.MockTransport(self._handle))

    def last(self, method: str) -> Asked:
        """Return the last request with a method."""
        return next(asked for asked in reversed(self.asked) if asked.method == method)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        path, _, query = request.url.raw_path.decode().partition("?")
        body, key = request.read(), request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(Asked(request.method, path, dict(parse_qsl(query)), body, key))
        answer = self.answers.get((request.method, path))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            return answer
        if isinstance(answer, bytes):
            return httpx2.Response(200, content=answer)
        if answer is None:
            return problem(404, "not-found", f"The test has no answer for {request.method} {path}.")
        if isinstance(answer, BaseModel):
            return httpx2.Response(200, content=answer.model_dump_json())
        return httpx2.Response(200, content=json.dumps([item.model_dump(mode="json") for item in answer]))


def small_cluster() -> FakeApi:
    """Return an API with one of everything, where every write is revision 7 and arrives."""
    api = FakeApi()
    domain = r.DomainView(
        name="example.test",
        access_zone="pop.example.test",
        quota=2**31,
        suspended="accept",
        mailboxes=3,
        records=["example.test. MX 10 mx1.cluster.test.", "pop.example.test. NS ns1.cluster.test."],
    )
    mailbox = r.MailboxView(
        address="john@example.test",
        hostname="john.pop.example.test",
        target="john@john.pop.example.test",
        home="ms1.cluster.test",
        quota=2**31,
        suspended=False,
        number=1,
    )
    alias = r.AliasView(address="sales@example.test", targets=["john@example.test", "desk@elsewhere.test"])
    key = r.KeyView(id="k7d2", name="admin", created=NOON, expires=None)
    written = r.Written(revision=7, did=["Did as asked."])
    token = r.NodeAdded(revision=7, did=["Node added."], token="t9.one-time", expires=NOON)
    drift = r.Drift(check=2, waiting=[], rows_checked=42, lines=[])
    status = r.Status(
        cluster="cluster.test",
        version="0.1.0",
        revision=7,
        domains=1,
        mailboxes=3,
        nodes=[node("ms1.cluster.test", mailboxes=3)],
        warnings=[r.Warned(subject="ms2.cluster.test", warning="It is not connected.", remedy="Start its agent.")],
    )
    single: dict[str, tuple[str, BaseModel]] = {
        "domains": ("example.test", domain),
        "mailboxes": ("john%40example.test", mailbox),
        "aliases": ("sales%40example.test", alias),
        "nodes": ("ms1.cluster.test", status.nodes[0]),
        "keys": ("k7d2", key),
    }
    for noun, (name, model) in single.items():
        api.on("GET", f"/v1/{noun}", [model])
        api.on("GET", f"/v1/{noun}/{name}", model)
        for method in ("PATCH", "PUT", "DELETE"):
            api.on(method, f"/v1/{noun}/{name}", written)
        api.on("POST", f"/v1/{noun}", written)
    api.on("POST", "/v1/mailboxes/import", written)
    api.on("GET", "/v1/senders", [r.SenderView(owner="example.test", sender="spam.test", verdict="deny")])
    api.on("POST", "/v1/senders", written)
    api.on("DELETE", "/v1/senders/example.test/spam.test", written)
    api.on("POST", "/v1/nodes", token)
    api.on("POST", "/v1/nodes/ms1.cluster.test/token", token.model_copy(update={"revision": 0}))
    api.on("POST", "/v1/nodes/ms1.cluster.test/drain", written)
    api.on("GET", "/v1/nodes/ms1.cluster.test/drain", DRAIN)
    api.on("POST", "/v1/nodes/ms1.cluster.test/undrain", written)
    api.on("POST", "/v1/keys", r.KeyMade(**key.model_dump(), key="k7d2.new-secret"))
    asked = m.MovesAsked(revision=7, did=["Asked for one move."], ids=[17])
    api.on("POST", "/v1/moves", asked)
    api.on("GET", "/v1/moves", [move()])
    api.on("GET", "/v1/moves/17", move())
    api.on("GET", "/v1/moves/17/certificate", CERTIFICATE)
    api.on("POST", "/v1/moves/17/back", asked)
    for verb in ("pause", "resume", "abort"):
        api.on("POST", f"/v1/moves/17/{verb}", written)
        api.on("POST", f"/v1/moves/{verb}", written)
    api.on("GET", "/v1/traces", TraceView(passages=[passage()], more=False))
    api.on("GET", "/v1/mailboxes/john%40example.test/timeline", TIMELINE)
    api.on("GET", "/v1/mailboxes/john%40example.test/load", LOAD)
    api.on("GET", "/v1/nodes/load", [NODE_LOAD])
    api.on("GET", "/v1/nodes/ms1.cluster.test/load", NODE_LOAD)
    api.on("POST", "/v1/nodes/ms1.cluster.test/measure", r.Written(revision=0, did=["It is asked."]))
    for method, path in (("POST", "plans"), ("GET", "plans/last"), ("GET", "plans/12"), ("POST", "whatif")):
        api.on(method, f"/v1/balance/{path}", PLAN)
    api.on("POST", "/v1/balance/plans/12/apply", asked)
    api.on("POST", "/v1/balance/stop", written)
    api.on("GET", "/v1/balance", BALANCE)
    api.on("GET", "/v1/balance/forecast", FORECAST)
    api.on("GET", "/v1/status", status)
    api.on("GET", "/v1/drift", drift)
    api.on("POST", "/v1/drift", drift)
    api.on("GET", "/v1/probe", PROBE)
    api.on("POST", "/v1/probe", PROBE)
    api.on("POST", "/v1/probe/mailboxes", r.Written(revision=8, did=["The test mailboxes have new names."]))
    api.on("GET", "/v1/policy", r.PolicyView())
    api.on("PATCH", "/v1/policy", written)
    api.on("GET", "/v1/backup", b"everything")
    api.on("POST", "/v1/restore", r.Restored(revision=5, did=["Replaced everything."]))
    api.on("GET", "/v1/events", lambda request: _events(dict(request.url.params)))
    api.on("GET", "/v1/events/verify", r.Written(revision=0))
    api.on("GET", "/v1/receipts/7", r.Receipt(revision=7, done=True, lines=[line("mx1.test"), line("ms1.test")]))
    return api


def _events(query: dict[str, str]) -> list[BaseModel]:
    after, limit = int(query.get("after", 0)), int(query["limit"])
    return [event(n, home="ms1.cluster.test") for n in range(1, 8) if n > after][:limit]
