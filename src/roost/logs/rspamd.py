"""Lines of rspamd in the form of ``roost.ports.traces.SPAM_LOG``: the verdict on one message.

::

    <c2a5e1>; task; rspamd_task_write_log: roost verdict=F scores=1.20/15.00 queue=QUEUE ip=ADDRESS
        action=<add header> symbols=[NAME(0.10),…] from=<…> rcpts=<…> id=<…>

rspamd escapes nothing. So sender, recipients and message-id stand at the end, and only the recipients are used: those
of a message that is rejected, of which the MX names one only, and where the whole end can be read in one way.
"""

from __future__ import annotations

import re

from roost.logs.book import Book
from roost.logs.line import clip
from roost.ports.traces import SPAM_LOG

LOG_FORMAT = SPAM_LOG

_VERDICT = re.compile(
    r"(?:\([\w ]+\) )?<\w*>; \w+; rspamd_task_write_log: "
    r"roost verdict=\w* scores=(-?[\d.]+|nan)/(?:-?[\d.]+|nan) queue=(\w+) ip=[0-9A-Fa-f.:]* action=<([\w ]*)> "
    r"symbols=\[([^\]<>]*)\] from=<(.*)"
)
_RECIPIENTS = re.compile(r"[^<>\"]*> rcpts=<([^<>\"]*)> id=<.*")
_NO_QUEUE = "undef"


class Rspamd:
    """Writes into a book what rspamd says."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def rspamd(self, stamp: str, node: str, text: str) -> None:
        """Read the text of one line."""
        found = _VERDICT.fullmatch(text)
        if found is None:
            return
        score, queue_id, action, symbols, rest = found.groups()
        if queue_id == _NO_QUEUE:
            return
        message = self._book.message(node, queue_id, stamp)
        points = None if score == "nan" else float(score)
        self._book.judged(message, action, points, clip(symbols), stamp)
        # A message-id may repeat all of it; the first is the true one, as no bracket can stand before it.
        if action.endswith("reject") and (recipients := _RECIPIENTS.fullmatch(rest)):
            message.rcpts = tuple(filter(None, recipients[1].split(",")))[:1000]
