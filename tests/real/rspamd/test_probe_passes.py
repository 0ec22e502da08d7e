"""Test mail of the probe passes a filter that lives, whatever the policy, and shows one that does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from roost.agent.probing.sending import Message, Sent, send
from roost.domain.cluster import Node, Role
from roost.domain.desired import Table
from roost.domain.hops import verdict
from roost.domain.probe import Mail, Round, Stage
from roost.domain.testbox import rows_with_node

from ..common.waiting import wait_until
from ..postfix.instance import SMTP
from .conftest import Net
from .test_mail import SPAMMY, refusal

SECRET = "a secret of the tests"


@pytest.fixture
def mailbox(net: Net) -> str:
    """The address of the home's test mailbox."""
    net.filter.cluster = replace(net.filter.cluster, probe=SECRET)
    net.mx.cluster = replace(net.mx.cluster, probe=SECRET)
    node = next(node for node in net.mx.cluster.nodes if Role.STORAGE in node.roles)
    joined = Node(node.name, node.roles, node.addresses, joined=True)
    rows = [row for row in rows_with_node(net.mx.cluster, joined) if row.table is Table.RECIPIENTS]
    net.mx.put(*((row.key, row.value) for row in rows))
    net.mx.configure()
    net.filter.bring()
    [row] = rows
    return row.key


def _sent(net: Net, mailbox: str, count: int = 1) -> list[Sent]:
    messages = [Message(mailbox, f"token{number}") for number in range(count)]
    found = send(net.mx.address, SMTP, "control.cluster.test", messages, 10.0)
    return [found[one.token] for one in messages]


def test_it_passes_unmarked_though_anything_else_would_not(net: Net, mailbox: str) -> None:
    net.set_policy(client_rate=1, greylist_score=1, spam_score=2, reject_score=3)
    assert [sent.seen.stage for sent in _sent(net, mailbox, 4)] == [Stage.OK] * 4
    wait_until(lambda: len(net.home.mails) == 4, "all arrive")
    assert not [mail for mail in net.home.mails if b"X-Spam" in mail.content]
    assert refusal(net, SPAMMY)[0] // 100 in (4, 5), "the policy is really such"


def test_who_writes_to_others_as_well_is_judged(net: Net, mailbox: str) -> None:
    net.set_policy(spam_score=1, reject_score=2)
    assert refusal(net, SPAMMY, mailbox, "john@example.test")[0] // 100 == 5


def test_a_dead_filter_is_the_hop(net: Net, mailbox: str) -> None:
    net.filter.services.stop()
    [sent] = _sent(net, mailbox)
    assert sent.seen.stage is Stage.REFUSED
    mails = (Mail("mx1", "ms1", sent.seen),)
    found = Round(1, datetime.now(UTC), 0.1, mails, (), ())
    [finding] = verdict(found, "control")
    assert (finding.hop, "rspamd" in finding.remedy) == ("mx1", True), finding
