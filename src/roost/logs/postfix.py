"""Lines of Postfix 3.7 and 3.10: one method for each of its programs that says something about a message.

::

    smtpd    QUEUE: client=HOST[ADDRESS]
             QUEUE|NOQUEUE: reject: STAGE from HOST[ADDRESS]: REPLY; from=<…> to=<…> proto=… helo=<…>
    cleanup  QUEUE: message-id=…        and the same for milter-reject
    qmgr     QUEUE: from=<…>, size=…, nrcpt=… (queue active)        QUEUE: removed
             QUEUE: from=<…>, status=expired, returned to sender
    lmtp, smtp, error, …
             QUEUE: to=<…>, orig_to=<…>, relay=HOST[ADDRESS]:PORT, …, dsn=…, status=STATUS (WORDS)

What a stranger chooses: names between angle brackets, message-ids, words of servers outside, and what of those our
own replies repeat. Where the beginning of a refusal's end, ``; from=<``, stands in a line more than once, nobody can
say which one Postfix wrote: such a refusal is kept without its addresses.
"""

from __future__ import annotations

import re

from roost.domain.trace import Fate
from roost.logs.book import Book, Message
from roost.logs.line import ADDRESS, clip, micros

_DELIVERY = re.compile(
    rf"to=<({ADDRESS})>, (?:orig_to=<({ADDRESS})>, )?relay=([^ ,\[]+)[^ ,]*(?:, [a-z_]+=[^ ,]+)*, "
    r"status=([a-z-]+) \((.*)\)"
)
_QUEUED = re.compile(rf"from=<({ADDRESS})>, size=(\d+), nrcpt=\d+ \(queue active\)")
_REFUSAL = re.compile(r"(MAIL|RCPT|DATA|BDAT|END-OF-MESSAGE) from ([^ \[\]]*)\[([^\]]*)\](?::\d+)?: (.*)")
_ORIGIN = re.compile(rf"; from=<({ADDRESS})>(?:,? to=<({ADDRESS})>)?,? proto=\S+ helo=<(.*)>")
_QUEUED_AS = re.compile(r"250 2\.0\.0 (?:Ok: queued as (\w+)|(\w+) Message accepted for delivery)")
_EXPIRED = re.compile(rf"from=<({ADDRESS})>, status=(?:force-)?expired, returned to sender")
_NO_QUEUE = frozenset({"NOQUEUE", "warning", "error", "fatal", "panic", "info", "statistics"})
_FATES = {"deferred": Fate.WAITING, "bounced": Fate.BOUNCED, "expired": Fate.BOUNCED}


