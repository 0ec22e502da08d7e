"""Scenario k: what each node holds, looked up on the machines' real disks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.users import HASH, add_many, fresh

from roost.lab.cluster import Cluster
from roost.lab.machine import Machine


def _written(machine: Machine) -> Path:
    """Everything that the machine has written since it was installed: the upper side of its disk."""
    return machine.root.parent / "disk" / "upper"


def _holds(machine: Machine, text: str) -> list[str]:
    """Return the files on the machine's disk that hold the text, binary ones too."""
    ran = subprocess.run(
        [
            "grep",
            "--recursive",
            "--files-with-matches",
            "--fixed-strings",
            "--text",
            "-e",
            text,
            str(_written(machine)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stderr
    return ran.stdout.splitlines()


def test_hashes_are_only_where_they_are_needed(cluster: Cluster) -> None:
    machine = cluster.lab.machine
    add_many(cluster, [fresh("secret")], [machine("ms1").name])
    hashed = HASH.partition("}")[2]
    assert _holds(machine("control"), hashed), "the controller's store has it, or this test cannot find anything"
    assert _holds(machine("ms1"), hashed), "the home has it"
    for short in ("mx1", "mx2", "mx-backup", "ns1", "ns2", "client"):
        assert not _holds(machine(short), "$argon2id$"), short


def test_a_store_has_only_its_own_users(cluster: Cluster) -> None:
    address = fresh("alone")
    add_many(cluster, [address], [cluster.lab.machine("ms1").name])
    assert _holds(cluster.lab.machine("ms1"), address)
    for short in ("ms2", "ms3"):
        assert not _holds(cluster.lab.machine(short), address), short


def test_keys_never_leave_their_node(cluster: Cluster) -> None:
    """The CA's key is on the controller alone, and nobody but root and its own user can read a private key."""
    for machine in cluster.lab.machines():
        ca = list(_written(machine).rglob("ca.key"))
        assert bool(ca) == (machine.short == "control"), machine.short
        for path in [*ca, *_written(machine).rglob("etc/roost/**/*.key")]:
            assert path.stat().st_mode & 0o077 == 0, path


_KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 24), 3).close()
except ConnectionRefusedError:
    print("refused")
else:
    print("open")
"""


def test_only_mx_hosts_may_deliver_to_a_home(cluster: Cluster) -> None:
    for home in cluster.machines_with("storage"):
        said = {
            short: cluster.lab.machine(short).run(["python3", "-c", _KNOCK, home.address]).stdout.strip()
            for short in ("mx1", "mx2", "mx-backup", "ns1", "client")
        }
        closed = dict.fromkeys(("mx-backup", "ns1", "client"), "refused")
        assert said == {"mx1": "open", "mx2": "open", **closed}, home.short
