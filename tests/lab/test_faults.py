"""Each fault, seen from a second machine; and after heal all is well."""

from __future__ import annotations

import time

import pytest

from lab.echo import PORT, ask, install, wait_answered
from lab.small import MAIL
from roost.lab.errors import CommandFailed, FaultUnavailable
from roost.lab.lab import Lab
from roost.lab.machine import Machine


@pytest.fixture(autouse=True)
def _served(lab: Lab, mx: Machine, ms: Machine, client: Machine) -> None:
    for machine in (mx, ms):
        install(machine)
        wait_answered(client, machine)


def _faults(lab: Lab, short: str) -> tuple[str, tuple[str, ...]]:
    return next((m.state, m.faults) for m in lab.status() if m.name.startswith(f"{short}."))


def test_frozen_machine_answers_nothing(lab: Lab, mx: Machine, client: Machine) -> None:
    mx.freeze()
    assert ask(client, mx) == "connected TimeoutError"
    assert _faults(lab, "mx1") == ("frozen", ())
    with pytest.raises(CommandFailed) as late:
        mx.run(["true"], timeout=0.5)
    assert late.value.returncode is None
    mx.thaw()
    wait_answered(client, mx)


def test_machine_frozen_hard_does_not_even_accept(lab: Lab, mx: Machine, ms: Machine, client: Machine) -> None:
    mx.freeze(hard=True)
    assert ask(client, mx) == "TimeoutError"
    assert ask(client, ms) == "connected answered"
    assert _faults(lab, "mx1") == ("frozen", ("cut off",))
    mx.thaw()
    wait_answered(client, mx)
    assert _faults(lab, "mx1") == ("on", ())


def test_thawing_leaves_a_cable_that_was_pulled_besides(mx: Machine, client: Machine) -> None:
    mx.cut()
    mx.freeze(hard=True)
    mx.thaw()
    assert ask(client, mx) == "TimeoutError"
    mx.join()
    wait_answered(client, mx)


def test_frozen_machine_can_be_killed_and_boots_again(mx: Machine, client: Machine) -> None:
    mx.freeze()
    mx.kill()
    assert not mx.running
    mx.boot()
    wait_answered(client, mx)


def test_cut_machine_is_silent_and_goes_on_by_itself(lab: Lab, mx: Machine, ms: Machine, client: Machine) -> None:
    mx.cut()
    assert ask(client, mx) == "TimeoutError"
    assert ask(mx, client) == "TimeoutError"
    assert ask(mx, mx) == "connected answered"
    assert ask(client, ms) == "connected answered"
    assert _faults(lab, "mx1") == ("on", ("cut off",))
    mx.join()
    wait_answered(client, mx)


def test_cut_between_two_leaves_the_rest(lab: Lab, mx: Machine, ms: Machine, client: Machine) -> None:
    mx.cut(ms)
    assert ask(mx, ms) == "TimeoutError"
    assert ask(ms, mx) == "TimeoutError"
    assert ask(client, mx) == ask(client, ms) == "connected answered"
    assert _faults(lab, "ms1") == ("on", ("cut from mx1",))
    ms.join(mx)
    wait_answered(mx, ms)


def test_slow_cable(lab: Lab, mx: Machine, client: Machine) -> None:
    mx.write("/srv/large", bytes(200_000))

    def seconds() -> float:
        server = mx.popen(["python3", "-m", "http.server", "--directory", "/srv", str(PORT + 1)])
        try:
            url = f"http://{mx.address}:{PORT + 1}"
            fetch = ["curl", "-sf", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null"]
            client.run([*fetch, f"{url}/"])
            began = time.monotonic()
            client.run([*fetch, f"{url}/large"])
            return time.monotonic() - began
        finally:
            mx.run(["pkill", "-f", "http.server"])
            server.communicate(timeout=10)

    assert seconds() < 1.5
    mx.slow(kbit=800)  # 200 kB are two seconds
    assert 1.5 < seconds() < 10
    assert _faults(lab, "mx1") == ("on", ("slow",))
    mx.slow()
    assert seconds() < 1.5


def test_delay_is_made_or_refused_but_never_pretended(mx: Machine, client: Machine) -> None:
    ping = ["ping", "-q", "-c", "3", "-i", "0.2", mx.address]
    try:
        mx.slow(delay_ms=100)
    except FaultUnavailable as refused:
        assert "netem" in str(refused)  # noqa: PT017 - which of both depends on the host's kernel
        return
    average = float(client.run(ping).stdout.rpartition("=")[2].split("/")[1])
    assert average > 180


def test_full_disk_gives_enospc_to_all_writers(lab: Lab, mx: Machine) -> None:
    assert mx.fill() < 8192
    with pytest.raises(CommandFailed, match="No space left on device"):
        mx.run(["dd", "if=/dev/zero", "of=/var/spool/more", "bs=64k", "count=1"])
    assert _faults(lab, "mx1") == ("on", ("disk full",))
    mx.heal()
    mx.run(["dd", "if=/dev/zero", "of=/var/spool/more", "bs=64k", "count=1"])
    assert _faults(lab, "mx1") == ("on", ())


def test_full_volume_leaves_the_other_disk(ms: Machine) -> None:
    ms.fill(MAIL)
    ms.write("/srv/fine", bytes(100_000))
    with pytest.raises(CommandFailed, match="No space left on device"):
        ms.write(f"{MAIL}/more", bytes(100_000))


def test_some_space_is_left_where_that_is_asked_for(ms: Machine) -> None:
    left = ms.fill(MAIL, leave_bytes=1_000_000)
    assert 500_000 < left <= 1_000_000
    ms.write(f"{MAIL}/small", bytes(200_000))
    with pytest.raises(CommandFailed, match="No space left on device"):
        ms.write(f"{MAIL}/large", bytes(1_200_000))


def test_heal_undoes_everything_at_once(lab: Lab, ms: Machine, client: Machine) -> None:
    ms.slow(kbit=100)
    ms.fill()
    ms.fill(MAIL)
    ms.cut(client)
    ms.freeze(hard=True)
    state, faults = _faults(lab, "ms1")
    assert state == "frozen"
    assert set(faults) == {"cut off", "cut from client", "slow", "disk full"}
    ms.heal()
    assert _faults(lab, "ms1") == ("on", ())
    wait_answered(client, ms)
    ms.write(f"{MAIL}/again", bytes(100_000))
    ms.write("/srv/again", bytes(100_000))
