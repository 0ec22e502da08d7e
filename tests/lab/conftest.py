"""Real machines for the tests of the lab itself: without Roost, so that they boot in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.small import DISK_MIB, MACHINES, own_name
from roost.lab import leftovers
from roost.lab.lab import Lab
from roost.lab.machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the lab."""
    for item in items:
        if "tests/lab/" in item.path.as_posix():
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def booted() -> Iterator[Lab]:
    """Three machines, of both releases; they belong to this process, so they go even if it is killed."""
    lab = Lab(own_name("m"))
    lab.start(MACHINES, owned=True, disk_mib=DISK_MIB)
    try:
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def lab(booted: Lab) -> Iterator[Lab]:
    """The machines, whole before the test and made whole after it."""
    yield booted
    for machine in booted.machines():
        machine.heal()
        machine.boot()


@pytest.fixture
def mx(lab: Lab) -> Machine:
    """A machine of Debian 13."""
    return lab.machine("mx1")


@pytest.fixture
def ms(lab: Lab) -> Machine:
    """A machine of Debian 12, with a volume for mail."""
    return lab.machine("ms1")


@pytest.fixture
def client(lab: Lab) -> Machine:
    """The one that asks."""
    return lab.machine("client")


@pytest.fixture
def fresh() -> Iterator[Callable[[str], Lab]]:
    """Makes labs for one test, by a letter each, and leaves nothing of them."""
    made: list[Lab] = []

    def make(letter: str) -> Lab:
        made.append(Lab(own_name(letter)))
        return made[-1]

    yield make
    for lab in made:
        lab.stop()
        assert leftovers.of(lab.name) == []
