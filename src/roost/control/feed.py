"""What a node is told: its settings where they changed, and the rows after its positions.

The node's roles are read from the store at each request, never from its certificate: a role that is taken away is
gone with the next answer. A node is given the tables of its roles, and of ``accounts`` its own scope alone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from roost.control import drift
from roost.domain.cluster import Cluster, Node
from roost.domain.desired import NodeSettings, Table, Value, settings_for, tables_of
from roost.domain.errors import BadSetting, Forbidden
from roost.ports.store import CHECK, EPOCH, SETTINGS, Page, Reader, Store


@dataclass(frozen=True)
class News:
    """An answer: nothing in it means that the node is up to date."""

    epoch: str
    check: int
    settings: NodeSettings | None = None
    pages: dict[Table, Page] = field(default_factory=dict)
    lifted: bool = False


class Feed:
    """Answers the agents from the store. Keeps the picture of everything small, for as long as it is true."""

    def __init__(self, store: Store, rows: int) -> None:
        self._store = store
        self._rows = rows
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._cluster_of: tuple[str, int] = ("", -1)

    def _picture(self, view: Reader, epoch: str) -> Cluster:
        head = view.head(SETTINGS, "")
        with self._lock:
            if self._cluster is None or self._cluster_of != (epoch, head):
                self._cluster, self._cluster_of = view.cluster(), (epoch, head)
            return self._cluster

    def node(self, name: str) -> Node:
        """Return a node that has joined; raises ``Forbidden`` where it was removed."""
        with self._store.read() as view:
            return _known(self._picture(view, view.value(EPOCH) or ""), name)

    def answer(
        self, name: str, epoch: str, positions: Mapping[str, int], *, held: int, paused: Collection[str] = ()
    ) -> News:
        """Return what is newer than the positions. With another epoch, tables wait until the node has resynced.

        ``held`` is the revision of the settings that the node has; no rows of ``paused`` tables are given.
        """
        with self._store.read() as view:
            now_epoch = view.value(EPOCH) or ""
            cluster = self._picture(view, now_epoch)
            node = _known(cluster, name)
            settings = None
            if held != cluster.revision or epoch != now_epoch:
                settings = settings_for(cluster, name)
            pages = {}
            if epoch in (now_epoch, ""):
                for table, scope in tables_of(node):
                    after = positions.get(table, 0)
                    if table in positions and table not in paused and after < view.head(table, scope):
                        pages[table] = view.page(table, scope, after, self._rows)
            return News(now_epoch, int(view.value(CHECK) or 0), settings, pages, drift.lifted(view, name))

    def differing(
        self, name: str, table: str, position: int, buckets: Sequence[tuple[int, int]]
    ) -> tuple[list[int] | None, int]:
        """Return the buckets whose digests differ from the node's, and the table's head.

        The list is None where the table has changed since the position.
        """
        with self._store.read() as view:
            scope_table, scope = self._scope(view, name, table)
            head = view.head(scope_table, scope)
            if head > position:
                return None, head
            mine = view.digests(scope_table, scope)
        if len(buckets) != len(mine):
            raise BadSetting(f"{len(mine)} buckets are compared.", field="buckets")
        return [index for index, pair in enumerate(mine) if tuple(buckets[index]) != tuple(pair)], head

    def bucket(self, name: str, table: str, position: int, bucket: int) -> list[tuple[str, Value]] | None:
        """Return the rows that a bucket should have; None where the table has changed since."""
        with self._store.read() as view:
            scope_table, scope = self._scope(view, name, table)
            if view.head(scope_table, scope) > position:
                return None
            return view.bucket(scope_table, scope, bucket)

    def _scope(self, view: Reader, name: str, table: str) -> tuple[Table, str]:
        node = _known(self._picture(view, view.value(EPOCH) or ""), name)
        for followed, scope in tables_of(node):
            if followed == table:
                return followed, scope
        raise Forbidden(f"{name} does not follow the table {table!r}.")


def _known(cluster: Cluster, name: str) -> Node:
    for node in cluster.nodes:
        if node.name == name and node.joined:
            return node
    raise Forbidden(f"{name} is no node of this cluster.", remedy="Add it again and join with a new token.")
