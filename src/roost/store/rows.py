"""Keeping the rows that nodes should have: what changed becomes new, what vanished becomes a tombstone.

``RowBook`` is told, for each revision, the rows of a thing before and after a change. Rows that are equal keep the
revision that they have, so a change of a password touches nothing but the account's row. It collects what is to be
written, and ``flush`` writes it in one go: the last change of a key wins, and the head of every feed that was
touched is raised.

Rows of one feed may belong to different things at different times (an address is a mailbox, then an alias), but to
one thing at a time: the writer refuses what would break that. A tombstone keeps its bucket and counts in no digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, func, select

from roost.domain.desired import Row, Value, bucket_of, digest_of
from roost.ports.store import SETTINGS, Concern
from roost.store import schema
from roost.store.engine import upsert

canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class RowBook:
    """The rows that one transaction changes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[tuple[str, str], int] = {}
        self._pending: dict[tuple[str, str, str], tuple[Value | None, int]] = {}
        self._heads: dict[tuple[str, str], int] = {}

    def forget(self) -> None:
        """Drop everything that is not in the database: a savepoint was rolled back."""
        self._ids.clear()
        self._pending.clear()
        self._heads.clear()

    def change(self, revision: int, old: Iterable[Row], new: Iterable[Row]) -> set[tuple[str, str]]:
        """Note a change; returns the (table, scope) that it touches."""
        before = {row.id: row.value for row in old}
        touched: set[tuple[str, str]] = set()
        for row in new:
            if before.pop(row.id, None) != row.value:
                self._pending[row.id] = (row.value, revision)
                touched.add((row.table, row.scope))
        for gone in before:
            self._pending[gone] = (None, revision)
            touched.add(gone[:2])
        for where in touched:
            self._heads[where] = revision
        return touched

    def settings(self, revision: int) -> tuple[str, str]:
        """Note that the cluster's settings changed; returns the (table, scope) that says so."""
        self._heads[SETTINGS, ""] = revision
        return (SETTINGS, "")

    def flush(self) -> None:
        """Write what was noted."""
        if self._pending:
            written = [
                {
                    "feed": self._id(table, scope),
                    "key": key,
                    "value": None if value is None else canonical(value),
                    "digest": 0 if value is None else digest_of(key, value),
                    "bucket": bucket_of(key),
                    "revision": revision,
                }
                for (table, scope, key), (value, revision) in self._pending.items()
            ]
            self._connection.execute(upsert(self._connection, schema.feed_row), written)
        if self._heads:
            feed = schema.feed
            self._connection.execute(
                feed.update().where(feed.c.id == bindparam("of")).values(head=bindparam("to")),
                [{"of": self._id(*where), "to": head} for where, head in self._heads.items()],
            )
        self._pending.clear()
        self._heads.clear()

    def drop_scope(self, scope: str) -> None:
        """Delete the feeds of one node with all their rows, tombstones included: nobody follows them any more."""
        feed = schema.feed
        ids = list(self._connection.execute(select(feed.c.id).where(feed.c.scope == scope)).scalars())
        self._connection.execute(schema.feed_row.delete().where(schema.feed_row.c.feed.in_(ids)))
        self._connection.execute(feed.delete().where(feed.c.id.in_(ids)))
        self._ids.clear()

    def _id(self, table: str, scope: str) -> int:
        """Return the feed's id; a new feed gets the next one, which is safe because writers go one at a time."""
        if (table, scope) not in self._ids:
            found = feed_id(self._connection, table, scope)
            if found is None:
                last = self._connection.execute(select(func.max(schema.feed.c.id))).scalar()
                found = (last or 0) + 1
                self._connection.execute(
                    schema.feed.insert(), {"id": found, "table_name": str(table), "scope": scope, "head": 0}
                )
            self._ids[table, scope] = found
        return self._ids[table, scope]


def feed_id(connection: Connection, table: str, scope: str) -> int | None:
    """Return the id of a feed, or None where nothing was ever in it."""
    feed = schema.feed
    statement = select(feed.c.id).where(feed.c.table_name == str(table), feed.c.scope == scope)
    found = connection.execute(statement).scalar()
    return None if found is None else int(found)


def concerns(touched: Iterable[tuple[str, str]]) -> tuple[Concern, ...]:
    """Return (table, scope) pairs as concerns, sorted."""
    return tuple(Concern(table, scope) for table, scope in sorted(touched))
