"""Whom the filter asks besides: an administrator's clamd, and DNS lists."""

from __future__ import annotations

import json

from ..common.waiting import wait_until
from .clamd import INFECTED, Clamd
from .conftest import LISTED, Net
from .test_mail import attached, message, refusal

SICK = attached("letter.bin", INFECTED.decode())


def test_what_is_infected_is_refused(net: Net) -> None:
    net.set_policy(clamav="on")
    with Clamd(net.filter.layout.clamd) as clamd:
        code, words = refusal(net, SICK)
        assert (code // 100, "virus" in words) == (5, True)
        net.mx.send("john@example.test", content=attached("letter.bin", "well"))
        wait_until(lambda: net.home.mails, "what is well arrives")
        assert [INFECTED in content for content in clamd.scanned] == [True, False]


def test_without_clamd_mail_goes_as_without_the_filter(net: Net) -> None:
    """It waits at its sender, or comes in; mail without anything to scan is nobody's concern."""
    net.set_policy(clamav="on")
    net.filter.expected += ["failed to scan"]
    code, words = refusal(net, SICK)
    assert (code // 100, "Viruses" in words) == (4, True)
    net.mx.send("john@example.test", content=message())
    net.set_policy(filter_down="accept")
    net.mx.send("john@example.test", content=SICK)
    wait_until(lambda: len(net.home.mails) == 2, "both arrive")


def test_a_clamd_that_hangs_lets_nothing_in(net: Net) -> None:
    """It is given up before the filter's own time is over."""
    net.set_policy(clamav="on")
    net.filter.expected += ["failed to scan"]
    with Clamd(net.filter.layout.clamd, hangs=True) as clamd:
        code, words = refusal(net, SICK)
        assert (code // 100, "Viruses" in words) == (4, True)
        assert len(clamd.scanned) == 1


def test_clamd_is_not_asked_by_default(net: Net) -> None:
    with Clamd(net.filter.layout.clamd) as clamd:
        net.mx.send("john@example.test", content=SICK)
        assert clamd.scanned == []


def symbols(net: Net, client: str) -> dict[str, float]:
    """Return the points of a message that a client brings; the tests' own address is asked of no list."""
    argv = ["rspamc", "--json", "-h", net.filter.layout.controller, "-i", client, "symbols"]
    said = json.loads(net.filter.host.run(argv, stdin=message().decode()).out)
    return {name: symbol["score"] for name, symbol in said["symbols"].items()}


def test_a_client_on_a_dns_list_has_four_points_more(net: Net) -> None:
    assert not [name for name in symbols(net, LISTED) if name.startswith("DNS_LIST")]
    net.set_policy(dns_lists=("other.outside.test", "bl.outside.test"))
    found = {name: score for name, score in symbols(net, LISTED).items() if name.startswith("DNS_LIST")}
    assert found == {"DNS_LIST_2": 4.0}
    assert not [name for name in symbols(net, "203.0.113.8") if name.startswith("DNS_LIST")]
