"""The cluster that the scenarios share: real machines of Debian 12 and 13 in every role, founded once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from roost.lab.cluster import Cluster
from roost.lab.lab import Lab
from roost.lab.topology import Release, default_topology

MIXED: Mapping[str, Release] = {
    "mx2": "bookworm",
    "mx-backup": "bookworm",
    "ns2": "bookworm",
    "ms2": "bookworm",
    "control": "bookworm",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the lab."""
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def founded() -> Iterator[Cluster]:
    """A cluster that carries mail, from nothing."""
    lab = Lab(f"t{os.getpid() % 100_000}")
    machines = default_topology(releases=MIXED)
    # One machine has nothing but Debian: all that its role needs is installed when it joins.
    lab.start([replace(m, flavour="bare") if m.short == "ms3" else m for m in machines], owned=True)
    try:
        cluster = Cluster(lab)
        cluster.found()
        yield cluster
    finally:
        lab.stop()


@pytest.fixture
def short_ttl(cluster: Cluster) -> Iterator[None]:
    """Old DNS answers are soon forgotten, so that a move is soon over."""
    cluster.roost("policy", "set", "ttl", "5")
    yield
    cluster.heal()
    cluster.roost("policy", "set", "ttl", "60")


@pytest.fixture
def cluster(founded: Cluster) -> Iterator[Cluster]:
    """The cluster, whole at the start and made whole again after the test."""
    yield founded
    founded.heal()
