"""What drivers render where a node is leaving: the others count on it no longer, and it goes on as before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roost.domain.cluster import Cluster, Node, Policy, Role
from roost.domain.desired import NodeSettings, settings_for
from roost.domain.node_life import Life
from roost.drivers.bind import render as bind
from roost.drivers.bind.place import Place as BindPlace
from roost.drivers.postfix import render as postfix
from roost.drivers.postfix.layout import Layout
from roost.drivers.rsyslog import render as rsyslog
from roost.drivers.rsyslog.place import Place as LogPlace
from roost.drivers.unbound import render as unbound
from roost.drivers.unbound.place import Place as UnboundPlace
from roost.ports.host import Facts, File

FACTS = Facts(release=13, versions={})
Rendering = Callable[[NodeSettings], tuple[File, ...]]


def cluster(*leaving: str) -> Cluster:
    roles = {"mx1": Role.MX, "mx2": Role.MX, "b1": Role.BACKUP_MX, "ns1": Role.DNS, "ns2": Role.DNS}
    roles |= {"ms1": Role.STORAGE, "log1": Role.LOG, "log2": Role.LOG}
    nodes = [
        Node(
            f"{name}.cluster.test",
            frozenset({role}),
            (f"192.0.2.{number}",),
            joined=True,
            life=Life.DRAINING if name in leaving else Life.ACTIVE,
        )
        for number, (name, role) in enumerate(roles.items(), 1)
    ]
    return Cluster("cluster.test", 1, tuple(nodes), (), Policy())


RENDERED: dict[str, tuple[str, Rendering]] = {
    "zones": ("ns2", lambda settings: bind.render(settings, FACTS, BindPlace())[1:2]),
    "resolver": ("ms1", lambda settings: unbound.render(settings, FACTS, UnboundPlace())),
    "way out": ("ms1", lambda settings: postfix.render(settings, FACTS, Layout())),
    "backup": ("b1", lambda settings: postfix.render(settings, FACTS, Layout())),
    "logs": ("ms1", lambda settings: rsyslog.render(settings, FACTS, LogPlace())),
}


def text(who: str, render: Rendering, *leaving: str) -> str:
    return "\n".join(
        file.path + file.content for file in render(settings_for(cluster(*leaving), f"{who}.cluster.test"))
    )


@pytest.mark.parametrize(
    ("what", "gone", "words"),
    [
        ("zones", "ns1", "ns1.cluster.test"),
        ("resolver", "ns1", "192.0.2.4"),
        ("way out", "mx1", "mx1.cluster.test"),
        ("backup", "mx1", "mx1.cluster.test"),
        ("logs", "log1", "log1.cluster.test"),
    ],
)
def test_it_is_counted_on_no_longer(what: str, gone: str, words: str) -> None:
    who, render = RENDERED[what]
    assert words in text(who, render)
    assert words not in text(who, render, gone)


@pytest.mark.parametrize("who", ["mx1", "ns1", "log1"])
def test_it_goes_on_itself(who: str) -> None:
    """Its own daemons have the same settings as before."""
    kinds: dict[str, Rendering] = {
        "mx1": lambda settings: postfix.render(settings, FACTS, Layout()),
        "ns1": lambda settings: bind.render(settings, FACTS, BindPlace())[:1],
        "log1": lambda settings: [f for f in rsyslog.render(settings, FACTS, LogPlace()) if "collect" in f.path],  # type: ignore[return-value,dict-item]
    }
    assert text(who, kinds[who]) == text(who, kinds[who], who)


def test_the_only_one_left_is_counted_on_all_the_same() -> None:
    """Whatever the store says: no settings may be without a server."""
    who, render = RENDERED["way out"]
    assert "mx1.cluster.test" in text(who, render, "mx1", "mx2")
