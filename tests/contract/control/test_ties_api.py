"""Ties over the API: given, shown, looked for, taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moving import MS3
from test_moves_api import ANNA, Api
from world import MS1, MS2

from roost.domain.errors import BadImport, BadSetting, Refused
from roost.domain.ties import Ties
from roost.store.store import SqlStore
from roost.wire.move_resources import NewMoves
from roost.wire.resources import MailboxChange, NewMailbox, NewMailboxes, NewNode, NodeChange

HASH = "{SHA512-CRYPT}$6$abcdefgh$0123456789"


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


def new(name: str, **more: object) -> NewMailbox:
    return NewMailbox.model_validate({"address": f"{name}@example.com", "password_hash": HASH, **more})


def test_what_is_given_is_shown_and_looked_for(api: Api) -> None:
    api.admin.change_node(MS2, NodeChange(classes=["Gold"]))
    api.admin.add_mailbox(new("cleo", together="Smith", apart="copies", service_class="gold"))
    api.admin.import_mailboxes(NewMailboxes(mailboxes=[new("dora", together="smith"), new("emil", pin=MS3)]))
    cleo = api.admin.mailbox("cleo@example.com")
    assert (cleo.together, cleo.apart, cleo.pin, cleo.service_class, cleo.home) == (
        "smith",
        "copies",
        "",
        "gold",
        MS2,
    )
    assert [box.address[:4] for box in api.admin.mailboxes(ties=Ties(together="smith"))] == ["cleo", "dora"]
    assert [box.home for box in api.admin.mailboxes(ties=Ties(pin=MS3))] == [MS3]
    assert api.admin.mailboxes(ties=Ties(service_class="silver")) == []
    assert api.admin.node(MS2).classes == ["gold"]
    added = api.admin.add_node(
        NewNode(name="ms4.example.net", roles=["storage"], addresses=["192.0.2.44"], classes=["a"])
    )
    assert added.token
    assert api.admin.node("ms4.example.net").classes == ["a"]


def test_they_are_changed_and_taken_away(api: Api) -> None:
    before = api.admin.mailbox(ANNA)
    api.admin.change_mailbox(ANNA, MailboxChange(pin=MS1, together="smith"))
    api.admin.change_mailbox(ANNA, MailboxChange(pin=""))
    assert api.admin.mailbox(ANNA) == before.model_copy(update={"together": "smith"})
    dry = api.admin.change_mailbox(ANNA, MailboxChange(pin=MS2), dry_run=True)
    assert f"It stays on {MS1}" in dry.did[2]
    assert api.admin.mailbox(ANNA).pin == ""
    with pytest.raises(BadSetting) as caught:
        api.admin.change_mailbox(ANNA, MailboxChange(service_class="a b"))
    assert caught.value.field == "class"


def test_a_group_is_moved_by_its_name(api: Api) -> None:
    for address in (ANNA, "ben@example.com"):
        api.admin.change_mailbox(address, MailboxChange(together="smith"))
    with pytest.raises(Refused) as caught:
        api.admin.ask_moves(NewMoves.model_validate({"mailboxes": [{"address": ANNA}], "to": MS2}))
    assert "roost user move --together smith" in caught.value.remedy
    assert len(api.admin.ask_moves(NewMoves(together="smith", to=MS2)).ids) == 2
    with pytest.raises(BadImport) as faults:
        api.admin.import_mailboxes(NewMailboxes(mailboxes=[new("x", pin="ms9.example.net")]))
    assert [(one.line, one.field) for one in faults.value.findings] == [(1, "pin")]
