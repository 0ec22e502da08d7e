"""What a lost accounts file leaves behind: fences of which no row knows. The marks on the disk say what they mean.

A file that was damaged, or is of another version, is begun anew and filled by the feed; but what this node itself
has written into ``standing`` no feed brings back. A mailbox that was only held is opened again. One that this node
gave away stays so, with its proof, if there is still an order for the move: then the controller may not know yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot import fence
from roost.drivers.dovecot.copying import mark_of
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.layout import Layout

_HERE = """
SELECT account.number, address, home FROM account
WHERE place = 'home' AND number NOT IN (SELECT number FROM standing) AND number = ? AND home = ?
"""
_GIVEN = """
INSERT INTO standing (move, number, address, home, peer, stand, until, fenced, imap, pop3, lmtp, sieve, evidence)
VALUES (?, ?, ?, ?, ?, 'moved', 0, 1, 0, 0, 0, 0, ?)
"""
_log = structlog.get_logger()


def find_again(database: Database, layout: Layout, orders: Iterable[Order]) -> None:
    """Put right every fence before a mailbox that is at home here by all rows. Raises ``DaemonFailed`` for the first
    that cannot be, after the others."""
    by_move = {order.move: order for order in orders}
    failed: list[DaemonFailed] = []
    for home in _fenced(Path(layout.mail)):
        with database.read() as connection:
            found = connection.execute(_HERE, (home.rpartition(".")[2], home)).fetchone()
        if found is None:
            # A copy that is kept, or one of which a row knows.
            continue
        number, address, _ = found
        mark = mark_of(fence.moving(Path(layout.mail) / home))
        if mark is None or not mark.evidence:
            _log.warning("a mailbox was held, and the accounts were lost: it is opened again", address=address)
            try:
                fence.open_again(layout, home)
            except DaemonFailed as error:
                failed.append(error)
        elif order := by_move.get(mark.move):
            _log.warning("a mailbox was given away, and the accounts were lost", address=address, move=mark.move)
            with database.write() as connection:
                connection.execute(_GIVEN, (mark.move, number, address, home, order.peer, mark.evidence))
        else:
            _log.error("a mailbox was given away by a move that is over: somebody must look", address=address)
    if failed:
        raise failed[0]


def _fenced(mail: Path) -> Iterator[str]:
    """Yield the homes, relative to all mail, that have a fence in their place and the mail beside it."""
    for apart in mail.glob(f"*/*{fence.MOVING}"):
        home = apart.with_name(apart.name.removesuffix(fence.MOVING))
        if not fence.is_fence(apart) and (fence.is_fence(home) or not home.exists()):
            yield f"{home.parent.name}/{home.name}"
