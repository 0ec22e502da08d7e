"""What became of mail, as the inside asks it. Implemented by ``roost.logs`` on the node that has the log files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from roost.domain.trace import Found, Login, Question

SPAM_LOG = (
    "roost verdict=$is_spam scores=$scores queue=$qid ip=$ip action=<$action> symbols=[$symbols_scores] "
    "from=<$smtp_from> rcpts=<$smtp_rcpts> id=<$mid>"
)
"""``log_format`` of rspamd: what ``roost.logs`` reads. What a stranger chooses stands at the end, so that nothing in
it can pass for what stands before."""


class Traces(Protocol):
    """What the log files have told so far. Raises ``Unavailable`` where the answers cannot be had now."""

    def trace(self, question: Question) -> Found:
        """Return the newest passages that a question asks for."""

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        """Return the newest logins under any of these names, in the order of time."""
