"""Moves, scenario h: every format of mailbox, large ones, many folders, strange names, shared folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.moving import account_for, move, told, user_on, wait

from roost.lab.cluster import Cluster
from roost.lab.lab import Lab
from roost.lab.pauses import pause, refusals
from roost.lab.topology import default_topology
from roost.lab.traffic import Traffic, account, fill

shared = pytest.mark.usefixtures("short_ttl")

pytestmark = pytest.mark.long

NAMES = (
    "Entwürfe & Ähnliches",
    "Входящие",
    "收件箱",
    "受信トレイ",
    "البريد",
    "דואר",
    "ไทย",
    "हिन्दी",
    "Ωμέγα",
    "😀 emoji",
    'quoted "name"',
    "back\\slash",
    "percent % and star *",
    "dot.dot.dot",
    "tilde ~ and &",
    "  two blanks",
    "A/B/C/D/E",
    "UPPER/lower",
    "x" * 120,
)
"""Folder names in many scripts; separators, quotes and what IMAP or a file system could take amiss."""


@shared
@pytest.mark.parametrize("format_", ["mdbox", "sdbox", "maildir"])
@pytest.mark.parametrize("to", ["ms2", "ms3"])
def test_formats(cluster: Cluster, format_: str, to: str) -> None:
    """Each format moves, from Dovecot 2.4 to both versions, while its user works."""
    cluster.roost("policy", "set", "mailbox_format", format_)
    try:
        user = user_on(cluster, cluster.lab.machine("ms1"), format_, 1000)
    finally:
        cluster.roost("policy", "set", "mailbox_format", "mdbox")
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"{format_}-{to}", per_second=10)
        move(cluster, user.address, cluster.lab.machine(to))
        events = traffic.stop()
    wrong = account_for(cluster, user, before, events)
    assert not wrong, told(wrong)
    assert not refusals(events)


@shared
@pytest.mark.parametrize("to", ["ms2", "ms3"])
def test_names_of_folders(cluster: Cluster, to: str) -> None:
    """Every name arrives as it was, from 2.4 to both versions, and back from there."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine(to)
    user = user_on(cluster, source, "names")
    # On a file system a name has 255 bytes; a strange one that Dovecot refuses would have failed here.
    fill(source, [user.address], dict.fromkeys(NAMES, 3))
    before = account(cluster.client.machine, user)
    assert len(before.uidvalidity) >= len(NAMES)
    there = move(cluster, user.address, target)
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)
    wait(cluster, there["id"], ["done"])
    move(cluster, user.address, source)
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)


@shared
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.timeout(1200))])
def test_many_folders(cluster: Cluster, count: int) -> None:
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms2")
    user = user_on(cluster, source, "folders", 200)
    fill(source, [user.address], {f"Projekte/{n % 20}/{n}": 2 for n in range(count)})
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"folders-{count}", per_second=10)
        view = move(cluster, user.address, target, seconds=400)
        events = traffic.stop()
    print(f"\n{count} folders: hold {view['pause_ms']} ms")
    wrong = account_for(cluster, user, before, events)
    assert not wrong, told(wrong)


@shared
def test_rights(cluster: Cluster) -> None:
    """A folder that others may read, and one that its owner may not write, are so at the new home."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user, friend = user_on(cluster, source, "owner"), user_on(cluster, source, "friend")
    fill(source, [user.address], {"Shared": 3, "Archive": 3})
    rights = {"Shared": (f"user={friend.address}", "lookup read"), "Archive": ("owner", "lookup read admin")}
    for folder, (who, what) in rights.items():
        source.run(["doveadm", "acl", "set", "-u", user.address, folder, who, *what.split()])
    before = account(cluster.client.machine, user)
    move(cluster, user.address, target)
    wrong = account_for(cluster, user, before, [])
    assert not wrong, told(wrong)
    for folder, (who, what) in rights.items():
        found = target.run(["doveadm", "-f", "tab", "acl", "get", "-u", user.address, folder]).stdout
        assert f"{who}\t{' '.join(sorted(what.split()))}" in _sorted_rights(found), found


def _sorted_rights(table: str) -> str:
    """Return the table with the rights of each line in alphabetical order: versions differ in theirs."""
    lines = []
    for line in table.splitlines():
        who, _, what = line.partition("\t")
        lines.append(f"{who}\t{' '.join(sorted(what.split()))}")
    return "\n".join(lines)


@pytest.fixture
def roomy() -> Iterator[Cluster]:
    """A small cluster whose stores have room for two copies of 10 GB."""
    wanted = {"control", "mx1", "ns1", "ms1", "ms2", "client"}
    machines = [spec for spec in default_topology() if spec.short in wanted]
    free = os.statvfs(Path("/var/lib"))
    if free.f_bavail * free.f_frsize < 30 << 30:
        pytest.skip("needs 30 GB on /var/lib")
    lab = Lab(f"r{os.getpid() % 100_000}")
    lab.start(machines, owned=True, disk_mib=40 << 10)
    try:
        cluster = Cluster(lab)
        cluster.found()
        cluster.roost("policy", "set", "ttl", "5")
        yield cluster
    finally:
        lab.stop()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("messages", "size"), [(100_000, 1000), (1000, 10 << 20)], ids=["100,000", "10 GB"])
def test_large(roomy: Cluster, messages: int, size: int) -> None:
    """100,000 messages, and 10 GB in a thousand with large attachments: moved while their users work."""
    source, target = roomy.lab.machine("ms1"), roomy.lab.machine("ms2")
    user = user_on(roomy, source, "large", messages, size=size)
    # The texts of 10 GB would take longer to read than all the rest.
    before = account(roomy.client.machine, user, bodies=size < 100_000)
    with Traffic(roomy.client.machine, user) as traffic:
        traffic.everything("large")
        probe = traffic.probe(every=0.05)
        began = time.time()
        view = move(roomy, user.address, target, seconds=1800)
        print(
            f"\n{messages} messages, {messages * size / 1e9:.1f} GB: {time.time() - began:.0f} s, "
            f"hold {view['pause_ms']} ms, longest login {pause(probe.events, began, time.time()).longest:.2f} s"
        )
        events = traffic.stop()
    wrong = account_for(roomy, user, before, events)
    assert not wrong, told(wrong)
    assert not refusals(events)
