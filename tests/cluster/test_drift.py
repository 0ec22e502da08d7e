"""Scenario h: what is damaged by hand on a node is shown, repaired and reported."""

from __future__ import annotations

import time

from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message

_LMDB_DELETE = """
import sys; sys.path[:0] = ["/opt/roost/lib"]
import lmdb
path, key = sys.argv[1:]
with lmdb.open(path, subdir=False, lock=False) as env, env.begin(write=True) as tx:
    assert tx.delete(key.encode() + b"\\0")
"""


def test_damage_by_hand(cluster: Cluster) -> None:
    address = fresh("damaged")
    homes = add_many(cluster, [address], [cluster.lab.machine("ms1").name])
    label = address.partition("@")[0]
    hostname = f"{label}.pop.{DOMAIN}"
    mx1, ns1, ms1 = (cluster.lab.machine(short) for short in ("mx1", "ns1", "ms1"))
    clean = cluster.roost("drift", "--check")
    assert not clean["lines"], clean
    assert clean["rows_checked"] > 0
    assert not clean["waiting"]

    aliases = mx1.run(["postconf", "-h", "virtual_alias_maps"]).stdout.strip().removeprefix("lmdb:")
    mx1.run(["python3", "-c", _LMDB_DELETE, f"{aliases}.lmdb", address])
    update = f"server 127.0.0.1 954\nupdate delete {hostname} CNAME\nsend\n"
    ns1.run(["nsupdate", "-k", "/etc/bind/roost.key"], input=update)
    delete = f".param set :a {address}\nDELETE FROM account WHERE address = :a;\n"
    ms1.run(["sqlite3", "-bail", "/var/lib/roost/dovecot/accounts.db"], input=delete)
    ms1.run(["sh", "-c", "echo 'mail_debug = yes' >>/etc/dovecot/dovecot.conf"])
    ms1.run(["nft", "flush", "ruleset"])
    refused = cluster.client.send([address], message("damaged", to=address), hosts=[mx1.address])
    assert refused.refused[address].startswith("550 5.1.1"), "the damage did nothing"

    found = cluster.roost("drift", "--check")
    lines = {(line["node"].partition(".")[0], line["found"], line["what"]) for line in found["lines"]}
    assert ("mx1", "missing", f"recipients: {address}") in lines
    assert ("ns1", "missing", f"names: {hostname}/CNAME") in lines
    assert ("ms1", "missing", f"accounts: {address}") in lines
    assert ("ms1", "changed", "/etc/dovecot/dovecot.conf") in lines
    assert ("ms1", "down") in {(node, what) for node, what, _ in lines}, "the packet filter"
    assert "table inet roost" in ms1.run(["nft", "list", "ruleset"]).stdout
    assert all(line["repaired"] for line in found["lines"])

    assert cluster.client.send([address], message("repaired", to=address), hosts=[mx1.address]).ok
    read = cluster.client.read(hostname, address, PASSWORD, text="repaired", wait=30)
    assert read.ok, read.error
    assert "mail_debug" not in ms1.read("/etc/dovecot/dovecot.conf")
    assert not cluster.roost("drift", "--check")["lines"]
    assert homes


def test_a_file_is_repaired_without_being_asked(cluster: Cluster) -> None:
    """An agent looks at its files by itself, and the controller hears of it."""
    mx2 = cluster.lab.machine("mx2")
    mx2.run(["sh", "-c", "echo '# by hand' >>/etc/postfix/main.cf"])
    deadline = time.monotonic() + 120
    while "# by hand" in mx2.read("/etc/postfix/main.cf"):
        assert time.monotonic() < deadline, "nobody repaired /etc/postfix/main.cf"
        time.sleep(0.5)
    deadline = time.monotonic() + 10
    while True:
        shown = cluster.roost("drift")
        found = [line for line in shown["earlier"] + shown["lines"] if line["node"] == mx2.name]
        if any(line["what"] == "/etc/postfix/main.cf" for line in found):
            return
        assert time.monotonic() < deadline, shown
        time.sleep(0.5)
