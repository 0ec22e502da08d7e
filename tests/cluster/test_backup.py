"""Backup and restore of the controller while it runs; nodes become what the backup says."""

from __future__ import annotations

from tests.cluster.users import PASSWORD, fresh

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
