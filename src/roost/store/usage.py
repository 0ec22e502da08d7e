"""What mailboxes are used and what nodes do: tables that change all the time, without revisions, and go to no node.

A row is replaced in its place, so the tables grow with the mailboxes and the nodes only. Rates are kept as the codes
in which they came (``roost.domain.usage``): 12 small columns, so that ten million rows are read in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, delete, select

from roost.domain.node_load import NODE_LOAD, NodeLoad
from roost.domain.usage import Counts, Load, Size
from roost.store import schema
from roost.store.engine import upsert

_CHUNK = 1000
_HOUR = tuple(f"hour_{name}" for name in Counts._fields)
_WEEK = tuple(f"week_{name}" for name in Counts._fields)


def load_of(row: Any) -> Load:
    """Return a load from its columns."""
    size = None if row["bytes"] is None else Size(row["bytes"], row["messages"])
    hour, week = tuple(row[name] for name in _HOUR), tuple(row[name] for name in _WEEK)
    return Load(row["number"], row["since"], row["at"], hour, week, size, row["pattern"])


def columns_of(load: Load, node: str) -> dict[str, Any]:
    """Return the columns of a load."""
    return {
        "number": load.number,
        "node": node,
        "since": load.since,
        "at": load.at,
        **dict(zip(_HOUR, load.hour, strict=True)),
        **dict(zip(_WEEK, load.week, strict=True)),
        "bytes": load.size.bytes if load.size else None,
        "messages": load.size.messages if load.size else None,
        "pattern": load.pattern,
    }


def at_home(connection: Connection, node: str, numbers: Iterable[int]) -> set[int]:
    """Return those of the mailboxes whose home a node is."""
    mailbox, found = schema.mailbox.c, set[int]()
    for some in _chunks(numbers):
        statement = select(mailbox.number).where(mailbox.number.in_(some), mailbox.home == node)
        found.update(connection.execute(statement).scalars())
    return found


def known(connection: Connection, numbers: Iterable[int]) -> dict[int, Load]:
    """Return what is known of mailboxes."""
    table, found = schema.mailbox_load, {}
    for some in _chunks(numbers):
        for row in connection.execute(select(table).where(table.c.number.in_(some))).mappings():
            found[row["number"]] = load_of(row)
    return found


def put(connection: Connection, node: str, loads: Sequence[Load]) -> None:
    """Replace what is known of mailboxes."""
    if loads:
        rows = [columns_of(load, node) for load in sorted(loads)]
        connection.execute(upsert(connection, schema.mailbox_load), rows)


def put_minute(connection: Connection, node: str, at: int, load: NodeLoad, forget: int) -> None:
    """Keep a minute of a node, and forget those before ``forget`` (minutes, UNIX)."""
    table = schema.node_load
    connection.execute(delete(table).where(table.c.node == node, table.c.at < forget))
    connection.execute(upsert(connection, table), {"node": node, "at": at, **vars(load)})


def minutes(connection: Connection, node: str, since: int) -> list[tuple[int, NodeLoad]]:
    """Return a node's minutes since a time, the oldest first."""
    table = schema.node_load
    statement = select(table).where(table.c.node == node, table.c.at >= since).order_by(table.c.at)
    return [
        (row["at"], NodeLoad(**{name: row[name] for name in NODE_LOAD}))
        for row in connection.execute(statement).mappings()
    ]


def rows(connection: Connection, chunk: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Yield all loads with their mailboxes' homes, as plain rows in chunks; see ``Reader.load_rows``."""
    load, mailbox = schema.mailbox_load.c, schema.mailbox.c
    columns = [load[name] for name in ("since", "at", *_HOUR, *_WEEK, "bytes", "messages", "pattern")]
    statement = (
        select(mailbox.number, mailbox.home, *(mailbox[tie] for tie in schema.TIES), *columns)
        .select_from(schema.mailbox.outerjoin(schema.mailbox_load, mailbox.number == load.number))
        .order_by(mailbox.number)
    )
    with connection.execute(statement.execution_options(yield_per=chunk)) as found:
        for part in found.partitions():
            yield [tuple(row) for row in part]


def _chunks(numbers: Iterable[int]) -> Iterator[Collection[int]]:
    waiting = iter(numbers)
    while some := list(islice(waiting, _CHUNK)):
        yield some
