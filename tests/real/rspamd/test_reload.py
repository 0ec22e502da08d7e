"""A change of policy: judged by it from the moment it is confirmed, and no mail is held up meanwhile."""

from __future__ import annotations

import smtplib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from roost.domain.cluster import Policy
from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd import Rspamd
from roost.host.probe import listens

from ..common.spoilt import SpoiltNode
from ..common.waiting import wait_until
from .conftest import Net
from .test_mail import SPAMMY, message, refusal


class Sender:
    """Sends good mail all the time, each message in a session of its own, while it is entered."""

    def __init__(self, net: Net) -> None:
        self._net, self._over = net, threading.Event()
        self.taken = 0
        self.refused: list[smtplib.SMTPException] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._net.mx.send("jane@example.test", content=message())
                self.taken += 1
            except smtplib.SMTPException as error:
                self.refused.append(error)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)


def test_each_change_counts_at_once_and_nothing_is_refused_meanwhile(net: Net) -> None:
    starts = net.filter.services.starts  # type: ignore[attr-defined]
    with Sender(net) as sender:
        for turn in range(2):
            before = sender.taken
            net.filter.set_policy(reject_score=2, spam_score=1)
            # Both workers: each session is taken by one or the other.
            for _ in range(6):
                assert refusal(net, SPAMMY)[0] // 100 == 5, turn
            net.filter.set_policy(reject_score=900, spam_score=800)
            for _ in range(6):
                net.mx.send("john@example.test", content=SPAMMY)
            assert sender.taken > before, "mail has gone on"
    assert sender.refused == []
    assert net.filter.services.starts == starts, "it was never started anew"  # type: ignore[attr-defined]
    wait_until(lambda: len(net.home.to("john@john.pop.example.test")) == 12, "all arrive")
    assert not [mail for mail in net.home.to("john@john.pop.example.test") if b"X-Spam: Yes" in mail.content]


def test_a_session_that_began_before_is_finished(net: Net) -> None:
    with net.mx.client() as client:
        client.ehlo()
        client.mail("a@outside.test")
        client.rcpt("john@example.test")
        net.filter.set_policy(spam_score=7)
        assert client.data(message())[0] == 250


def test_the_old_workers_go(net: Net) -> None:
    net.filter.set_policy(spam_score=7)
    after = set(net.filter.workers)
    net.filter.set_policy(spam_score=8)
    wait_until(lambda: not after & set(net.filter.workers), "those of the policy before have ended", 40)


def test_workers_that_do_not_take_new_settings_are_found_and_the_old_files_put_back(net: Net, tmp_path: Path) -> None:
    """The checker finds nothing, the file is read, and yet no worker says that it works by it."""
    patient = net.filter.driver
    net.filter.driver = Rspamd(listens, net.filter.layout, start_seconds=3)
    try:
        spoilt = SpoiltNode(net.filter, tmp_path / "agent")
        spoilt.settings = replace(spoilt.settings, policy=Policy(spam_score=7))
        said = spoilt.spoil("roost.lua", "file:write(settings,", 'file:write("other",')
        assert "older settings" in said
        assert "rspamd_proxy.0" in said
        net.mx.send("john@example.test", content=message())
        net.filter.driver = patient
        spoilt.mend()
        net.filter.driver.alive(net.filter.host, net.filter.services)
    finally:
        net.filter.driver = patient


def test_settings_that_are_not_in_force_are_brought_without_any_change_of_files(net: Net) -> None:
    """As after a crash of the agent between the files and the reload."""
    judge = net.filter
    judge.cluster = replace(judge.cluster, policy=Policy(reject_score=2, spam_score=1))
    assert judge.write()
    with pytest.raises(DaemonFailed, match="older settings"):
        Rspamd(listens, judge.layout, start_seconds=0.5).alive(judge.host, judge.services)
    assert judge.bring() == frozenset()
    assert refusal(net, SPAMMY)[0] // 100 == 5
