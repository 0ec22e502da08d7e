"""What users' rules send: from a home's Postfix by an MX to the world; nobody but a home may send so."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from roost.domain.cluster import Policy, Role

from ..common.authority import TestCa
from ..common.waiting import wait_until
from .conftest import Net
from .instance import LEAVING, SMTP, Instance, node, row

JOHN, CAROL = "john@example.test", "carol@outside.test"
WAY_OUT = 10025


@pytest.fixture
def home(net: Net) -> Instance:
    """The first home's Postfix. (Nobody listens for LMTP there but the twin of a home.)"""
    return net.start("ms1")


def test_it_goes_by_an_mx_with_the_sender_that_it_has(net: Net, home: Instance, mx: Instance) -> None:
    home.hand_over(JOHN, CAROL, content=b"X-Sieve: x\r\nSubject: on\r\n\r\nx\r\n")
    home.hand_over("", CAROL)

    wait_until(lambda: len(net.outside.to(CAROL)) == 2, "both are outside")
    assert {mail.sender for mail in net.outside.mails} == {JOHN, ""}
    (his,) = (mail for mail in net.outside.mails if mail.sender)
    assert b"X-Sieve: x\r\nSubject: on\r\n" in his.content
    assert "Verified TLS connection established to mx1.cluster.test" in home.log()
    assert "postfix/way-out/smtpd" in mx.log()
    assert "Trusted TLS connection established from ms1.cluster.test" in mx.log()
    home.assert_log_is_clean()


def test_a_home_takes_mail_from_nobody(home: Instance) -> None:
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(home.address, SMTP, timeout=10)


def test_users_of_the_cluster_are_reached_as_well(net: Net, home: Instance, mx: Instance) -> None:
    mx.put(row("mary@example.test", "ms2.cluster.test"))
    home.hand_over(JOHN, "mary@example.test")
    wait_until(lambda: net.ms2.to("mary@mary.pop.example.test"), "it is at her home")
    assert net.ms2.mails[0].sender == JOHN


def test_who_is_unknown_is_told_to_the_user_whose_rule_it_was(net: Net, home: Instance, mx: Instance) -> None:
    mx.put(row(JOHN))
    home.hand_over(JOHN, "nobody@example.test")
    wait_until(lambda: net.ms1.to("john@john.pop.example.test"), "the bounce is at his home")
    assert net.ms1.mails[0].sender == ""
    assert b"5.1.1" in net.ms1.mails[0].content


def test_an_mx_that_is_down_delays_nothing(net: Net, home: Instance) -> None:
    """Whichever comes first in the home's list: one after the other is down."""
    for name in ("mx1", "mx2"):
        before = len(net.outside.mails)
        mx = net.start(name)
        home.hand_over(JOHN, CAROL)
        wait_until(lambda before=before: len(net.outside.mails) > before, "it is outside")  # type: ignore[misc]
        mx.stop()
    assert "status=deferred" not in home.log()


def test_while_all_mx_hosts_are_down_it_waits_on_the_home(net: Net, home: Instance) -> None:
    home.hand_over(JOHN, CAROL)
    assert "Connection refused" in home.wait_deferred()[0]
    net.start("mx1")
    home.driver.tick(home.settings(), home.host)
    home.flush()
    wait_until(lambda: net.outside.to(CAROL), "it is outside")
    wait_until(lambda: home.queue() == [], "the queue is empty")


def test_a_home_that_the_mx_does_not_know_yet_waits(net: Net, home: Instance, mx: Instance) -> None:
    """Nothing comes back because one of the two is late."""
    whole = mx.cluster
    mx.cluster = replace(whole, nodes=tuple(n for n in whole.nodes if n.name != home.name))
    mx.configure()
    home.hand_over(JOHN, CAROL)
    assert "4.7.1" in home.wait_deferred()[0]
    mx.cluster = whole
    mx.configure()
    home.flush()
    wait_until(lambda: net.outside.to(CAROL), "it is outside")


def test_it_may_be_larger_than_what_comes_in(net: Net, home: Instance, mx: Instance) -> None:
    """A message of just the largest size has grown when it goes on."""
    mx.set_policy(message_size=100_000)
    home.hand_over(JOHN, CAROL, content=b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 9000)
    wait_until(lambda: net.outside.to(CAROL), "it is outside")


