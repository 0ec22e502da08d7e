"""Scenario l: Debian 12 and Debian 13 in every role of one cluster."""

from __future__ import annotations

from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message


def test_both_releases_are_in_every_role(cluster: Cluster) -> None:
    for role in ("mx", "dns", "storage"):
        versions = set()
        for machine in cluster.machines_with(role):
            versions.add(machine.read("/etc/debian_version").strip().partition(".")[0])
        assert versions == {"12", "13"}, role


def test_mail_goes_every_way_between_them(cluster: Cluster) -> None:
    for home in cluster.machines_with("storage"):
        address = fresh("pair")
        add_many(cluster, [address], [home.name])
        for mx in cluster.machines_with("mx"):
            subject = f"from-{mx.short}-to-{home.short}"
            assert cluster.client.send([address], message(subject, to=address), hosts=[mx.address]).ok
            hostname = f"{address.partition('@')[0]}.pop.{DOMAIN}"
            for protocol in ("imap", "pop3"):
                found = cluster.client.read(hostname, address, PASSWORD, protocol=protocol, text=subject, wait=30)
                assert found.ok, found.error
                assert found.canonical == home.name
