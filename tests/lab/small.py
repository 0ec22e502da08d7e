"""The small lab that these tests use."""

from __future__ import annotations

import os

from roost.lab.topology import MachineSpec

MAIL = "/srv/mail"
MACHINES = (
    MachineSpec("mx1.cluster.test", "198.18.0.11", flavour="plain"),
    MachineSpec("ms1.cluster.test", "198.18.0.31", release="bookworm", flavour="plain", volumes=(MAIL,)),
    MachineSpec("client.cluster.test", "198.18.0.100", flavour="plain"),
)
DISK_MIB = 256


def own_name(letter: str) -> str:
    """A lab's name that no other run of the tests has."""
    return f"{letter}{os.getpid() % 1_000_000}"