def test_more_than_the_policy_allows_waits(net: Net, home: Instance, mx: Instance) -> None:
    mx.set_policy(rules_rate=2)
    for _ in range(3):
        home.hand_over(JOHN, CAROL)
    wait_until(lambda: len(net.outside.to(CAROL)) == 2, "two are outside")
    assert home.wait_deferred()
    assert len(net.outside.to(CAROL)) == 2
    mx.expected += ["Message delivery request rate limit exceeded"]


def _try(
    mx: Instance, source: str, ca: TestCa | None, folder: Path, usage: object = ExtendedKeyUsageOID.CLIENT_AUTH
) -> str:
    """Return what is said to a recipient outside, from an address, with a certificate of this authority."""
    context = ssl.create_default_context(cafile=str(mx.ca.path))
    if ca is not None:
        ca.issue(folder, ("ms1.cluster.test",), "shown", usage)  # type: ignore[arg-type]
        context.load_cert_chain(folder / "shown.crt", folder / "shown.key")
    client = smtplib.SMTP(mx.address, WAY_OUT, "ms1.cluster.test", 10, (source, 0))
    try:
        client._host = mx.name  # type: ignore[attr-defined]
        client.starttls(context=context)
        client.ehlo()
        client.mail(JOHN)
        code, words = client.rcpt(CAROL)
    except (OSError, smtplib.SMTPException) as error:
        return f"cut off: {error}"
    finally:
        client.close()
    return f"{code} {words.decode()}"


def test_nobody_but_a_home_may_send_so(net: Net, mx: Instance, ca: TestCa, tmp_path: Path) -> None:
    """It takes the address of a home and an identity of the cluster."""
    home = next(n.addresses[0] for n in net.nodes if n.name == "ms1.cluster.test")
    stranger = next(n.addresses[0] for n in net.nodes if n.name == "mx-backup.cluster.test")
    others = tmp_path / "others"
    others.mkdir()
    assert _try(mx, home, ca, tmp_path).startswith("250")
    assert _try(mx, stranger, ca, tmp_path).startswith("554 5.7.1"), "a node of the cluster that is no home"
    assert _try(mx, home, None, tmp_path).startswith("cut off"), "who has no certificate"
    assert _try(mx, home, ca, tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)[:3] in ("554", "cut"), "a daemon's"
    assert _try(mx, home, TestCa(others), others)[:3] in ("554", "cut"), "one of somebody's own"
    with smtplib.SMTP(mx.address, WAY_OUT, timeout=10, source_address=(home, 0)) as client:
        client.ehlo()
        assert client.mail(JOHN)[0] == 530, "without TLS"
    mx.expected += ["TLS library problem", "SSL_accept error"]


def test_one_machine_that_is_home_and_mx(net: Net) -> None:
    """One Postfix does both."""
    name, address = "mx1.cluster.test", net.nodes[0].addresses[0]
    cluster = (node(name, Role.MX, address, Role.STORAGE), *net.nodes[1:])
    both = net.start("mx1", row("mary@example.test", "ms2.cluster.test"), cluster=cluster)
    both.hand_over(JOHN, CAROL, "mary@example.test")
    wait_until(lambda: net.outside.to(CAROL) and net.ms2.mails, "both have it")
    both.send("mary@example.test")
    wait_until(lambda: len(net.ms2.mails) == 2, "and it is an MX")
    both.assert_log_is_clean()


def test_a_home_becomes_an_mx_and_is_none_again(net: Net, home: Instance) -> None:
    """As ``roost node set --role`` asks."""
    plain = home.cluster
    nodes = tuple(
        node(n.name, Role.MX, n.addresses[0], Role.STORAGE) if n.name == home.name else n for n in plain.nodes
    )
    home.cluster = replace(plain, nodes=nodes, policy=Policy(filter="off"))
    home.write()
    home.put(row("mary@example.test", "ms2.cluster.test"))
    home.configure()
    home.driver.activate(home.host, home.services, frozenset({home.layout.master}))
    home.wait_alive()
    home.send("mary@example.test")
    wait_until(lambda: net.ms2.mails, "it is an MX")
    home.hand_over(JOHN, "mary@example.test")
    wait_until(lambda: len(net.ms2.mails) == 2, "what rules send goes, too")
    home.cluster = plain
    gone = [Path(home.layout.domains), Path(home.layout.homes)]
    for path in gone:
        path.unlink()
    home.configure()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(home.address, SMTP, timeout=10)
    with smtplib.SMTP(home.address, LEAVING, timeout=10) as client:
        assert client.noop()[0] == 250
