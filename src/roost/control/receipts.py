"""Which nodes have applied a change. A receipt is derived, not stored: what the change touched, who is how far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from roost.control.followers import Followers
from roost.domain.cluster import Cluster, Node
from roost.domain.desired import tables_of
from roost.domain.errors import NotFound
from roost.domain.node_life import Life
from roost.ports.store import SETTINGS, Concern, Store


@dataclass(frozen=True)
class Line:
    """One node that the change concerns, and whether it has applied it."""

    node: str
    table: str
    applied: bool
    position: int
    at: datetime | None
    connected: bool


@dataclass(frozen=True)
class Receipt:
    """All lines of one revision."""

    revision: int
    lines: tuple[Line, ...]

    @property
    def done(self) -> bool:
        """Say whether every node that the change concerns has applied it."""
        return all(line.applied for line in self.lines)


def receipt(store: Store, followers: Followers, revision: int, now: datetime) -> Receipt:
    """Return the receipt of a revision; raises ``NotFound`` for one that was never given.

    A drained node may be switched off; then it is not waited for.
    The last revision of an import stands for all before it in the tables that it touches.
    """
    with store.read() as view:
        if revision < 1 or revision > view.revision():
            raise NotFound(f"There is no revision {revision}.", field="revision")
        concerns = view.concerns(revision)
        cluster = view.cluster()
        followers.learn(view.positions())
    lines = []
    for node in sorted((n for n in cluster.nodes if n.joined), key=lambda n: n.name):
        seen = followers.seen(node.name)
        if node.life is Life.DRAINED and not seen.connected(now):
            continue
        for table in sorted(_followed(node, concerns)):
            position = seen.positions.get(table, 0)
            applied = position >= revision
            at = seen.moved.get(table) if applied else None
            lines.append(Line(node.name, table, applied, position, at, seen.connected(now)))
    return Receipt(revision, tuple(lines))


def _followed(node: Node, concerns: tuple[Concern, ...]) -> set[str]:
    """Return the tables of this node that the change touched."""
    followed: set[tuple[str, str]] = {(table, scope) for table, scope in tables_of(node)} | {(SETTINGS, "")}
    return {concern.table for concern in concerns if (concern.table, concern.scope) in followed}


def behind(cluster: Cluster, heads: dict[tuple[str, str], int], followers: Followers, name: str) -> int:
    """Return by how many revisions a node is behind in the table where it is furthest behind."""
    node = next((n for n in cluster.nodes if n.name == name), None)
    if node is None:
        return 0
    positions = followers.seen(name).positions
    followed = [(SETTINGS, ""), *((str(table), scope) for table, scope in tables_of(node))]
    return max(max(0, heads.get(key, 0) - positions.get(key[0], 0)) for key in followed)
