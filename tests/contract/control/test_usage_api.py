"""What nodes tell of their mailboxes, over the API: who may, what is believed, and what administrators see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import world
from test_moves_api import Api
from world import MS1, MS2, MX1

from roost.control import nodes
from roost.domain.errors import Forbidden, NotFound
from roost.domain.node_load import NodeLoad, Strength
from roost.domain.probe import Door, Round, Seen, Stage
from roost.domain.usage import Counts, Load, Size, code_of
from roost.store.store import SqlStore
from roost.wire.resources import Declared, NodeChange
from roost.wire.usage_messages import UsageReply, UsageReport, priors_in, row_of

_WEEK_MINUTES = 7 * 24 * 60
_MINUTE = NodeLoad(60.0, cpu=1.5, memory=8e9, memory_available=4e9, disk=1e12, disk_free=5e11, logins=2.0)


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    """John lives on ms1, ann on ms2."""
    world.add(store, "john", "ann")
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(2, "ann", MS2)], "mailbox changed")
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


def _now(api: Api) -> int:
    return int(api.bench.clock.now().timestamp() // 60)


def _load(api: Api, number: int = 1, age: int = _WEEK_MINUTES, **fields: object) -> Load:
    rates = Counts(logins=1 / 30, deliveries=1e-4, bytes_out=100.0, connected=0.1, cpu=1e-4)
    codes = tuple(map(code_of, rates))
    return Load(number, _now(api) - age, _now(api), codes, codes, Size(2048, 3), "9" * 24)._replace(**fields)  # type: ignore[arg-type]


def _tell(api: Api, *loads: Load, who: str = MS1, **fields: object) -> UsageReply:
    api.who = who
    report = UsageReport(
        at=loads[0].at if loads else _now(api),
        loads=[row_of(load) for load in loads],
        patterns={load.number: load.pattern for load in loads if load.pattern},
        **fields,  # type: ignore[arg-type]
    )
    body, json_ = report.model_dump_json(), {"Content-Type": "application/json"}
    answer = api.http.post("/agent/usage", content=body, headers=json_)
    if answer.status_code != 200:
        raise Forbidden(answer.json()["detail"])
    return UsageReply.model_validate_json(answer.content)


def test_what_a_home_tells_is_seen(api: Api) -> None:
    assert api.admin.mailbox_load("john@example.com").hour is None
    assert _tell(api, _load(api)) == UsageReply()
    found = api.admin.mailbox_load("john@example.com")
    assert found.home == MS1
    assert found.week is not None
    assert found.week.logins == pytest.approx(1 / 30, rel=0.05)
    assert (found.bytes, found.messages, found.pattern) == (2048, 3, "9" * 24)
    api.bench.clock.at += timedelta(hours=1)
    later = api.admin.mailbox_load("john@example.com")
    assert later.hour is not None
    assert later.hour.logins == pytest.approx(1 / 60, rel=0.05)


def test_a_node_tells_of_its_own_mailboxes_only(api: Api) -> None:
    reply = _tell(api, _load(api), _load(api, 2), _load(api, 99))
    assert reply.foreign == [2, 99]
    assert api.admin.mailbox_load("ann@example.com").hour is None
    for who in (MX1, "stranger.example.net"):
        with pytest.raises(Forbidden):
            _tell(api, _load(api), who=who)


def test_after_a_move_the_new_home_is_given_what_the_old_one_knew(api: Api, store: SqlStore) -> None:
    old = _load(api)
    _tell(api, old)
    with store.write("me") as tx:
        tx.put_mailboxes([world.box(1, "john", MS2)], "mailbox changed")
    assert _tell(api, old, who=MS1).foreign == [1]
    young = _load(api, age=5, hour=(0,) * 6, week=(0,) * 6)
    assert list(priors_in(_tell(api, young, who=MS2))) == [old]
    found = api.admin.mailbox_load("john@example.com")
    assert found.week is not None
    assert found.week.logins > 0, "a young measuring does not wipe out what is known"
    merged = _load(api, hour=(7,) * 6)
    assert _tell(api, merged, who=MS2) == UsageReply()
    with store.read() as view:
        assert view.load(1) == merged


def test_the_node_s_clock_does_not_matter(api: Api) -> None:
    load = _load(api)
    _tell(api, load._replace(at=load.at + 500_000, since=load.since + 500_000))
    with api.bench.store.read() as view:
        assert view.load(1) == load


@pytest.mark.parametrize(
    "rubbish",
    [
        {"hour": (1000,) * 6},
        {"week": (-1,) * 6},
        {"hour": (0, 0, 0, 0, 0, 900)},
        {"since": 10**9},
        {"size": Size(2**70, 1)},
        {"number": 0},
    ],
)
def test_rubbish_is_not_taken(api: Api, rubbish: dict[str, object]) -> None:
    good = _load(api)
    _tell(api, good)
    bad = _load(api)._replace(**rubbish)  # type: ignore[arg-type]
    assert _tell(api, bad).priors == []
    with api.bench.store.read() as view:
        assert view.load(1) == good


def test_what_is_no_report_is_refused(api: Api) -> None:
    api.who = MS1
    for body in (
        {"at": 1, "loads": [[1, 2, 3]]},
        {"at": 1, "loads": [["x"] * 16]},
        {"at": 1, "patterns": {"1": "no"}},
    ):
        assert api.http.post("/agent/usage", json=body).status_code == 422


def test_minutes_and_strength_of_a_node_are_seen_and_declared_values_count(api: Api) -> None:
    _tell(api, node=_MINUTE, strength=Strength(2.0, 800.0, 8e9, 1e12, 0.02, 0.3))
    found = api.admin.node_load(MS1)
    assert [(minute.cpu, minute.logins) for minute in found.minutes] == [(1.5, 2.0)]
    assert found.measured is not None
    assert (found.strength.cpu, found.strength.io, found.measured.io_spread) == (2.0, 800.0, 0.3)
    api.admin.change_node(MS1, NodeChange(declared=Declared(cpu=8.0)))
    found = api.admin.node_load(MS1)
    assert (found.strength.cpu, found.strength.io, found.declared) == (8.0, 800.0, {"cpu": 8.0})
    api.admin.change_node(MS1, NodeChange(declared=Declared(cpu=0)))
    assert api.admin.node_load(MS1).strength.cpu == 2.0
    assert {load.node: len(load.minutes) for load in api.admin.node_loads()}[MS2] == 0


def test_the_probe_s_login_is_put_to_the_minute(api: Api) -> None:
    doors = (Door(MS1, "imap", Seen(Stage.OK, seconds=0.031)), Door(MS2, "imap", Seen(Stage.SILENT)))
    probes = api.http.app.state.parts.probes  # type: ignore[attr-defined]
    probes.take("control.example.net", Round(1, api.bench.clock.now(), 1.0, (), (), doors), api.bench.clock.now())
    for who in (MS1, MS2):
        _tell(api, who=who, node=replace(_MINUTE, login=5.0))
    assert [api.admin.node_load(who).minutes[0].login for who in (MS1, MS2)] == [0.031, 0.0]


def test_a_minute_that_cannot_be_is_not_kept(api: Api) -> None:
    for wrong in ({"cpu": -1.0}, {"pressure_io": 1.5}, {"seconds": 1e9}, {"disk_free": 2e12}):
        _tell(api, node=NodeLoad(**{"seconds": 60.0, "disk": 1e12, **wrong}))  # type: ignore[arg-type]
    assert api.admin.node_load(MS1).minutes == []


def test_a_node_is_asked_to_measure_itself_by_a_number(api: Api) -> None:
    assert _tell(api).measure == 0
    assert "asked" in api.admin.measure_node(MS1).did[0]
    assert _tell(api).measure == 1
    with pytest.raises(NotFound):
        api.admin.measure_node("ms9.example.net")


def test_only_administrators_see_it(api: Api) -> None:
    for path in ("/v1/mailboxes/john@example.com/load", "/v1/nodes/load", f"/v1/nodes/{MS1}/load"):
        assert api.http.get(path).status_code == 401


def test_a_node_that_comes_back_keeps_what_was_declared(api: Api, store: SqlStore) -> None:
    nodes.change(store, "me", MS1, None, ["192.0.2.77"], declared={"io": 5.0})
    with store.read() as view:
        assert nodes.find(view.cluster(), MS1).declared == {"io": 5.0}
