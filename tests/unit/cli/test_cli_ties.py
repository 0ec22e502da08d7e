"""Groups, pins and classes of service on the command line and in files."""

from __future__ import annotations

import pytest
from fake_admin_api import FakeApi, node

from conftest import Roost
from roost.cli.mailbox_csv import read_mailboxes
from roost.wire import resources as r


def test_they_are_shown_where_there_are_any(roost: Roost, api: FakeApi) -> None:
    assert "Kept together" not in roost("user", "show", "john@example.test").out
    ties = {"together": "smith", "pin": "ms1.cluster.test", "service_class": "gold"}
    known = r.MailboxView.model_validate(
        {"address": "john@example.test", "hostname": "h", "target": "t", "home": "m", "quota": 0, "suspended": False}
        | {"number": 1, **ties}
    )
    api.on("GET", "/v1/mailboxes/john%40example.test", known)
    shown = roost("user", "show", "john@example.test").out
    assert all(
        words in shown for words in ("Kept together", "smith", "Pinned to", "ms1.cluster.test", "Class", "gold")
    )
    assert "Kept apart" not in shown
    api.on("GET", "/v1/nodes/ms1.cluster.test", node("ms1.cluster.test", classes=["bulk", "gold"]))
    assert "bulk gold" in roost("node", "show", "ms1.cluster.test").out


def test_a_list_is_asked_for_by_them(roost: Roost, api: FakeApi) -> None:
    roost("user", "list", "--apart", "Postmasters", "--class", "gold")
    query = api.last("GET").query
    assert (query["apart"], query["service_class"]) == ("postmasters", "gold")
    assert "pin" not in query


def test_what_is_left_out_is_not_sent(roost: Roost, api: FakeApi) -> None:
    roost("user", "set", "john@example.test", "--apart", "")
    assert api.last("PATCH").json == {"apart": ""}


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        (["user", "set", "john@example.test"], "quota"),
        (["user", "set", "john@example.test", "--together", "a b"], "together"),
        (["user", "set", "john@example.test", "--pin", "a_b"], "pin"),
        (["user", "list", "--class", "a,b"], "class"),
        (["node", "set", "ms1.cluster.test", "--class", "a b"], "class"),
        (["user", "move", "--together", "a b"], "together"),
    ],
)
def test_what_cannot_be_meant(roost: Roost, argv: list[str], field: str) -> None:
    ran = roost(*argv)
    assert (ran.status, f"(field: {field})" in ran.err) == (2, True)


def test_a_file_names_them() -> None:
    header = "address,password,together,apart,pin,class\n"
    found = read_mailboxes((header + "a@b.test,x,Smith,,ms1.b.test,Gold\nc@b.test,x,,,,\n").encode())
    assert not found.findings
    first, second = found.mailboxes
    assert (first.together, first.apart, first.pin, first.service_class) == ("smith", None, "ms1.b.test", "gold")
    assert second.together is None
    wrong = read_mailboxes((header + "a@b.test,x,s m,,ms 1,\n").encode()).findings
    assert [(one.line, one.column, one.field) for one in wrong] == [(2, 12, "together"), (2, 17, "pin")]
