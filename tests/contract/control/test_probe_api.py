"""The probe over the API: who may ask, what comes back, and that test mailboxes are among nobody's things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import world
from moving import MS3
from test_moves_api import Api
from world import MS1, MS2, MX1, NS1

from roost.control import domains, mailboxes, node_lives, nodes, probes
from roost.domain.cluster import Node
from roost.domain.desired import Table
from roost.domain.errors import BadName, BadSetting, Forbidden, NotFound
from roost.domain.probe import Login, Round, Seen, Stage, Task
from roost.store.store import SqlStore
from roost.wire.probe_messages import ProbeReply, ProbeRequest

CONTROL = "control.example.net"
PROBE = "roost-probe.example.net"


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    """A cluster with a node that probes; every node has all that was ever given."""
    with store.write("founder") as tx:
        node = Node.parse(CONTROL, ["control"], ["192.0.2.8"])
        tx.put_node(replace(node, joined=True), "node added")
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


def _ask(api: Api, who: str = CONTROL, **fields: object) -> Task:
    api.who = who
    answer = api.http.post("/agent/probe", json={"wait": 0, **fields})
    if answer.status_code != 200:
        raise Forbidden(answer.json()["detail"])
    return ProbeReply.model_validate_json(answer.content).task


def _everybody_has_all(api: Api) -> None:
    with api.bench.store.read() as view:
        revision, cluster = view.revision(), view.cluster()
    tables = {"settings": revision, **{str(table): revision for table in Table}}
    for node in cluster.nodes:
        api.bench.followers.note(node.name, tables, {}, 0, api.bench.clock.now())


def test_a_prober_is_told_what_to_try_once_the_nodes_have_it(api: Api) -> None:
    assert _ask(api).boxes == (), "no node has the test mailboxes yet"
    _everybody_has_all(api)
    task = _ask(api)
    assert [box.store for box in task.boxes] == [MS1, MS2, MS3]
    assert ([mx.name for mx in task.mx], [dns.name for dns in task.dns]) == ([MX1], [NS1])
    assert task.seconds == 60
    box = task.boxes[0]
    assert box.mailbox.endswith(f"@{PROBE}")
    rows = world.Follower(Table.ACCOUNTS, MS1).catch_up(api.bench.store)
    assert rows[box.mailbox]["hostname"] == box.hostname
    assert box.password not in str(rows)


def test_nobody_else_is_told(api: Api) -> None:
    for who in (MX1, MS1, "stranger.example.net"):
        with pytest.raises(Forbidden):
            _ask(api, who)
        round_ = {"number": 1, "began": "2026-11-26T12:00:00Z", "seconds": 1, "mails": [], "logins": [], "doors": []}
        with pytest.raises(Forbidden):
            _ask(api, who, found=round_)
    assert [prober.at for prober in api.admin.probe().probers] == [None]


def test_a_round_shows_in_the_probe_and_in_the_status(api: Api) -> None:
    _everybody_has_all(api)
    asked = api.admin.ask_probe().asked
    assert _ask(api).asked == asked
    found = Round(asked, api.bench.clock.now(), 1.5, (), (Login(NS1, MS1, Seen(Stage.SILENT, "no answer")),), ())
    api.bench.clock.at += timedelta(seconds=1)
    _ask(api, found=_json(found))
    shown = api.admin.probe(number=asked, wait=5)
    assert [(one.node, one.number, one.seconds) for one in shown.probers] == [(CONTROL, asked, 1.5)]
    assert [finding.subject for finding in shown.findings] == [NS1]
    warned = {one.subject: one.warning for one in api.admin.status().warnings}
    assert warned[NS1].startswith("does not answer")


def test_a_prober_that_falls_silent_is_a_warning(api: Api) -> None:
    def silent() -> bool:
        return any("no round" in one.warning for one in api.admin.status().warnings)

    assert not silent()
    api.bench.clock.at += timedelta(seconds=300)
    assert silent()
    _ask(api, found=_json(Round(0, api.bench.clock.now(), 1.0, (), (), ())))
    assert not silent()
    api.bench.clock.at += timedelta(seconds=300)
    assert silent()
    api.admin.change_policy({"probe_seconds": 0})
    assert not silent()
    assert _ask(api).seconds == 0


def test_test_mailboxes_are_no_users(api: Api) -> None:
    before = api.admin.status()
    _ask(api)
    _everybody_has_all(api)
    box = _ask(api).boxes[0]
    status = api.admin.status()
    assert (status.mailboxes, status.domains) == (before.mailboxes, before.domains)
    assert not [one for one in api.admin.mailboxes() if PROBE in one.address]
    assert PROBE not in [domain.name for domain in api.admin.domains()]
    store = api.bench.store
    with pytest.raises(NotFound):
        mailboxes.remove(store, "admin", box.mailbox)
    with pytest.raises(NotFound):
        mailboxes.add(store, "admin", mailboxes.Wanted(f"john@{PROBE}", password="x"))
    for name, zone in ((PROBE, None), (f"x.{PROBE}", None), ("other.test", f"pop.{PROBE}")):
        with pytest.raises(BadName):
            domains.add(store, "admin", name, zone)
    with pytest.raises(BadName):
        nodes.add(store, "admin", f"ms1.{PROBE}", ["storage"], ["192.0.2.99"])


def test_a_node_that_goes_takes_its_test_mailbox_along(api: Api) -> None:
    _ask(api)
    store = api.bench.store
    recipients = world.Follower(Table.RECIPIENTS)
    assert {value["hop"] for key, value in recipients.catch_up(store).items() if PROBE in key} == {MS1, MS2, MS3}
    node_lives.retire(store, "admin", MS2, api.bench.clock.now(), give_up=True)
    assert {value["hop"] for key, value in recipients.catch_up(store).items() if PROBE in key} == {MS1, MS3}
    with store.read() as view:
        assert view.page(Table.ACCOUNTS, MS2, 0, 10).rows == ()


def test_they_can_be_made_anew(api: Api) -> None:
    _ask(api)
    _everybody_has_all(api)
    before = _ask(api).boxes[0]
    written = api.admin.renew_probe()
    assert written.revision
    assert _ask(api).boxes == (), "the nodes do not have the new ones yet"
    _everybody_has_all(api)
    after = _ask(api).boxes[0]
    assert before.mailbox != after.mailbox
    assert before.password != after.password
    assert [key for key in world.Follower(Table.ACCOUNTS, MS1).catch_up(api.bench.store) if PROBE in key] == [
        after.mailbox
    ]
    [event] = api.admin.events(after=written.revision - 1, limit=1)
    assert (event.verb, event.detail) == ("test mailboxes made", {})


def test_rounds_are_not_asked_for_too_often(api: Api) -> None:
    with pytest.raises(BadSetting):
        api.admin.change_policy({"probe_seconds": 9})
    api.admin.change_policy({"probe_seconds": 10})
    assert _ask(api).seconds == 10


def test_the_first_secret_is_made_once(api: Api) -> None:
    store = api.bench.store
    assert probes.make_anew(store, "one", first=True).revision
    assert not probes.make_anew(store, "two", first=True).revision


def _json(found: Round) -> object:
    """Return a round as a prober sends it."""
    return ProbeRequest(found=found).model_dump(mode="json")["found"]
