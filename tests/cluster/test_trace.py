"""What became of mail: each fate as it was, over queues, retries and moves; nothing secret is in the logs."""

from __future__ import annotations

import time

import pytest
from tests.cluster.moving import GIVEN, ask, wait
from tests.cluster.traces import COUNT, mx_addresses, told, until, users
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message

pytestmark = pytest.mark.usefixtures("short_ttl")


def test_delivered(cluster: Cluster) -> None:
    """From a stranger into a folder: who brought it, which MX, the verdict, the home, the folder."""
    home = cluster.lab.machine("ms1")
    addresses = users(cluster, home)
    cluster.client.burst("traced-in", addresses, COUNT, hosts=mx_addresses(cluster), per_second=20)
    found = until(cluster, addresses, COUNT, lambda passage: passage["fate"] == "delivered")
    mx = {machine.name for machine in cluster.machines_with("mx")}
    for passage in found:
        assert passage["node"] in mx
        assert passage["home"] == home.name
        assert passage["address"] == cluster.client.machine.address
        assert passage["recipient"].removesuffix(f"@{DOMAIN}") == passage["personal"].partition("@")[0]
        assert passage["message_id"].startswith("traced-in.")
        assert passage["verdict"]
        assert passage["folder"] == "INBOX"
        assert passage["attempts"] == 1
    assert len({passage["message_id"] for passage in found}) == COUNT
    one = found[0]
    assert told(cluster, [addresses[0]], "--message-id", one["message_id"]) == [one]


def test_refused(cluster: Cluster) -> None:
    """Somebody whom nobody knows: the words are those that the sender was told."""
    nobody = fresh("nobody")
    cluster.client.burst("traced-out", [nobody], COUNT, hosts=mx_addresses(cluster), per_second=20)
    for passage in until(cluster, [nobody], COUNT, lambda passage: passage["fate"] == "refused"):
        assert passage["reply"].startswith("550 5.1.1"), passage


def test_waiting_then_delivered(cluster: Cluster) -> None:
    """While its home is down it says where it waits and why; afterwards it is one passage still."""
    home = cluster.lab.machine("ms2")
    addresses = users(cluster, home)
    home.kill()
    cluster.client.burst("traced-late", addresses, COUNT, hosts=mx_addresses(cluster), per_second=20)
    for passage in until(cluster, addresses, COUNT, lambda passage: passage["fate"] == "waiting"):
        assert passage["reply"]
        assert passage["attempts"] >= 1
    home.boot()
    cluster.wait_ready()
    late = until(cluster, addresses, COUNT, lambda passage: passage["fate"] == "delivered", 120)
    assert {passage["home"] for passage in late} == {home.name}
    assert all(passage["attempts"] >= 2 for passage in late)


def test_moved_while_it_waited(cluster: Cluster) -> None:
    """It waits for one home and comes to another; the time-line has the move between."""
    old, new = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    [john, *_] = users(cluster, old)
    for machine in cluster.machines_with("mx"):
        machine.cut(old)
    cluster.client.burst("traced-moved", [john], COUNT, hosts=mx_addresses(cluster), per_second=20)
    until(cluster, [john], COUNT, lambda passage: passage["fate"] == "waiting")
    [asked] = ask(cluster, [john], "--to", new.name)
    wait(cluster, asked, GIVEN)
    found = until(cluster, [john], COUNT, lambda passage: passage["fate"] == "delivered", 150)
    assert {passage["home"] for passage in found} == {new.name}
    moments = cluster.roost("user", "timeline", john, "--limit", "200")["moments"]
    kinds = [moment["kind"] for moment in moments]
    assert "move asked" in kinds
    assert len([moment for moment in moments if new.name in moment["text"]]) >= COUNT


def test_logins_are_on_the_time_line_and_secrets_are_not_in_the_logs(cluster: Cluster) -> None:
    [john, *_] = users(cluster, cluster.lab.machine("ms1"))
    hostname = f"{john.partition('@')[0]}.pop.{DOMAIN}"
    secret, word = f"{PASSWORD} but wrong", f"body-{time.time_ns()}"
    assert cluster.client.send([john], message("told", f"{word}\r\n", to=john)).ok
    assert cluster.client.read(hostname, john, PASSWORD, text=word, wait=20).ok
    assert not cluster.client.read(hostname, john, secret).ok
    deadline = time.monotonic() + 60
    while True:
        moments = cluster.roost("user", "timeline", john)["moments"]
        kinds = {moment["kind"] for moment in moments}
        if {"login", "login refused"} <= kinds and len(moments) >= 3:
            break
        assert time.monotonic() < deadline, moments
        time.sleep(0.5)
    grep = ["grep", "-rlF", "-e", PASSWORD, "-e", word, "/var/log/roost"]
    found = cluster.control.run(grep, check=False)
    assert found.returncode == 1, found.stdout
