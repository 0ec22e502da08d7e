"""Moves, scenario f: full disks and planted mail: refused or undone, said plainly, and the user notices nothing."""

from __future__ import annotations

import time

import pytest
from tests.cluster.moving import GIVEN, account_for, ask, move, told, user_on, wait
from tests.cluster.users import fresh

from roost.lab.cluster import Cluster
from roost.lab.errors import CommandFailed
from roost.lab.machine import Machine
from roost.lab.pauses import refusals
from roost.lab.topology import MAIL
from roost.lab.traffic import Traffic, User, account

pytestmark = pytest.mark.usefixtures("short_ttl")


def _home_folder(machine: Machine, user: User) -> str:
    """Return the folder of a mailbox on its home; a copy on another node has the same."""
    return machine.run(["doveadm", "user", "-f", "home", user.address]).stdout.strip()


def _over(cluster: Cluster, asked: int, *reasons: str, seconds: float = 180) -> None:
    """The move is undone, and says one of these words."""
    view = wait(cluster, asked, ["undone", *GIVEN], seconds)
    assert view["state"] == "undone", view
    assert any(word in view["reason"].lower() for word in reasons), view["reason"]


def _not_moved(cluster: Cluster, user: User, target: Machine, *reasons: str) -> None:
    """Ask for a move: it is refused by the command, or undone soon; either says one of these words."""
    try:
        [asked] = ask(cluster, [user.address], "--to", target.name)
    except CommandFailed as error:
        refusal = f"{error.stdout}{error.stderr}".lower()
    else:
        _over(cluster, asked, *reasons)
        return
    assert any(word in refusal for word in reasons), refusal


def _in_trouble(cluster: Cluster, asked: int, word: str) -> None:
    """Wait until the move says this word of what keeps it from going on."""
    deadline = time.monotonic() + 60
    while True:
        view = cluster.roost("move", "show", str(asked))
        trouble = view["progress"]["trouble"] + view["reason"]
        if word in trouble:
            return
        assert time.monotonic() < deadline, trouble
        time.sleep(0.3)


@pytest.mark.long
def test_the_target_fills_up(cluster: Cluster) -> None:
    """While it copies, the target's disk becomes full."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "full", 20_000)
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"full-{user.address.partition('@')[0]}", per_second=5)
        # Slow, so that the copy has begun and is far from its end when the disk fills.
        target.slow(kbit=40_000)
        [asked] = ask(cluster, [user.address], "--to", target.name)
        wait(cluster, asked, ["copying"])
        target.fill(MAIL, leave_bytes=10 << 20)
        target.slow()
        _over(cluster, asked, "full", "space", "room")
        events = traffic.stop()
    assert cluster.home_of(user.address) is source
    wrong = account_for(cluster, user, before, events)
    assert not wrong, told(wrong)
    assert not refusals(events)


def test_aborted(cluster: Cluster) -> None:
    """An administrator changes his mind while it copies: nothing is left of it, and a later move is as any other."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "aborted", 20_000)
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"abort-{user.address.partition('@')[0]}", per_second=5)
        target.slow(kbit=40_000)
        [asked] = ask(cluster, [user.address], "--to", target.name)
        wait(cluster, asked, ["copying"])
        cluster.roost("move", "abort", str(asked))
        view = wait(cluster, asked, ["undone", *GIVEN])
        target.slow()
        assert view["state"] == "undone"
        assert cluster.home_of(user.address) is source
        assert target.run(["test", "-e", _home_folder(source, user)], check=False).returncode != 0
        move(cluster, user.address, target)
        events = traffic.stop()
    wrong = account_for(cluster, user, before, events)
    assert not wrong, told(wrong)
    assert not refusals(events)


@pytest.mark.long
def test_a_target_without_room_is_refused(cluster: Cluster) -> None:
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "noroom", 2000)
    target.fill(MAIL, leave_bytes=5 << 20)
    _not_moved(cluster, user, target, "full", "space", "room")
    assert cluster.home_of(user.address) is source


