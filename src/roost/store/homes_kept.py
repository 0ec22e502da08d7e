"""After a restore: where mailboxes are is no opinion of the store, so what it knew of their moves stays.

A backup says where each mailbox was. Where the mail is now depends on the moves that were made since, and these are
in the store that is replaced. So a mailbox that is in both, under the same number and address, and that was ever
moved, keeps its moves and its home of today; all else is as in the backup. A move or a home whose node the backup
does not know cannot stay: such a move ends, such a home is that of the backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from roost.domain.cluster import Domain, Mailbox, Policy
from roost.domain.move import Move, State
from roost.store import records, schema
from roost.store.engine import upsert
from roost.store.moves import rows_of
from roost.store.reader import CHUNK, SqlReader, chunks
from roost.store.rows import RowBook

_REASON = "The restored store does not know its nodes."


def keep_homes(today: Connection, connection: Connection, revision: int) -> int:
    """Bring moves and homes of ``today`` into the restored store; returns how many mailboxes that concerns.

    ``today`` is the store that was replaced; rows that change have the ``revision`` of the restore.
    """
    view, count = SqlReader(connection), 0
    cluster = view.cluster()
    kept = _Kept(
        connection,
        RowBook(connection),
        {node.name for node in cluster.nodes},
        {domain.name: domain for domain in cluster.domains},
        cluster.policy,
    )
    move = schema.move
    moved = today.execute(select(move.c.number).distinct()).scalars()
    open_then = connection.execute(select(move.c.number).where(schema.MOVE_IS_OPEN)).scalars()
    for numbers in chunks(sorted({*moved, *open_then})):
        then, now = _mailboxes(connection, numbers), _mailboxes(today, numbers)
        both = [number for number in numbers if _same(then.get(number), now.get(number))]
        kept.take(
            [then[n] for n in both], [now[n] for n in both], _moves(connection, both), _moves(today, both), revision
        )
        count += len(both)
    return count


class _Kept:
    """Writes into the restored store."""

    def __init__(
        self, connection: Connection, book: RowBook, nodes: set[str], domains: dict[str, Domain], policy: Policy
    ) -> None:
        self._connection = connection
        self._book = book
        self._nodes = nodes
        self._domains = domains
        self._policy = policy

    def take(
        self,
        then: Sequence[Mailbox],
        now: Sequence[Mailbox],
        moves_then: Iterable[Move],
        moves_now: Iterable[Move],
        revision: int,
    ) -> None:
        """Take the moves and homes of some mailboxes, the rows with them."""
        move, open_then = schema.move, {one.number: one for one in moves_then if one.open}
        kept = [self._possible(one) for one in moves_now]
        open_now = {one.number: one for one in kept if one.open}
        numbers = [mailbox.number for mailbox in then]
        self._connection.execute(move.delete().where(move.c.number.in_(numbers)))
        for some in chunks(map(records.move_columns, kept), CHUNK):
            self._connection.execute(upsert(self._connection, move), some)
        for before, today in zip(then, now, strict=True):
            after = before
            if today.home in self._nodes:
                after = replace(before, home=today.home, format=today.format)
            domain = self._domains[before.address.domain]
            self._book.change(
                revision,
                rows_of(before, domain, self._policy, open_then.get(before.number)),
                rows_of(after, domain, self._policy, open_now.get(before.number)),
            )
            self._settle(before, after)
        self._book.flush()

    def _possible(self, move: Move) -> Move:
        """Return a move as it can stay: without its nodes it is over."""
        if not move.open or {move.source, move.target} <= self._nodes:
            return move
        state = State.DONE if move.state is State.SETTLING else State.UNDONE
        return replace(move, state=state, reason=_REASON)

    def _settle(self, before: Mailbox, after: Mailbox) -> None:
        """Write a mailbox's home, and count it there."""
        if before == after:
            return
        mailbox, node = schema.mailbox, schema.node
        place = mailbox.update().where(mailbox.c.number == after.number)
        self._connection.execute(place.values(home=after.home, format=after.format))
        for name, by in ((before.home, -1), (after.home, 1)):
            more = node.c.mailboxes + by
            self._connection.execute(node.update().where(node.c.name == name).values(mailboxes=more))


def _same(then: Mailbox | None, now: Mailbox | None) -> bool:
    return then is not None and now is not None and then.address == now.address


def _mailboxes(connection: Connection, numbers: Sequence[int]) -> dict[int, Mailbox]:
    rows = connection.execute(select(schema.mailbox).where(schema.mailbox.c.number.in_(numbers))).mappings()
    return {row["number"]: records.mailbox_of(row) for row in rows}


def _moves(connection: Connection, numbers: Sequence[int]) -> list[Move]:
    rows = connection.execute(select(schema.move).where(schema.move.c.number.in_(numbers))).mappings()
    return [records.move_of(row) for row in rows]
