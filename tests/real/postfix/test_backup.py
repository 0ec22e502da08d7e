"""The backup MX: knows the same recipients, delivers to the primaries only, by verified TLS."""

from __future__ import annotations

from dataclasses import replace

from ..common.waiting import wait_until
from .conftest import Net
from .instance import alias, row

ROWS = (
    row("john@example.test"),
    alias("sales@example.test", "john@example.test", "carol@outside.test"),
    row("gone@example.test", refuse="550 5.2.1 This mailbox is suspended"),
)


def test_it_knows_whom_the_primaries_know(net: Net) -> None:
    backup = net.start("mx-backup", *ROWS)
    assert backup.rcpt("john@example.test")[0] == 250
    assert backup.rcpt("john+news@example.test")[0] == 250
    assert backup.rcpt("sales@example.test")[0] == 250
    assert backup.rcpt("gone@example.test")[0] == 550
    assert backup.rcpt("nobody@example.test")[0] == 550
    backup.distrust_loopback()
    assert backup.rcpt("somebody@outside.test")[0] == 554
    assert backup.rcpt("john@john.pop.example.test")[0] == 554
    backup.assert_log_is_clean()


def test_mail_goes_to_the_primary_that_answers(net: Net) -> None:
    backup = net.start("mx-backup", *ROWS)
    primary = net.start("mx2", *ROWS)

    backup.send("john@example.test", "sales@example.test")

    wait_until(lambda: len(net.ms1.mails) == 1 and net.outside.mails, "the mail arrives by the second primary")
    assert "Verified TLS connection established to mx2.cluster.test" in backup.log()
    assert backup.log().count("status=sent") == 2
    primary.assert_log_is_clean()
    backup.assert_log_is_clean()


def test_mail_waits_while_all_primaries_are_down_and_goes_as_soon_as_one_returns(net: Net) -> None:
    backup = net.start("mx-backup", *ROWS)
    backup.send("john@example.test")
    backup.wait_deferred()

    net.start("mx1", *ROWS)

    backup.tick_until(lambda: net.ms1.mails, "the mail arrives", 20)


def test_a_primary_that_does_not_know_the_recipient_yet_makes_it_wait(net: Net) -> None:
    backup = net.start("mx-backup", *ROWS)
    primary = net.start("mx1")
    backup.send("john@example.test")
    backup.wait_deferred()

    primary.put(*ROWS)
    backup.flush()

    wait_until(lambda: net.ms1.mails, "the mail arrives")


def test_a_primary_that_does_not_know_the_domain_yet_makes_it_wait(net: Net) -> None:
    """As one does that was away while the domain came, until its agent has had the news."""
    backup = net.start("mx-backup", *ROWS)
    primary = net.start("mx1")
    domains = primary.cluster.domains
    primary.cluster = replace(primary.cluster, domains=domains[1:])
    primary.configure()
    primary.distrust_loopback()
    wait_until(lambda: primary.rcpt("john@example.test")[0] == 554, "the primary does not relay for the domain")
    backup.send("john@example.test")
    backup.wait_deferred()
    assert "said: 454 4.7.1 <john@example.test>: Relay access denied" in backup.log()

    primary.cluster = replace(primary.cluster, domains=domains)
    primary.put(*ROWS)
    primary.configure()
    wait_until(lambda: primary.rcpt("john@example.test")[0] == 250, "the primary knows it")
    backup.flush()

    wait_until(lambda: net.ms1.mails, "the mail arrives")
