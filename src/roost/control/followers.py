"""How far every node is: kept in memory, since each acknowledgement is one more request of its agent.

The store gets them now and then (``changed``), so that a restarted controller, or another one, knows them too
(``learn``); losing the last second of them costs nothing, because every agent says its positions with each request.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from roost.domain.figures import Glance
from roost.ports.store import Position

SILENT = timedelta(seconds=35)
"""A node that has said nothing for so long is not connected: its poll is held for at most 25 s."""


@dataclass
class Seen:
    """What a node said last. ``at`` is when; ``moved`` is when each of its positions came to be what it is.

    ``glance`` has its few figures, ``skew`` the seconds by which its clock is ahead of ours.
    """

    positions: dict[str, int] = field(default_factory=dict)
    moved: dict[str, datetime] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    at: datetime | None = None
    glance: Glance = field(default_factory=Glance)
    skew: float = 0.0

    def connected(self, now: datetime) -> bool:
        """Say whether the node has been heard lately."""
        return self.at is not None and now - self.at < SILENT


class Followers:
    """All nodes' positions, safe for threads."""

    def __init__(self, known: Iterable[Position] = ()) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._dirty: set[str] = set()
        self.learn(known)

    def learn(self, known: Iterable[Position]) -> None:
        """Take what the store has where it is newer: another controller heard the node."""
        with self._lock:
            for position in known:
                seen = self._seen.setdefault(position.node, Seen())
                here = seen.moved.get(position.table)
                if here is None or here < position.at:
                    seen.positions[position.table] = position.revision
                    seen.moved[position.table] = position.at

    def note(
        self, node: str, positions: Mapping[str, int], health: Mapping[str, str], checked: int, at: datetime
    ) -> bool:
        """Take down what a node says; True where a position, its health or its check number is news."""
        with self._lock:
            seen = self._seen.setdefault(node, Seen())
            news = seen.positions != dict(positions) or seen.health != dict(health) or seen.checked != checked
            for table, revision in positions.items():
                if seen.positions.get(table) != revision:
                    seen.moved[table] = at
                    self._dirty.add(node)
            seen.positions, seen.health, seen.checked, seen.at = dict(positions), dict(health), checked, at
            return news

    def look(self, node: str, glance: Glance, at: datetime) -> None:
        """Take down a node's few figures, which came with its question: the time in them is that of the asking."""
        with self._lock:
            seen = self._seen.setdefault(node, Seen())
            seen.glance = glance
            seen.skew = glance.at - at.timestamp() if glance.at else 0.0

    def touch(self, node: str, at: datetime) -> None:
        """Note that the node is there: it holds a request open."""
        with self._lock:
            self._seen.setdefault(node, Seen()).at = at

    def seen(self, node: str) -> Seen:
        """Return a copy of what is known of a node."""
        with self._lock:
            seen = self._seen.get(node, Seen())
            return replace(seen, positions=dict(seen.positions), moved=dict(seen.moved), health=dict(seen.health))

    def everybody(self) -> dict[str, Seen]:
        """Return a copy of what is known of every node that was ever heard."""
        with self._lock:
            names = list(self._seen)
        return {name: self.seen(name) for name in names}

    def forget(self, node: str) -> None:
        """A node was removed, or joins anew."""
        with self._lock:
            self._seen.pop(node, None)
            self._dirty.discard(node)

    def changed(self) -> list[Position]:
        """Return the positions of the nodes that moved since the last call, for the store."""
        with self._lock:
            nodes, self._dirty = self._dirty, set()
            return [
                Position(node, table, revision, self._seen[node].moved[table])
                for node in sorted(nodes)
                if node in self._seen
                for table, revision in self._seen[node].positions.items()
            ]
