"""``roost lab`` as a person uses it, and what it says on a host that cannot run a lab."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from roost.lab.lab import Lab

_ROOST = Path(sys.executable).with_name("roost")


def _lab(*argv: str, before: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, str(_ROOST), "lab", *argv],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **variables},
    )


def test_every_fault_and_its_end(lab: Lab) -> None:
    name = ("--name", lab.name)

    def faults(short: str) -> tuple[str, list[str]]:
        said = _lab("status", "--output", "json", *name)
        return next((m["state"], m["faults"]) for m in json.loads(said.stdout) if m["name"].startswith(short))

    for command, seen in (
        (("freeze", "mx1"), ("frozen", [])),
        (("thaw", "mx1"), ("on", [])),
        (("freeze", "mx1", "--hard"), ("frozen", ["cut off"])),
        (("heal", "mx1"), ("on", [])),
        (("cut", "mx1", "ms1", "client"), ("on", ["cut from client", "cut from ms1"])),
        (("mend", "mx1", "ms1"), ("on", ["cut from client"])),
        (("mend", "mx1"), ("on", [])),
        (("slow", "mx1", "--kbit", "500"), ("on", ["slow"])),
        (("fill", "mx1"), ("on", ["slow", "disk full"])),
        (("heal",), ("on", [])),
        (("kill", "mx1"), ("off", [])),
        (("boot", "mx1"), ("on", [])),
        (("shutdown", "mx1"), ("off", [])),
        (("heal",), ("on", [])),
    ):
        done = _lab(*command, *name)
        assert done.returncode == 0, done.stderr
        assert faults("mx1") == seen, command


def test_status_is_a_table(lab: Lab) -> None:
    lines = _lab("status", "--name", lab.name).stdout.splitlines()
    assert lines[0].split() == ["MACHINE", "ADDRESS", "DEBIAN", "STATE", "FAULTS"]
    assert lines[2].split() == ["ms1.cluster.test", "198.18.0.31", "bookworm", "on"]
    assert lab.name in _lab("list").stdout.split()


def test_run_gives_the_command_its_options_and_returns_its_status(lab: Lab) -> None:
    done = _lab(
        "run", "mx1", "--name", lab.name, "--", "sh", "-c", "echo $0; cat --help >/dev/null; exit 7", "--name"
    )
    assert (done.stdout, done.returncode) == ("--name\n", 7)


@pytest.mark.parametrize(
    ("argv", "sentence", "status"),
    [
        (("status", "--name", "nolab"), "No lab 'nolab' is running.", 1),
        (("status", "--name", "No/Lab"), "'No/Lab' cannot be a lab's name.", 2),
        (("start", "--release", "buzz"), "buzz", 2),
    ],
)
def test_wrong_requests_are_one_sentence(argv: tuple[str, ...], sentence: str, status: int) -> None:
    done = _lab(*argv)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == status


def test_wrong_machine_and_machine_that_is_off(lab: Lab) -> None:
    done = _lab("kill", "mx7", "--name", lab.name)
    assert done.returncode == 2
    assert "It has mx1, ms1, client." in done.stderr
    lab.machine("mx1").kill()
    done = _lab("run", "mx1", "--name", lab.name, "--", "true")
    assert done.returncode == 3
    assert "mx1.cluster.test is off." in done.stderr


def test_without_root_it_says_so() -> None:
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    done = _lab("start", "--name", "nobody", before=nobody, HOME="/nonexistent")
    assert "The lab boots machines and so needs root." in done.stderr
    assert "sudo" in done.stderr
    assert done.returncode == 3


def test_missing_commands_are_named_by_their_packages(tmp_path: Path) -> None:
    for command in (
        "systemd-nspawn",
        "ip",
        "tc",
        "nsenter",
        "unshare",
        "setpriv",
        "mkfs.ext4",
        "dpkg-deb",
        "apt-get",
    ):
        found = shutil.which(command)
        assert found is not None
        (tmp_path / command).symlink_to(found)
    done = _lab("start", "--name", "poor", PATH=str(tmp_path))
    assert "debootstrap, nftables" in done.stderr
    assert "apt-get install debootstrap nftables" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("kind", "sentence"), [("cgroup2", "unified control group hierarchy"), ("netns", "network namespaces")]
)
def test_host_without_what_containers_need(kind: str, sentence: str, tmp_path: Path) -> None:
    if kind == "cgroup2":
        script = 'umount -l $(findmnt -rno TARGET -t cgroup2) && exec "$@"'
        before = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    else:
        before = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    done = _lab("start", "--name", "poor", before=before)
    assert sentence in done.stderr
    assert done.returncode == 3
