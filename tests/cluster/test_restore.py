"""Backup and restore of the controller while it runs; nodes become what the backup says."""

from __future__ import annotations

import time

from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message


def test_backup_and_restore(cluster: Cluster) -> None:
    kept, removed, later = fresh("kept"), fresh("removed"), fresh("later")
    for address in (kept, removed):
        cluster.add_user(address, PASSWORD)
    cluster.control.run(["rm", "-f", "/root/roost-backup"])
    cluster.roost("backup", "/root/roost-backup")
    assert cluster.control.run(["stat", "-c", "%a", "/root/roost-backup"]).stdout.strip() == "600"
    cluster.roost("user", "remove", removed, "--yes")
    cluster.add_user(later, PASSWORD)

    cluster.roost("restore", "/root/roost-backup", "--yes")
    cluster.wait_ready()

    listed = {user["address"] for user in cluster.roost("user", "list", "--domain", DOMAIN, "--all")}
    assert {kept, removed} <= listed
    assert later not in listed
    said = {}
    for machine in cluster.machines_with("mx"):
        for address in (kept, removed, later):
            done = cluster.client.send([address], message("restored", to=address), hosts=[machine.address])
            said[machine.short, address] = done.ok
    assert said == {(short, address): address != later for short, address in said}
    for address in (kept, removed):
        hostname = f"{address.partition('@')[0]}.pop.{DOMAIN}"
        assert cluster.client.read(hostname, address, PASSWORD, text="restored", wait=30).ok
    found = cluster.roost("drift", "--check")
    assert not found["lines"], found["lines"]


def test_a_restore_that_would_delete_much_waits_for_a_word(cluster: Cluster) -> None:
    """The brake holds every node that has many rows too many, and says so; lifted, they follow."""
    cluster.control.run(["rm", "-f", "/root/roost-backup"])
    cluster.roost("backup", "/root/roost-backup")
    home = cluster.lab.machine("ms1")
    before = cluster.roost("user", "list", "--domain", DOMAIN, "--all")
    many = [fresh("flood") for _ in range(max(200, len(before)))]
    add_many(cluster, many, [home.name])
    cluster.roost("restore", "/root/roost-backup", "--yes")

    held = {machine.name for role in ("mx", "backup-mx", "dns") for machine in cluster.machines_with(role)} | {
        home.name
    }
    _wait_for_health(cluster, held)
    done = cluster.client.send([many[0]], message("braked", to=many[0]))
    assert done.ok, "held back, nothing was deleted"

    lifts = [word for name in sorted(held) for word in ("--lift-brake", name)]
    cluster.roost("drift", "--check", *lifts)
    cluster.wait_ready()
    found = cluster.roost("drift", "--check")
    assert not found["lines"], found["lines"]
    refused = cluster.client.send([many[0]], message("gone", to=many[0]))
    assert refused.refused[many[0]].startswith("550 5.1.1")
    assert cluster.roost("user", "list", "--domain", DOMAIN, "--all") == before


def _wait_for_health(cluster: Cluster, names: set[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        nodes = cluster.roost("status")["nodes"]
        told = {n["name"] for n in nodes if any("would delete" in words for words in n["health"].values())}
        if told == names:
            return
        assert time.monotonic() < deadline, (told, names)
        time.sleep(0.3)
