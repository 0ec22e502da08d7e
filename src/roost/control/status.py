"""The cluster at a glance: nodes with what they last said, and warnings with what to do.

What it costs grows with the number of nodes, not of mailboxes: how many each home has, the store knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from roost.control import warnings
from roost.control.drainer import Drainer, each_stalled
from roost.control.followers import Followers
from roost.control.move_warnings import stuck
from roost.control.mover import Mover
from roost.control.probes import Probes, findings
from roost.control.receipts import behind
from roost.control.warnings import NodeStatus, Warned
from roost.domain.cluster import Cluster, Node
from roost.domain.desired import tables_of
from roost.domain.figures import Waiting
from roost.domain.move import OPEN
from roost.ports.store import SETTINGS, Reader, Store


@dataclass(frozen=True)
class Status:
    """Everything at one moment. ``waiting`` has the mail by home, over all MX hosts; ``moves`` the open ones."""

    cluster: Cluster
    revision: int
    mailboxes: int
    nodes: tuple[NodeStatus, ...]
    warnings: tuple[Warned, ...]
    waiting: dict[str, Waiting] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return the sum of a figure over the nodes that have it: ``queue`` or ``sessions``."""
        return sum(max(0, getattr(entry.figures, name)) for entry in self.nodes)


def status(
    store: Store, followers: Followers, mover: Mover, drainer: Drainer, probes: Probes, *, now: datetime
) -> Status:
    """Look at the store and at what the nodes said."""
    nodes = []
    with store.read() as view:
        cluster, revision, homes = view.cluster(), view.revision(), view.homes()
        followers.learn(view.positions())
        heads = {(SETTINGS, ""): view.head(SETTINGS, "")}
        for node in cluster.nodes:
            for table, scope in tables_of(node):
                heads[(str(table), scope)] = view.head(table, scope)
        for node in sorted(cluster.nodes, key=lambda n: n.name):
            seen = followers.seen(node.name)
            late = behind(cluster, heads, followers, node.name)
            since = _late_since(view, node, heads, seen.positions) if late else None
            nodes.append(NodeStatus(node, seen, seen.connected(now), late, homes.get(node.name, 0), since))
        moving = [Warned(*words, "move-stuck") for words in stuck(view, mover, now)]
        moves = {str(state): sum(view.count_moves([state]).values()) for state in sorted(OPEN)}
    waiting = _waiting(nodes)
    # The one place where warnings come together; the controller tells how many there are of each name.
    found = (
        *(warned for entry in nodes for warned in warnings.of_node(entry, now)),
        *warnings.of_cluster(cluster),
        *warnings.of_drains(each_stalled(drainer, cluster, now)),
        *warnings.of_waiting(waiting),
        *moving,
        *warnings.of_probes(findings(probes, cluster, now)),
    )
    return Status(cluster, revision, sum(homes.values()), tuple(nodes), found, waiting, moves)


def _late_since(
    view: Reader, node: Node, heads: dict[tuple[str, str], int], positions: dict[str, int]
) -> datetime | None:
    """Return when the change was made that a node lacks; of several tables, that of the newest."""
    followed = [(SETTINGS, ""), *((str(table), scope) for table, scope in tables_of(node))]
    lacking = max((heads[key] for key in followed if positions.get(key[0], 0) < heads[key]), default=0)
    return next((event.at for event in view.events(after=lacking - 1, limit=1)), None) if lacking else None


def _waiting(nodes: list[NodeStatus]) -> dict[str, Waiting]:
    """Return the mail that waits, by home, over all MX hosts that are heard."""
    found: dict[str, Waiting] = {}
    for entry in nodes:
        if entry.connected:
            for home, there in entry.figures.waiting.items():
                so_far = found.get(home, Waiting(0, 0))
                found[home] = Waiting(so_far.messages + there.messages, max(so_far.oldest, there.oldest))
    return {home: there for home, there in sorted(found.items()) if there.messages}