@pytest.mark.long
def test_the_source_is_full(cluster: Cluster) -> None:
    """Dovecot cannot read without writing there: the move says so, and goes on by itself as soon as there is room."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "fullsource", 2000)
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.deliver(f"fs-{user.address.partition('@')[0]}", per_second=5)
        traffic.idle()
        source.fill(MAIL)
        [asked] = ask(cluster, [user.address], "--to", target.name)
        _in_trouble(cluster, asked, "No space left")
        source.heal()
        wait(cluster, asked, GIVEN, 180)
        events = traffic.stop()
    assert cluster.home_of(user.address) is target
    wrong = account_for(cluster, user, before, events, 120)
    assert not wrong, told(wrong)


@pytest.mark.long
def test_a_stray_message_on_the_target(cluster: Cluster) -> None:
    """Mail of somebody's lies where the copy should be: the move is refused and that mail stays."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "stray", 200)
    other = user_on(cluster, target, "other", 3)
    before = account(cluster.client.machine, user)
    folder, planted = _home_folder(source, user), _home_folder(target, other)
    target.run(["mkdir", "-p", folder.rpartition("/")[0]])
    target.run(["cp", "-a", planted, folder])
    _not_moved(cluster, user, target, "mail", "there already", "by hand")
    assert target.run(["find", folder, "-type", "f"]).stdout.strip(), "the stray mail is gone"
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)
    target.run(["rm", "-rf", "--", folder])
    move(cluster, user.address, target)
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)


@pytest.mark.long
def test_a_wrong_uidvalidity_on_the_target(cluster: Cluster) -> None:
    """A hand changes the copy: the proof finds it; the user stays, or the copy is made right. He notices nothing."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "validity", 200)
    before = account(cluster.client.machine, user)
    [asked] = ask(cluster, [user.address], "--to", target.name)
    cluster.roost("move", "pause", str(asked))
    # Paused before or in the copying; without a copy yet, the hand has nothing to change.
    view = wait(cluster, asked, ["preparing", "copying"])
    changed = target.run(
        ["doveadm", "mailbox", "update", "-u", user.address, "--uid-validity", "4711", "INBOX"], check=False
    )
    cluster.roost("move", "resume", str(asked))
    over = wait(cluster, asked, ["undone", *GIVEN])
    print(f"\npaused in {view['state']}, changed {changed.returncode == 0}: {over['state']} {over['reason']}")
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)


@pytest.mark.long
@pytest.mark.parametrize("why", ["same node", "twice", "target down", "unknown node", "unknown user"])
def test_refused_at_once(cluster: Cluster, why: str) -> None:
    """A refusal is an answer of the command, not a move that fails later."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "refused")
    address, to = user.address, target.name
    if why == "same node":
        to = source.name
    elif why == "unknown node":
        to = "ms9.cluster.test"
    elif why == "unknown user":
        address = fresh("nobody")
    elif why == "twice":
        cluster.roost("policy", "set", "moves", "0")
        first = ask(cluster, [address], "--to", to)[0]
    else:
        target.kill()
        _until_away(cluster, target)
    with pytest.raises(CommandFailed) as refused:
        ask(cluster, [address], "--to", to)
    assert refused.value.returncode in (1, 2)
    if why == "twice":
        cluster.roost("move", "abort", str(first))
        wait(cluster, first, ["undone"])
        cluster.roost("policy", "set", "moves", "32")
        assert cluster.home_of(address) is source


def _until_away(cluster: Cluster, machine: Machine) -> None:
    """Wait until the controller knows that a node is down."""
    deadline = time.monotonic() + 120
    while any(n["connected"] for n in cluster.roost("status")["nodes"] if n["name"] == machine.name):
        assert time.monotonic() < deadline, "the controller has not noticed"
        time.sleep(0.5)
