"""Tickets: how somebody who waited during a hold gets on without being asked for his password a second time.

The source's Dovecot asks him while he waits, mostly from its cache; to compute the hash anew on the target would be
half of the pause (Argon2id: 20 to 40 ms of a processor for each program that waits, or comes by an old answer of
DNS). So it hands on a word that the agent has made for this hold, in the place of the password. Both nodes take it
for this one mailbox, for a minute: the source, too, since a hold may be lifted. The query compares, not the Lua
script: what that says is cached, for longer than a minute.
"""

from __future__ import annotations

import hashlib
import sqlite3

from roost.domain.move import Order

_SECONDS = 60.0
"""Longer than a waiting room stays open after a hold."""

_ISSUE = "INSERT OR REPLACE INTO ticket SELECT ?, ?, now + ? FROM clock"
_EXPIRED = "DELETE FROM ticket WHERE until < (SELECT now FROM clock)"


def issue(connection: sqlite3.Connection, order: Order, word: str, hold_seconds: float = 0.0) -> None:
    """Have this node take a word for a mailbox until a minute after a hold; what is over is forgotten.

    No word, none is taken: the hash of nothing would let in whoever types nothing.
    """
    connection.execute(_EXPIRED)
    if not word:
        return
    connection.execute(_ISSUE, (order.number, hashlib.sha256(word.encode()).hexdigest(), hold_seconds + _SECONDS))
