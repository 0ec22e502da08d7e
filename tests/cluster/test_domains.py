"""Several mail domains in one cluster: names that never meet, and certificates that follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message

SECOND = "bücher.test"
SECOND_ASCII = "xn--bcher-kva.test"


@pytest.fixture
def second(cluster: Cluster) -> Iterator[str]:
    """Another domain, internationalised, known to the world; without mailboxes it goes in the end."""
    cluster.roost("domain", "add", SECOND)
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}", SECOND_ASCII: f"pop.{SECOND_ASCII}"})
    yield SECOND
    for user in cluster.roost("user", "list", "--domain", SECOND):
        cluster.roost("user", "remove", user["address"], "--yes")
    cluster.roost("domain", "remove", SECOND, "--yes")
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}"})


def test_one_name_in_two_domains(cluster: Cluster, second: str) -> None:
    """Each has a hostname, a mailbox and a password of his own; both certificates verify."""
    local = fresh("twin").partition("@")[0]
    passwords = {DOMAIN: PASSWORD, SECOND_ASCII: "another one altogether"}
    for domain, password in passwords.items():
        cluster.add_user(f"{local}@{domain}", password)
    for domain in passwords:
        address = f"{local}@{domain}"
        assert cluster.client.send([address], message(f"only-{domain}", to=address)).ok
    for domain, password in passwords.items():
        hostname = f"{local}.pop.{domain}"
        for protocol in ("imap", "pop3"):
            found = cluster.client.read(
                hostname, f"{local}@{domain}", password, protocol=protocol, text=f"only-{domain}", wait=30
            )
            assert found.ok, found.error
            assert found.count == 1
        other = next(word for name, word in passwords.items() if name != domain)
        assert not cluster.client.read(hostname, f"{local}@{domain}", other).ok


def test_a_domain_goes_whole(cluster: Cluster) -> None:
    """Refused while somebody lives there; afterwards no MX takes its mail and no server answers for its zone."""
    cluster.roost("domain", "add", "short.test")
    address = "brief@short.test"
    cluster.add_user(address, PASSWORD)
    mx1, ns1 = cluster.lab.machine("mx1"), cluster.lab.machine("ns1")
    assert cluster.client.send([address], message("brief", to=address), hosts=[mx1.address]).ok
    cluster.roost("user", "remove", address, "--yes")
    cluster.roost("domain", "remove", "short.test", "--yes")
    refused = cluster.client.send([address], message("late", to=address), hosts=[mx1.address])
    assert refused.refused[address].startswith(("550", "554")), refused.attempts
    asked = cluster.client.machine.run(["dig", f"@{ns1.address}", "pop.short.test", "SOA", "+norecurse"])
    assert "status: REFUSED" in asked.stdout
