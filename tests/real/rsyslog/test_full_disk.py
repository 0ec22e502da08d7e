"""The log node's disk is full: nothing is lost, the nodes keep their lines, and the log node says so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from roost.domain.errors import DaemonFailed
from roost.drivers.rsyslog.driver import COLLECTOR

from ..common.waiting import wait_until
from .conftest import AT, Pair
from .instance import LOG, MX, Cluster, one_box, settings

_SIZE = 3 << 20
_ROOM = 1 << 20


@contextmanager
def _small_disk(folder: Path, root: str) -> Iterator[None]:
    """A file system of its own for the logs, seen at the same path below another root."""
    folder.mkdir(parents=True)
    places = [str(folder)]
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "roost-test", places[0]], check=True)
    if root:
        places.append(f"{root}{folder}")
        subprocess.run(["mount", "--bind", *places], check=True)
    try:
        yield
    finally:
        for place in reversed(places):
            subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def pair(root: str, folder: Path, cluster: Cluster) -> Iterator[Pair]:
    """As the others', but the log node has little room."""
    with ExitStack() as stack:
        stack.enter_context(_small_disk(folder / LOG / "logs", root))
        mx, log = (
            stack.enter_context(one_box(folder / name, name, cluster, settings(name, AT), root, room=_ROOM))
            for name in (MX, LOG)
        )
        log.bring()
        mx.bring()
        yield Pair(mx, log)


def _fill(pair: Pair, leave: int = 0) -> Path:
    """Take the room from the logs; returns what takes it."""
    ballast = pair.log.folder / "logs" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return ballast


def test_lines_wait_for_room_and_none_is_lost(pair: Pair) -> None:
    """The disk fills up under load: not before a line, but in the middle of one."""
    pair.mx.say_many(1, 2_000)
    wait_until(lambda: pair.log.numbers(MX)[-1:] == [2_000], "all arrive")
    ballast = _fill(pair, leave=40_000)
    pair.mx.say_many(2_001, 6_000)
    wait_until(lambda: not pair.log.services.is_active(COLLECTOR), "the collector has ended")
    assert pair.log.numbers(MX)[-1] < 6_000
    with pytest.raises(DaemonFailed, match="keep their lines"):
        pair.log.driver.tick(pair.log.wanted, pair.log.host)
    pair.log.driver.alive(pair.log.host, pair.log.services)
    assert pair.log.bring() == frozenset()
    assert not pair.log.services.is_active(COLLECTOR), "it is not started where it has no room"

    ballast.unlink()
    pair.log.bring()

    def arrived() -> bool:
        pair.mx.services.as_systemd()
        return pair.log.numbers(MX)[-1:] == [6_000]

    wait_until(arrived, "the last line arrives", 60)
    assert pair.log.numbers(MX) == list(range(1, 6_001))
    forms = [line for line in pair.log.raw(MX) if not line.startswith("20") or f" {MX} " not in line]
    assert forms == [], "no line is half there"


def test_a_collector_that_starts_waits_for_room(pair: Pair) -> None:
    """As systemd starts it again and again: by its own look, not by the agent's."""
    ballast = _fill(pair)
    mend = ["/bin/sh", f"{pair.log.place.conf}/mend", pair.log.place.logs]
    waiting = subprocess.Popen(pair.log.host.argv(mend))
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(3)
    ballast.unlink()
    assert waiting.wait(10) == 0
