"""A machine is a real Debian of its own: its name, its services, its files, its life."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from lab.echo import install, wait_answered
from roost.domain.errors import BadSetting
from roost.lab.errors import CommandFailed, MachineDown
from roost.lab.lab import Lab
from roost.lab.machine import Machine


def test_machines_are_debians_of_their_own(lab: Lab, mx: Machine, ms: Machine) -> None:
    assert "VERSION_CODENAME=trixie" in mx.read("/etc/os-release")
    assert "VERSION_CODENAME=bookworm" in ms.read("/etc/os-release")
    identities = set()
    for machine in lab.machines():
        assert machine.run(["hostname", "--fqdn"]).stdout.strip() == machine.name
        assert machine.run(["systemctl", "is-system-running"]).stdout.strip() == "running"
        identities.add(machine.read("/etc/machine-id"))
    assert len(identities) == len(lab.machines())


def test_packages_of_the_roles_are_there_and_their_services_are_off(mx: Machine, ms: Machine) -> None:
    for machine in (mx, ms):
        for unit in ("postfix.service", "dovecot.service", "named.service", "unbound.service", "rspamd.service"):
            found = machine.run(["systemctl", "is-enabled", unit], check=False).stdout.strip()
            assert found == "disabled", unit
            assert machine.run(["systemctl", "is-active", unit], check=False).stdout.strip() == "inactive", unit


def test_machines_reach_each_other_and_nothing_else(lab: Lab, mx: Machine) -> None:
    for machine in lab.machines():
        mx.run(["ping", "-c", "1", "-W", "2", machine.address])
    with pytest.raises(CommandFailed, match="unreachable"):
        mx.run(["ping", "-c", "1", "-W", "1", "192.0.2.1"])


def test_commands(mx: Machine) -> None:
    assert mx.run(["tr", "a-z", "A-Z"], input="hello").stdout == "HELLO"
    assert mx.run(["sh", "-c", "echo $WORD"], env={"WORD": "given; not run"}).stdout == "given; not run\n"
    with pytest.raises(CommandFailed) as failed:
        mx.run(["sh", "-c", "echo why >&2; exit 3"])
    assert failed.value.returncode == 3
    assert "why" in str(failed.value)
    assert mx.run(["false"], check=False).returncode == 1


def test_command_that_takes_too_long_is_ended_in_the_machine_too(mx: Machine) -> None:
    with pytest.raises(CommandFailed) as late:
        mx.run(["sleep", "4711"], timeout=0.5)
    assert late.value.returncode is None
    assert mx.run(["pgrep", "-f", "sleep 4711"], check=False).stdout == ""


def test_files(mx: Machine) -> None:
    mx.write("/srv/new/folder/secret", b"\0binary", mode=0o600)
    assert mx.run(["stat", "-c", "%a %U %s", "/srv/new/folder/secret"]).stdout == "600 root 7\n"
    with pytest.raises(CommandFailed, match="No such file"):
        mx.read("/srv/none")


def test_shutdown_stops_services_in_order_and_keeps_the_disk(mx: Machine, client: Machine) -> None:
    install(mx)
    wait_answered(client, mx)
    mx.shutdown()
    assert not mx.running
    assert mx.read("/var/lib/echo-stopped") == "stopped in order\n"
    mx.write("/etc/written-while-off", "yes\n")
    mx.boot()
    assert mx.run(["cat", "/etc/written-while-off"]).stdout == "yes\n"
    wait_answered(client, mx)


def test_kill_tells_nothing_and_keeps_what_the_kernel_had(ms: Machine, client: Machine) -> None:
    install(ms)
    ms.write("/srv/kept", "kept\n")
    ms.kill()
    assert not ms.running
    with pytest.raises(MachineDown):
        ms.run(["true"])
    with pytest.raises(CommandFailed):
        client.run(["ping", "-c", "1", "-W", "1", ms.address])
    assert ms.read("/srv/kept") == "kept\n"
    with pytest.raises(CommandFailed):
        ms.read("/var/lib/echo-stopped")
    ms.boot()
    wait_answered(client, ms)


def test_boot_is_quick_and_not_done_twice(mx: Machine) -> None:
    mx.shutdown()
    assert 0 < mx.boot() < 20
    leader = mx.run(["cat", "/proc/sys/kernel/random/boot_id", "/proc/1/stat"]).stdout
    assert mx.boot() == 0
    assert mx.run(["cat", "/proc/sys/kernel/random/boot_id", "/proc/1/stat"]).stdout.split()[:3] == leader.split()[:3]


def test_another_process_finds_the_machines_and_can_do_all_with_them(lab: Lab, ms: Machine) -> None:
    script = f"""
from roost.lab.lab import Lab
ms = Lab({lab.name!r}).machine("ms1")
print(ms.run(["hostname"]).stdout, end="")
ms.kill()
print(ms.boot() > 0)
ms.freeze()
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert said.stdout.split() == [ms.name, "True"]
    assert ms.frozen
    ms.thaw()
    assert ms.run(["hostname"]).stdout.strip() == ms.name


def test_unknown_machine_is_refused_with_the_names_of_those_there_are(lab: Lab) -> None:
    with pytest.raises(BadSetting, match="mx1, ms1, client"):
        lab.machine("mx7")


def test_cpu_limit(mx: Machine) -> None:
    busy = "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    mx.limit_cpu(20)
    used = float(mx.run(["python3", "-c", busy]).stdout)
    assert used < 0.8
    mx.limit_cpu(None)
    began = time.process_time()
    assert float(mx.run(["python3", "-c", busy]).stdout) > used
    assert time.process_time() - began < 1
