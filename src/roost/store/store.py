"""The store: transactions, and the small things that are written outside of them.

Keys and tokens change nothing that nodes should have, but who may come in belongs into the audit log: each of their
changes is an event with a revision of its own that concerns nobody. Positions, reports and the controller's own
values have no event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select

from roost.domain.errors import NotFound
from roost.domain.node_load import NodeLoad
from roost.domain.usage import Load
from roost.ports.store import JoinToken, Key, Merge, Position, Report
from roost.store import audit, records, schema, usage
from roost.store.engine import Database, Mode, lock_revision, upsert
from roost.store.reader import SqlReader
from roost.store.writer import SqlWriter


class SqlStore:
    """``roost.ports.store.Store``, for any number of threads up to the pool's size."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @contextmanager
    def read(self) -> Iterator[SqlReader]:
        """Open a view at one revision, on a connection of its own."""
        with self.database.begin(Mode.READ) as connection:
            reader = SqlReader(connection)
            # The snapshot is that of the first statement: take it now, not whenever the caller comes to ask.
            reader.revision()
            yield reader

    @contextmanager
    def write(self, actor: str) -> Iterator[SqlWriter]:
        """Begin a transaction; raises ``StoreBusy`` where others do not let it begin in time."""
        with self.database.begin(Mode.WRITE) as connection:
            lock_revision(connection)
            yield SqlWriter(connection, actor)

    def put_key(self, key: Key, actor: str) -> None:
        """Add or change an administrator's key."""
        with self.write(actor) as tx:
            verb = "key added" if tx.key(key.id) is None else "key changed"
            self._put(tx, schema.api_key, records.key_columns(key))
            tx.record(verb, key.id, {"name": key.name} | _until(key.expires))

    def remove_key(self, id: str, actor: str) -> None:
        """Remove an administrator's key; raises ``NotFound``."""
        with self.write(actor) as tx:
            key = tx.key(id)
            if key is None:
                raise NotFound(f"There is no key {id}.", field="key")
            tx._connection.execute(schema.api_key.delete().where(schema.api_key.c.id == id))
            tx.record(audit.KEY_REMOVED, id, {"name": key.name})

    def put_token(self, token: JoinToken, actor: str) -> None:
        """Add a join token."""
        with self.write(actor) as tx:
            self._put(tx, schema.join_token, records.token_columns(token))
            tx.record("token added", token.id, {"node": token.node} | _until(token.expires))

    def use_token(self, id: str, at: datetime) -> bool:
        """Mark a token as used; False where it was used before, or is unknown (compare and set)."""
        token = schema.join_token
        unused = token.update().where(token.c.id == id, token.c.used.is_(None)).values(used=records.instant(at))
        with self.database.begin(Mode.WRITE) as connection:
            lock_revision(connection)
            node = connection.execute(unused.returning(token.c.node)).scalar()
            if node is None:
                return False
            SqlWriter(connection, f"node {node}").record("token used", id, {"node": str(node)})
            return True

    def put_positions(self, positions: Sequence[Position]) -> None:
        """Note how far nodes are. Those of nodes that have been removed are passed over."""
        if not positions:
            return
        name = schema.node.c.name
        with self.database.begin(Mode.NOTE) as connection:
            wanted = sorted({position.node for position in positions})
            known = set(connection.execute(select(name).where(name.in_(wanted))).scalars())
            latest = {(p.node, p.table): records.position_columns(p) for p in positions if p.node in known}
            if latest:
                # In one order everywhere, so that two controllers cannot wait for each other.
                rows = [latest[key] for key in sorted(latest)]
                connection.execute(upsert(connection, schema.position), rows)

    def put_report(self, report: Report) -> None:
        """Keep what a node said last, of one kind; raises ``NotFound`` for a node that is not there."""
        columns = {"node": report.node, "kind": report.kind, "at": records.instant(report.at), "body": report.body}
        with self.database.begin(Mode.NOTE) as connection:
            connection.execute(upsert(connection, schema.report), columns)

    def put_loads(self, node: str, loads: Sequence[Load], merge: Merge) -> Sequence[Load]:
        """Take down what mailboxes are used whose home the node is; see the port."""
        with self.database.begin(Mode.NOTE) as connection:
            mine = usage.at_home(connection, node, (load.number for load in loads))
            told = [load for load in loads if load.number in mine]
            known = usage.known(connection, mine)
            taken = [taken for load in told if (taken := merge(load, known.get(load.number))) is not None]
            usage.put(connection, node, taken)
        return told

    def put_node_load(self, node: str, at: int, load: NodeLoad, forget: int) -> None:
        """Keep one minute of a node, and forget those before ``forget``."""
        with self.database.begin(Mode.NOTE) as connection:
            usage.put_minute(connection, node, at, load, forget)

    def put_value(self, name: str, value: str) -> None:
        """Set one of the controller's own values."""
        with self.database.begin(Mode.WRITE) as connection:
            connection.execute(upsert(connection, schema.own_value), {"name": name, "value": value})

    def verify_audit(self) -> Iterator[str]:
        """Walk the events and yield a sentence for every one whose hash chain does not hold."""
        with self.database.begin(Mode.READ) as connection:
            yield from audit.broken(connection)

    def close(self) -> None:
        """Close every connection."""
        self.database.engine.dispose()

    @staticmethod
    def _put(tx: SqlWriter, table: Any, columns: dict[str, Any]) -> None:
        tx._connection.execute(upsert(tx._connection, table), columns)


def _until(expires: datetime | None) -> dict[str, str]:
    return {} if expires is None else {"expires": records.instant(expires)}
