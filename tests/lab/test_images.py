"""The images, built from nothing in a cache of their own: what the first start of a lab does."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.lab.images import Images

_BUILD = """
from roost.lab.images import Images
Images("trixie", lambda text, _: print(text, flush=True)).ensure(["plain"])
"""


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, on the same disk as the real one."""
    place = Path(f"/var/cache/roost-lab-test-{os.getpid()}")
    monkeypatch.setenv("ROOST_LAB_CACHE", str(place))
    yield place
    shutil.rmtree(place)


def _users(cache: Path) -> list[str]:
    """The processes that have to do with this cache."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_text().replace("\0", " ")
            if str(cache) in f"{said} {(process / 'root').readlink()} {(process / 'cwd').readlink()}":
                found.append(said)
        except OSError:
            continue
    return found


@pytest.mark.long
def test_killed_builder_leaves_no_process_and_the_next_one_builds(cache: Path) -> None:
    for moment in ("unpacking libc", "trixie: installing libc"):
        with subprocess.Popen([sys.executable, "-c", _BUILD], stdout=subprocess.PIPE, text=True) as builder:
            try:
                assert builder.stdout is not None
                assert any(moment in line for line in builder.stdout)
                assert _users(cache)
            finally:
                builder.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while left := _users(cache):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        assert str(cache) not in Path("/proc/self/mountinfo").read_text()
    said: list[tuple[float, str]] = []
    images = Images("trixie", lambda text, _: said.append((time.monotonic(), text)))
    layers = images.ensure(["plain"])["plain"]
    assert all(layer.is_dir() for layer in layers)
    # Somebody watches: no silence is longer than this.
    times = [moment for moment, _ in said]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 15
    again = time.monotonic()
    assert images.ensure(["plain"])["plain"] == layers
    assert time.monotonic() - again < 1
    # No word of where this host's packages came from stays in an image.
    for layer in layers:
        assert (layer / "etc/apt/sources.list").read_text() == ""
        assert not (layer / "etc/apt/apt.conf.d/99roost-lab-build").exists()
        assert list((layer / "var/lib/apt/lists").glob("*_Packages*")) == []
