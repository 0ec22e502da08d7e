"""The package, installed on a copy of this machine: the command, the controller, upgrade, removal, purge."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from .copy_of_host import CopyOfHost

_STARTUP_SECONDS = 0.5


def test_command(installed: CopyOfHost) -> None:
    """``roost`` starts fast, is compiled, and sees nothing that its caller or the machine puts in its way."""
    best = 60.0
    for _ in range(5):
        began = time.monotonic()
        assert "Scale-out email" in installed.run("roost", "--help")
        best = min(best, time.monotonic() - began)
    assert best < _STARTUP_SECONDS

    installed.run("mkdir", "-p", "/evil/roost", "/root/.local")
    installed.write("/evil/roost/__init__.py", "raise SystemExit('the wrong roost')\n")
    installed.write("/evil/structlog.py", "raise SystemExit('the wrong library')\n")
    said = installed.run("roost", "--version", environment={"PYTHONPATH": "/evil", "HOME": "/root"})
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", said)

    sources = installed.run("find", "/opt/roost/lib", "-name", "*.py").splitlines()
    compiled = installed.run("find", "/opt/roost/lib", "-name", "*.pyc").splitlines()
    assert len(compiled) == len(sources)


def test_units_are_understood(installed: CopyOfHost) -> None:
    """systemd of this release knows every setting of the units."""
    for unit in ("roost-controller.service", "roost-agent.service", "roost-firewall.service"):
        said = installed.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}")
        assert unit not in said


def test_controller(installed: CopyOfHost) -> None:
    """A cluster is founded, its controller runs as its own user, and the command line speaks with it."""
    installed.write("/etc/hosts", "127.0.0.2 control.example.net\n", append=True)
    found = ["roost", "controller", "init", "example.net", "--name", "control.example.net"]
    installed.run(*found, "--address", "127.0.0.2", "--listen", "127.0.0.2:8443", "--no-start")
    controller = installed.start(
        "setpriv", "--reuid=roost", "--regid=roost", "--clear-groups", "roost", "controller", "run"
    )
    assert controller.stdout is not None
    line = controller.stdout.readline()
    assert "controller ready" in line, line
    try:
        assert "Cluster example.net" in installed.run("roost", "status")
        assert "control.example.net" in installed.run("roost", "node", "list")
        with pytest.raises(AssertionError, match="is a controller already"):
            installed.run(*found, "--address", "127.0.0.2", "--no-start")
    finally:
        installed.run("pkill", "-TERM", "-u", "roost")
        _, _ = controller.communicate(timeout=30)


def test_upgrade_removal_purge(machine: CopyOfHost) -> None:
    """Nothing is left in /opt, and the data of a controller outlive even a purge, put aside."""
    # The machine that was copied may have data of its own.
    before = set(machine.run("find", "/var/lib", "-path", "/var/lib/roost/*", "-prune").split())
    machine.run("dpkg", "-i", "/roost.deb")
    machine.run("dpkg", "-i", "/roost.deb")
    found = ["roost", "controller", "init", "example.net", "--name", "control.example.net"]
    machine.run(*found, "--address", "127.0.0.2", "--no-start")
    key = machine.run("cat", "/var/lib/roost/controller/ca.key")
    machine.run("dpkg", "--remove", "roost")
    machine.run("test", "!", "-e", "/opt/roost")
    machine.run("test", "-e", "/etc/roost/controller.toml")

    machine.run("dpkg", "--purge", "roost")
    machine.run("test", "!", "-e", "/etc/roost")
    after = set(machine.run("find", "/var/lib", "-path", "/var/lib/roost/*", "-prune").split())
    (aside,) = after - before
    assert aside.startswith("/var/lib/roost/controller.purged-")
    assert machine.run("cat", f"{aside}/ca.key") == key
    assert set(machine.run("ls", aside).split()) >= {"roost.db", "controller.toml", "ca.crt"}

    # A new cluster begins with nothing of the old one.
    machine.run("dpkg", "-i", "/roost.deb")
    machine.run(*found, "--address", "127.0.0.2", "--no-start")
    assert machine.run("cat", "/var/lib/roost/controller/ca.key") != key


def test_a_copy_leaves_nothing_behind() -> None:
    """What these tests stand on: no mount and no process of a copy outlives it."""
    with CopyOfHost() as copy:
        copy.write("/left-behind", "")
        sleeper = copy.start("sleep", "1000")
    assert sleeper.wait(timeout=10) != 0
    assert sleeper.stdout is not None
    sleeper.stdout.close()
    done = subprocess.run(["ls", "/left-behind"], capture_output=True, check=False)
    assert done.returncode != 0
    assert "/mnt/root" not in subprocess.run(["mount"], capture_output=True, text=True, check=True).stdout
