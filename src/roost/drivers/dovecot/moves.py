"""The table ``moves``: what this node is to do in moves of mailboxes. A ``TableStore`` in the file of the accounts.

A row is kept as the controller gave it. With an order that goes, what stood beside it goes too: the state of the
copying, and the note that a mailbox was given away, once the account says the same or is gone. That note is what
keeps the mailbox closed here, so it is never struck off because a table was emptied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from roost.domain.desired import Table, Value
from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot.database import Database, advance, is_damage
from roost.ports.driver import Batch

_SETTLED = """
DELETE FROM standing WHERE stand = 'moved' AND move NOT IN (SELECT move FROM orders)
AND number NOT IN (SELECT number FROM account WHERE place = 'home')
"""


class Moves:
    """Implements ``TableStore`` for ``Table.MOVES``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def table(self) -> Table:
        """Return ``moves``."""
        return Table.MOVES

    def position(self) -> int:
        """Return the revision; 0 for a file that is new, damaged or lacks a table."""
        self._database.prepare()
        try:
            with self._database.read() as connection:
                connection.execute("SELECT 1 FROM orders, standing, incoming, ticket, peer WHERE 0").fetchone()
                found = connection.execute("SELECT revision FROM position WHERE of = 'moves'").fetchone()
        except DaemonFailed as error:
            if is_damage(error.__cause__):
                return 0
            raise
        return int(found[0]) if found and isinstance(found[0], int) else 0

    def apply(self, batch: Batch) -> None:
        """Make the rows so, with the position. Raises ``DaemonFailed``."""
        with self._database.write() as connection:
            if batch.since is not None:
                advance(connection, self.table, batch.since, batch.upto)
            for key, value in batch.rows:
                if value is None:
                    _remove(connection, key)
                    continue
                try:
                    move = Order.of_row(key, value).move
                except (ValueError, KeyError) as error:
                    raise DaemonFailed(f"The order {key!r} cannot be taken: {error}.") from error
                connection.execute("INSERT OR REPLACE INTO orders VALUES (?, ?)", (move, json.dumps(value)))

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every order; one that is none any more under a key that begins with ``!``."""
        with self._database.read() as connection:
            for move, text in connection.execute("SELECT move, value FROM orders"):
                try:
                    value = json.loads(text)
                    Order.of_row(str(move), value)
                except (ValueError, KeyError, TypeError):
                    yield f"!order/{move}", {"value": str(text)}
                else:
                    yield str(move), value

    def orders(self) -> list[Order]:
        """Return the orders that can be read."""
        return [Order.of_row(key, value) for key, value in self.rows() if not key.startswith("!")]

    def complete(self) -> None:
        """Strike off what was given away and has been settled while the table was not there. ``DaemonFailed``."""
        with self._database.write() as connection:
            connection.execute(_SETTLED)

    def clear(self) -> None:
        """Empty it; what is held or was given away stays so. Raises ``DaemonFailed``."""
        try:
            with self._database.write() as connection:
                connection.execute("DELETE FROM orders")
                connection.execute("INSERT OR REPLACE INTO position VALUES ('moves', 0)")
        except DaemonFailed as error:
            if not is_damage(error.__cause__):
                raise
            self._database.rebuild()


def _remove(connection: sqlite3.Connection, key: str) -> None:
    move = key.rpartition("/")[2]
    connection.execute("DELETE FROM orders WHERE move = ?", (move,))
    connection.execute("DELETE FROM incoming WHERE move = ?", (move,))
    connection.execute(f"{_SETTLED} AND move = ?", (move,))
