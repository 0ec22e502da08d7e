"""Whom domains and users allow and deny: effective from the next message on, and back after Redis has lost it."""

from __future__ import annotations

import smtplib
import time
from pathlib import Path

import pytest

from roost.agent.disk import Disk, State
from roost.agent.node import Node
from roost.domain.desired import Value
from roost.ports.driver import Batch
from roost.wire.agent_messages import TableNews

from ..common.waiting import wait_until
from .conftest import Net
from .test_mail import SPAMMY, message, refusal

DENY: Value = {"verdict": "deny"}
ALLOW: Value = {"verdict": "allow"}


def test_a_denied_sender_is_refused_at_once_and_for_his_recipient_only(net: Net) -> None:
    net.mx.send("john@example.test", content=message())
    net.filter.put(("john@example.test a@outside.test", DENY))
    code, words = refusal(net, message(), "john+news@example.test")
    assert (code // 100, "does not want" in words) == (5, True)
    net.mx.send("jane@example.test", content=message())

    net.filter.put(("john@example.test a@outside.test", None))
    net.mx.send("john@example.test", content=message())


@pytest.mark.parametrize("sender", ["a@outside.test", "outside.test", "client"])
def test_a_domain_denies_an_address_a_domain_or_a_client(net: Net, sender: str) -> None:
    net.filter.put((f"example.test {net.mx.address if sender == 'client' else sender}", DENY))
    # The test's own address is the MX's.
    if sender == "client":
        net.filter.put(("example.test 127.0.0.1", DENY))
    assert refusal(net, message())[0] // 100 == 5


def test_a_user_comes_before_his_domain(net: Net) -> None:
    net.filter.put(("example.test a@outside.test", DENY), ("john@example.test outside.test", ALLOW))
    net.mx.send("john@example.test", content=message())
    assert refusal(net, message(), "jane@example.test")[0] // 100 == 5


def test_of_several_recipients_who_denies_gets_nothing(net: Net) -> None:
    net.filter.put(("john@example.test a@outside.test", DENY))
    net.mx.send("john@example.test", "jane@example.test", content=message())
    wait_until(lambda: net.home.mails, "it arrives")
    time.sleep(0.5)
    assert [mail.recipients for mail in net.home.mails] == [("jane@jane.pop.example.test",)]


def test_an_allowed_sender_is_not_marked_unless_he_is_forged(net: Net) -> None:
    net.filter.put(
        ("john@example.test a@outside.test", ALLOW),
        ("john@example.test a@careful.test", ALLOW),
        ("john@example.test a@strict.test", ALLOW),
    )
    net.mx.send("john@example.test", content=SPAMMY)
    net.mx.send("john@example.test", content=message(sender="a@careful.test"), sender="a@careful.test")
    wait_until(lambda: len(net.home.mails) == 2, "they arrive")
    marked = {b"X-Spam: Yes" in mail.content for mail in net.home.mails if mail.sender == "a@outside.test"}
    assert marked == {False}
    assert b"X-Spam: Yes" in next(mail.content for mail in net.home.mails if mail.sender == "a@careful.test")
    with pytest.raises(smtplib.SMTPResponseException):
        net.mx.send("john@example.test", content=message(sender="a@strict.test"), sender="a@strict.test")


def test_the_table_is_what_was_written(net: Net) -> None:
    table = net.filter.table
    many = [(f"example.test {number}.spam.test", DENY) for number in range(2500)]
    table.apply(Batch(many, 5, 0))
    table.apply(Batch([("example.test 7.spam.test", None), ("example.test zoë@spam.test", ALLOW)], 6, 5))
    found = dict(table.rows())
    assert len(found) == 2500
    assert found["example.test zoë@spam.test"] == ALLOW
    assert table.position() == 6
    table.apply(Batch([("example.test 8.spam.test", None)], 6, None))
    assert (table.position(), len(dict(table.rows()))) == (6, 2499)
    table.clear()
    assert (table.position(), dict(table.rows())) == (0, {})


def test_a_lost_memory_is_filled_again_from_the_feed(net: Net, tmp_path: Path) -> None:
    judge = net.filter
    disk = Disk(judge.host, str(tmp_path / "agent"))
    disk.keep_state(State(loaded=[]))
    node = Node([judge.driver], judge.host, judge.services, disk, lambda: judge.facts)
    node.take_settings(judge.settings())
    news = TableNews(rows=[("example.test a@outside.test", DENY)], upto=3, more=False)
    node.take_rows("senders", news)
    assert node.positions()["senders"] == 3
    assert refusal(net, message())[0] // 100 == 5

    judge.memory.lose()
    net.mx.send("john@example.test", content=message())
    node.unload_emptied()
    assert node.positions()["senders"] == 0
    node.take_rows("senders", news)
    assert refusal(net, message())[0] // 100 == 5
    judge.expected += ["redis"]


def test_while_redis_is_away_the_table_is_paused_and_nothing_else(net: Net, tmp_path: Path) -> None:
    judge = net.filter
    node = Node([judge.driver], judge.host, judge.services, Disk(judge.host, str(tmp_path)), lambda: judge.facts)
    node.take_settings(judge.settings())
    judge.memory.services.stop()
    node.take_rows("senders", TableNews(rows=[("example.test a@outside.test", DENY)], upto=3, more=False))
    assert node.paused() == ["senders"]
    assert "rspamd" in node.health
    judge.memory.bring()
    node.take_rows("senders", TableNews(rows=[("example.test a@outside.test", DENY)], upto=3, more=False))
    assert node.health == {}