class Postfix:
    """Writes into a book what Postfix's programs say. Each method takes stamp, node and text of a line."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.programs = {
            "smtpd": self.smtpd,
            "cleanup": self.cleanup,
            "qmgr": self.qmgr,
            "lmtp": self.lmtp,
            "smtp": self.smtp,
            "relay": self.smtp,
            "postscreen": self.smtpd,
            **dict.fromkeys(("error", "local", "virtual", "pipe", "discard", "bounce"), self.agent),
        }

    def smtpd(self, stamp: str, node: str, text: str) -> None:
        """A message begins, or is refused."""
        queue_id, _, rest = text.partition(": ")
        if rest.startswith("client="):
            name, _, tail = rest[7:].partition("[")
            if queue_id.isalnum() and queue_id not in _NO_QUEUE:
                message = self._book.message(node, queue_id, micros(stamp))
                message.client, message.address = name, tail.partition("]")[0]
                message.whole = True
        elif rest.startswith(("reject: ", "milter-reject: ")):
            self._refused(stamp, node, queue_id, rest)

    def cleanup(self, stamp: str, node: str, text: str) -> None:
        """A message has its id; or the spam filter has refused it after its end."""
        queue_id, _, rest = text.partition(": ")
        if rest.startswith("message-id="):
            if queue_id.isalnum():
                message = self._book.message(node, queue_id, micros(stamp))
                message.message_id = clip(bare(rest[11:]))
                message.whole = True
        elif rest.startswith("milter-reject: "):
            self._refused(stamp, node, queue_id, rest)

    def qmgr(self, stamp: str, node: str, text: str) -> None:
        """A message is in the queue, has left it, or was given up."""
        queue_id, _, rest = text.partition(": ")
        if rest == "removed":
            self._book.gone(node, queue_id)
        elif rest.startswith("from=<") and queue_id.isalnum():
            if found := _QUEUED.fullmatch(rest):
                sender, size = found.groups()
                message = self._book.message(node, queue_id, micros(stamp))
                # It says so again at each attempt.
                if not message.queued or message.size != int(size):
                    message.sender, message.size, message.queued = clip(sender), int(size), True
                    message.whole = True
            elif _EXPIRED.fullmatch(rest):
                at = micros(stamp)
                message = self._book.message(node, queue_id, at)
                for recipient in message.recipients.values():
                    if recipient.fate == Fate.WAITING:
                        recipient.fate, recipient.ended, recipient.changed = Fate.BOUNCED, at, True

    def lmtp(self, stamp: str, node: str, text: str) -> None:
        """A home has taken a message, or has not."""
        queue_id, _, rest = text.partition(": ")
        found = _DELIVERY.fullmatch(rest) if rest.startswith("to=<") else None
        if found is None or not queue_id.isalnum():
            return
        personal, recipient, home, status, reply = found.groups()
        at = micros(stamp)
        message = self._book.message(node, queue_id, at)
        fate = Fate.DELIVERED if status == "sent" else _FATES.get(status, Fate.WAITING)
        told = self._book.told(message, (personal, recipient or personal), at, fate, home=home, reply=reply)
        if fate is Fate.DELIVERED and reply.endswith(" Saved"):
            session = reply[:-6].rpartition(" ")[2]
            # A home that says no session ends with "250 2.0.0 Saved".
            if len(session) > 8:
                self._book.taken(message, told, session)

    def smtp(self, stamp: str, node: str, text: str) -> None:
        """Another server has taken a message, or has not."""
        self._attempt(stamp, node, text, Fate.HANDED_ON)

    def agent(self, stamp: str, node: str, text: str) -> None:
        """A program on the MX itself has ended a message's way, or says why it waits."""
        self._attempt(stamp, node, text, Fate.DELIVERED)

    def _attempt(self, stamp: str, node: str, text: str, sent: Fate) -> None:
        queue_id, _, rest = text.partition(": ")
        found = _DELIVERY.fullmatch(rest) if rest.startswith("to=<") else None
        if found is None or not queue_id.isalnum():
            return
        personal, recipient, relay, status, reply = found.groups()
        at = micros(stamp)
        message = self._book.message(node, queue_id, at)
        fate = sent if status == "sent" else _FATES.get(status, Fate.WAITING)
        told = self._book.told(message, (personal, recipient or personal), at, fate, home=relay, reply=reply)
        if fate is Fate.HANDED_ON and (queued := _QUEUED_AS.fullmatch(reply)):
            told.next_node, told.next_id = relay, queued[1] or queued[2]

    def _refused(self, stamp: str, node: str, queue_id: str, rest: str) -> None:
        found = _REFUSAL.fullmatch(rest.partition(": ")[2])
        if found is None or not queue_id.isalnum():
            return
        stage, client, address, words = found.groups()
        origin = _ORIGIN.search(words) if words.count("; from=<") == 1 else None
        if origin is not None and origin.end() != len(words):
            origin = None
        sender, recipient, helo = origin.groups() if origin else ("", "", "")
        reply = words[: origin.start()] if origin else words
        at = micros(stamp)
        message = self._book.messages[node].get(queue_id) if queue_id != "NOQUEUE" else None
        fields = {
            "node": node,
            "queue_id": "" if queue_id == "NOQUEUE" else queue_id,
            "fate": Fate.REFUSED,
            "recipient": clip(recipient or ""),
            "sender": clip(sender),
            "client": client,
            "address": address,
            "helo": clip(helo),
            "ended": at,
            "reply": clip(reply),
        }
        if message is not None and stage in {"DATA", "BDAT", "END-OF-MESSAGE"}:
            self._refuse_all(message, at, fields)
        else:
            self._book.refused(at, f"{node} {queue_id} {rest}", fields)

    def _refuse_all(self, message: Message, at: int, fields: dict[str, object]) -> None:
        """The whole message was refused: there will be no other line about it."""
        message = self._book.message(message.node, message.queue_id, at)
        message.sender, message.helo = str(fields["sender"]), str(fields["helo"])
        for recipient in message.rcpts or (str(fields["recipient"]),):
            told = self._book.told(message, (recipient, recipient), at, Fate.REFUSED, reply=str(fields["reply"]))
            told.attempts = 0
        message.whole = message.gone = True


def bare(message_id: str) -> str:
    """Return a message-id without its angle brackets."""
    text = message_id.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text
