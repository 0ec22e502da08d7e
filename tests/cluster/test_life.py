"""Scenario i: the life of a mailbox: unknown, suspended, new password, full, removed, added again; alias loops."""

from __future__ import annotations

import time

import pytest
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.errors import CommandFailed
from roost.lab.mail import Found, message


def _read(cluster: Cluster, address: str, password: str = PASSWORD, text: str = "", wait: float = 0) -> Found:
    label = address.partition("@")[0]
    return cluster.client.read(f"{label}.pop.{DOMAIN}", address, password, text=text, wait=wait)


def _rcpt(cluster: Cluster, address: str, subject: str = "hello") -> dict[str, str]:
    """Offer a mail to every MX host by itself; return what those that refused said."""
    said = {}
    for machine in [*cluster.machines_with("mx"), *cluster.machines_with("backup-mx")]:
        done = cluster.client.send([address], message(subject, to=address), hosts=[machine.address])
        said[machine.short] = done.refused.get(address, "taken" if done.ok else str(done.attempts))
    return said


def test_unknown_users_are_refused_at_the_door(cluster: Cluster) -> None:
    said = _rcpt(cluster, f"nobody.at.all@{DOMAIN}")
    assert all(reply.startswith("550 5.1.1") for reply in said.values()), said


def test_a_foreign_domain_is_not_relayed(cluster: Cluster) -> None:
    said = _rcpt(cluster, "someone@elsewhere.test")
    assert all(reply.startswith(("554", "550", "454")) for reply in said.values()), said


def test_a_suspended_user(cluster: Cluster) -> None:
    """Login refused; mail taken and kept (the default), or refused where the domain says so."""
    address = fresh("suspended")
    cluster.add_user(address, PASSWORD)
    assert _read(cluster, address).ok
    cluster.roost("user", "suspend", address)
    refused = _read(cluster, address)
    assert not refused.ok
    assert "error" in refused.error.lower()
    assert cluster.client.send([address], message("while-suspended", to=address)).ok
    cluster.roost("domain", "set", DOMAIN, "--suspended", "refuse")
    try:
        said = _rcpt(cluster, address)
        assert all(reply.startswith("550 5.2.1") for reply in said.values()), said
    finally:
        cluster.roost("domain", "set", DOMAIN, "--suspended", "accept")
    cluster.roost("user", "resume", address)
    assert _read(cluster, address, text="while-suspended", wait=30).ok


def test_a_new_password(cluster: Cluster) -> None:
    """The old one is refused within a second of the command's end, whatever Dovecot had in its cache."""
    address = fresh("password")
    cluster.add_user(address, PASSWORD)
    assert _read(cluster, address).ok
    cluster.roost("user", "password", address, "--password-stdin", stdin="quite another one\n")
    ended = time.monotonic()
    assert not _read(cluster, address).ok
    assert time.monotonic() - ended < 5, "the answer came too late to say anything"
    assert _read(cluster, address, "quite another one").ok


def test_a_full_mailbox(cluster: Cluster) -> None:
    """By default its mail waits at the MX; with policy over_quota=refuse the sender is told."""
    address = fresh("full")
    cluster.add_user(address, PASSWORD, "--quota", "1M")
    home = cluster.home_of(address)
    big = message("big", "x" * 70 + "\r\n", to=address) + (b"y" * 70 + b"\r\n") * 12_000
    assert cluster.client.send([address], big).ok
    assert cluster.wait_for_mail(home, address, "big", 1, 30)
    over = message("over", to=address) + (b"z" * 70 + b"\r\n") * 6_000
    assert cluster.client.send([address], over).ok
    _wait_for_queue(cluster, address)
    cluster.roost("user", "set", address, "--quota", "10M")
    for machine in cluster.machines_with("mx"):
        machine.run(["postqueue", "-f"])
    assert cluster.wait_for_mail(home, address, "over", 1, 60) == ["<over@outside.test>"]


def _wait_for_queue(cluster: Cluster, address: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        queues = [machine.run(["postqueue", "-j"]).stdout for machine in cluster.machines_with("mx")]
        local = address.partition("@")[0]
        if any(local in queue and "delay_reason" in queue for queue in queues):
            return
        time.sleep(0.2)
    raise AssertionError(f"no MX host has deferred mail for {address}")


def test_removed_and_added_again(cluster: Cluster) -> None:
    """Removed: refused at the door, login refused. Added again: an empty mailbox."""
    address = fresh("phoenix")
    cluster.add_user(address, PASSWORD)
    assert cluster.client.send([address], message("old-life", to=address)).ok
    assert _read(cluster, address, text="old-life", wait=30).ok
    cluster.roost("user", "remove", address, "--yes")
    assert all(reply.startswith("550 5.1.1") for reply in _rcpt(cluster, address).values())
    assert not _read(cluster, address).ok
    cluster.add_user(address, PASSWORD)
    found = _read(cluster, address, wait=10)
    assert found.ok, found.error
    assert found.count == 0
    assert cluster.client.send([address], message("new-life", to=address)).ok
    assert _read(cluster, address, text="new-life", wait=30).count == 1


def test_aliases_and_their_loops(cluster: Cluster) -> None:
    """A group reaches its members; a loop is refused and changes nothing."""
    first, second = fresh("member"), fresh("member")
    group, outer = fresh("group"), fresh("outer")
    for address in (first, second):
        cluster.add_user(address, PASSWORD)
    cluster.roost("alias", "add", group, first, second)
    cluster.roost("alias", "add", outer, group)
    assert cluster.client.send([outer], message("to-all", to=outer)).ok
    for address in (first, second):
        assert _read(cluster, address, text="to-all", wait=30).ok
    before = cluster.roost("status")["revision"]
    itself = fresh("self")
    for words in (("add", group, outer), ("set", group, outer), ("add", itself, itself)):
        with pytest.raises(CommandFailed) as refused:
            cluster.roost("alias", *words)
        assert refused.value.returncode in (1, 2)
    assert cluster.roost("status")["revision"] == before
