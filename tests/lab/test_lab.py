"""A lab as a whole: several at once, found again, and nothing left of it however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.small import MACHINES
from roost.lab import leftovers
from roost.lab.cgroups import of_lab
from roost.lab.errors import LabBusy, NoLab
from roost.lab.lab import Lab, labs

Fresh = Callable[[str], Lab]

# Starts a lab in a process of its own, says each machine that is up, and waits.
_START = """
import signal, sys, time
from lab.small import MACHINES
from roost.lab.lab import Lab
# Behind nohup and the like it would be ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
Lab(sys.argv[1]).start(MACHINES, owned=True, progress=lambda text, _: print(text, flush=True))
print("started", flush=True)
time.sleep(600)
"""


def _start_elsewhere(lab: Lab) -> subprocess.Popen[str]:
    places = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", _START, lab.name],
        env={**os.environ, "PYTHONPATH": places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.communicate()[1])


def _end(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode


def _processes_of(lab: Lab) -> list[str]:
    return [pid for top in of_lab(lab.name) for file in top.rglob("cgroup.procs") for pid in file.read_text().split()]


def test_two_labs_have_the_same_addresses_and_do_not_see_each_other(fresh: Fresh) -> None:
    one, other = fresh("a"), fresh("b")
    one.start(MACHINES[:2], owned=True)
    other.start(MACHINES[:2], owned=True)
    assert {one.name, other.name} <= set(labs())
    one.machine("mx1").cut()
    one.machine("ms1").write("/srv/of-one", "x")
    other.machine("mx1").run(["ping", "-c", "1", "-W", "2", other.machine("ms1").address])
    assert other.machine("ms1").run(["ls", "/srv"]).stdout == "mail\n"
    one.stop()
    assert leftovers.of(one.name) == []
    other.machine("mx1").run(["ping", "-c", "1", "-W", "2", other.machine("ms1").address])


def test_lab_whose_name_begins_with_another_ones_is_another(fresh: Fresh) -> None:
    long = fresh("c")
    short = Lab(long.name[:-1])
    long.start(MACHINES[:1], owned=True)
    assert leftovers.of(short.name) == []
    assert not short.stop()
    long.machine("mx1").run(["ip", "link", "show", "eth0"])


def test_stop_leaves_nothing_and_can_be_repeated(fresh: Fresh) -> None:
    lab = fresh("d")
    lab.start(MACHINES, owned=True)
    for machine, fault in zip(lab.machines(), ("freeze", "cut", "fill"), strict=True):
        getattr(machine, fault)()
    assert _processes_of(lab)
    found = " ".join(leftovers.of(lab.name))
    assert all(word in found for word in ("control group", "namespace", "mount", "loop device"))
    assert lab.stop()
    assert leftovers.of(lab.name) == []
    assert not lab.stop()
    with pytest.raises(NoLab):
        lab.machines()


def test_running_lab_is_not_started_again(fresh: Fresh) -> None:
    lab = fresh("e")
    lab.start(MACHINES[:1], owned=True)
    with pytest.raises(LabBusy):
        Lab(lab.name).start(MACHINES[:1])
    assert lab.machine("mx1").running


def test_kept_disks_stay_for_a_look_and_go_with_the_next_start(fresh: Fresh) -> None:
    lab = fresh("f")
    lab.start(MACHINES[:1], owned=True)
    lab.machine("mx1").write("/srv/seen", "seen\n")
    lab.stop(keep_disks=True)
    assert _processes_of(lab) == []
    # The kernel lets go of a disk's loop device when the last that was written to it is there.
    deadline = time.monotonic() + 20
    while (left := leftovers.of(lab.name)) != [str(leftovers.DISKS / lab.name)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    lab.start(MACHINES[:1], owned=True)
    assert lab.machine("mx1").run(["ls", "/srv"]).stdout == ""


@pytest.mark.parametrize("moment", ["mx1 is up", "started"])
def test_killed_owner_leaves_what_the_next_start_removes(fresh: Fresh, moment: str) -> None:
    lab = fresh("g")
    owner = _start_elsewhere(lab)
    _read_until(owner, moment)
    _end(owner, signal.SIGKILL)
    assert leftovers.of(lab.name)
    with pytest.raises(NoLab):
        Lab(lab.name).machines()
    began = time.monotonic()
    lab.start(MACHINES, owned=True)
    assert time.monotonic() - began < 60
    assert [machine.run(["hostname"]).stdout.strip() for machine in lab.machines()] == [m.name for m in MACHINES]


def test_start_removes_what_killed_labs_of_other_names_have_left(fresh: Fresh) -> None:
    dead, alive = fresh("h"), fresh("i")
    owner = _start_elsewhere(dead)
    _read_until(owner, "started")
    _end(owner, signal.SIGKILL)
    alive.start(MACHINES[:1], owned=True)
    assert leftovers.of(dead.name) == []


@pytest.mark.parametrize("moment", ["is up", "started"])
def test_interrupted_start_leaves_nothing(fresh: Fresh, moment: str) -> None:
    lab = fresh("j")
    owner = _start_elsewhere(lab)
    _read_until(owner, moment)
    _end(owner, signal.SIGINT)
    if moment == "started":  # the lab is up; its owner ends without a stop
        assert Lab(lab.name).stop()
    assert leftovers.of(lab.name) == []


def test_machine_that_cannot_boot_fails_the_start_and_leaves_nothing(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "systemd-nspawn"
    broken.write_text("#!/bin/sh\necho 'no machine today' >&2\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    lab = fresh("k")
    with pytest.raises(Exception, match="no machine today"):
        lab.start(MACHINES, owned=True)
    assert leftovers.of(lab.name) == []
