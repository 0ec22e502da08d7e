"""The cluster at a glance: nodes with what they last said, and warnings with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from roost.control.followers import Followers, Seen
from roost.control.move_warnings import stuck
from roost.control.mover import Mover
from roost.control.probes import Probes, findings
from roost.control.receipts import behind
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.desired import tables_of
from roost.ports.store import SETTINGS, Store


@dataclass(frozen=True)
class NodeStatus:
    """A node and what it last said; ``late`` in revisions."""

    node: Node
    seen: Seen
    connected: bool
    late: int
    mailboxes: int


@dataclass(frozen=True)
class Warned:
    """Something to know, and what to do about it."""

    subject: str
    warning: str
    remedy: str


@dataclass(frozen=True)
class Status:
    """Everything at one moment."""

    cluster: Cluster
    revision: int
    mailboxes: int
    nodes: tuple[NodeStatus, ...]
    warnings: tuple[Warned, ...]


def status(store: Store, followers: Followers, mover: Mover, probes: Probes, now: datetime) -> Status:
    """Look at the store and at what the nodes said."""
    with store.read() as view:
        cluster, revision, total, homes = view.cluster(), view.revision(), view.count_mailboxes(), view.homes()
        followers.learn(view.positions())
        heads = {(SETTINGS, ""): view.head(SETTINGS, "")}
        for node in cluster.nodes:
            for table, scope in tables_of(node):
                heads[(str(table), scope)] = view.head(table, scope)
        moves = [Warned(*words) for words in stuck(view, mover, now)]
    probed = [Warned(one.hop, one.words, one.remedy) for one in findings(probes, cluster, now)]
    nodes = []
    for node in sorted(cluster.nodes, key=lambda n: n.name):
        seen = followers.seen(node.name)
        late = behind(cluster, heads, followers, node.name)
        nodes.append(NodeStatus(node, seen, seen.connected(now), late, homes.get(node.name, 0)))
    return Status(cluster, revision, total, tuple(nodes), (*_warnings(cluster, nodes), *moves, *probed))


def _warnings(cluster: Cluster, nodes: list[NodeStatus]) -> list[Warned]:
    found = []
    for entry in nodes:
        name = entry.node.name
        if not entry.node.joined:
            found.append(
                Warned(
                    name, "has not joined yet.", f"Run 'roost join' on it with a token of 'roost node token {name}'."
                )
            )
        elif not entry.connected:
            when = f"since {entry.seen.at:%Y-%m-%d %H:%M:%S} UTC" if entry.seen.at else "since the controller started"
            found.append(
                Warned(
                    name, f"is not connected {when}.", "Look at the machine and at 'systemctl status roost-agent'."
                )
            )
        for driver, words in sorted(entry.seen.health.items()):
            found.append(Warned(name, f"{driver}: {words}", f"See 'journalctl -u roost-agent' on {name}."))
    for role in (Role.MX, Role.DNS, Role.STORAGE):
        joined = [n for n in cluster.with_role(role) if n.joined]
        if not joined:
            found.append(
                Warned("cluster", f"no {role} node has joined.", f"Add one: 'roost node add --role {role}'.")
            )
        elif len(joined) == 1 and role is not Role.STORAGE:
            found.append(Warned("cluster", f"there is only one {role} node.", "Add a second, so that one may fail."))
    return found
