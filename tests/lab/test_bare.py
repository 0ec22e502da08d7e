"""A bare machine: what a role needs is really installed there, from folders of the host alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.small import own_name
from roost.lab.lab import Lab
from roost.lab.machine import Machine
from roost.lab.topology import RELEASES, MachineSpec, Release


@pytest.fixture(params=RELEASES)
def bare(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A fresh Debian."""
    release: Release = request.param
    lab = Lab(own_name("n"))
    lab.start([MachineSpec("ms1.cluster.test", "198.18.0.31", release=release, flavour="bare")], owned=True)
    yield lab.machine("ms1")
    lab.stop()


def test_packages_are_installed_from_the_folders(bare: Machine) -> None:
    assert bare.run(["which", "postfix", "dovecot", "roost"], check=False).stdout == ""
    bare.run(["apt-get", "-q", "update"], timeout=120)
    install = ["apt-get", "-q", "-y", "install", "--no-install-recommends"]
    bare.run([*install, "postfix", "postfix-lmdb"], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
    assert bare.run(["postconf", "-h", "mail_version"]).stdout.startswith("3.")
    bare.run([*install, "roost"], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
    assert "usage" in bare.run(["roost", "--help"]).stdout.lower()
