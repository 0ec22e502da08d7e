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

_ADDRESSES = re.compile(rf"to=<({ADDRESS})>, (?:orig_to=<({ADDRESS})>, )?relay=")
_QUEUED = re.compile(rf"from=<({ADDRESS})>, size=(\d+), nrcpt=\d+ \(queue active\)")
_REFUSAL = re.compile(r"(MAIL|RCPT|DATA|BDAT|END-OF-MESSAGE) from ([^ \[\]]*)\[([^\]]*)\](?::\d+)?: (.*)")
_ORIGIN = re.compile(rf"; from=<({ADDRESS})>(?:,? to=<({ADDRESS})>)?,? proto=\S+ helo=<(.*)>")
_QUEUED_AS = re.compile(r"250 2\.0\.0 (?:Ok: queued as (\w+)|(\w+) Message accepted for delivery)")
_EXPIRED = re.compile(rf"from=<({ADDRESS})>, status=(?:force-)?expired, returned to sender")
_NO_QUEUE = frozenset({"NOQUEUE", "warning", "error", "fatal", "panic", "info", "statistics"})
_DELIVERED, _WAITING, _BOUNCED = Fate.DELIVERED.value, Fate.WAITING.value, Fate.BOUNCED.value
_REFUSED, _HANDED_ON = Fate.REFUSED.value, Fate.HANDED_ON.value
_FATES = {"deferred": _WAITING, "bounced": _BOUNCED, "expired": _BOUNCED}


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
                message = self._book.message(node, queue_id, stamp)
                message.client, message.address = name, tail.partition("]")[0]
                message.whole = True
        elif rest.startswith(("reject: ", "milter-reject: ")):
            self._refused(stamp, node, queue_id, rest)

    def cleanup(self, stamp: str, node: str, text: str) -> None:
        """A message has its id; or the spam filter has refused it after its end."""
        queue_id, _, rest = text.partition(": ")
        if rest.startswith("message-id="):
            if queue_id.isalnum():
                message = self._book.message(node, queue_id, stamp)
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
                message = self._book.message(node, queue_id, stamp)
                # It says so again at each attempt.
                if not message.queued or message.size != int(size):
                    message.sender, message.size, message.queued = clip(sender), int(size), True
                    message.whole = True
            elif _EXPIRED.fullmatch(rest):
                message = self._book.message(node, queue_id, stamp)
                for recipient in message.recipients.values():
                    if recipient.fate == _WAITING:
                        recipient.fate, recipient.ended, recipient.changed = _BOUNCED, micros(stamp), True

    def lmtp(self, stamp: str, node: str, text: str) -> None:
        """A home has taken a message, or has not."""
        self._attempt(stamp, node, text, _DELIVERED)

    def smtp(self, stamp: str, node: str, text: str) -> None:
        """Another server has taken a message, or has not."""
        self._attempt(stamp, node, text, _HANDED_ON)

    def agent(self, stamp: str, node: str, text: str) -> None:
        """A program on the MX itself has ended a message's way, or says why it waits."""
        self._attempt(stamp, node, text, _DELIVERED)

    def _attempt(self, stamp: str, node: str, text: str, sent: str) -> None:
        queue_id, _, rest = text.partition(": ")
        found = _delivery(rest)
        if found is None or not queue_id.isalnum():
            return
        which, relay, status, reply = found
        message = self._book.message(node, queue_id, stamp)
        fate = sent if status == "sent" else _FATES.get(status, _WAITING)
        told = self._book.told(message, which, micros(stamp), fate, home=relay, reply=reply)
        if fate == _DELIVERED:
            session = reply[:-6].rpartition(" ")[2] if reply.endswith(" Saved") else ""
            # A home that says no session ends with "250 2.0.0 Saved".
            if len(session) > 8:
                told.reply = f"250 2.0.0 {session} Saved"
                self._book.taken(message, told, session)
        elif fate == _HANDED_ON and (queued := _QUEUED_AS.fullmatch(reply)):
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
            "fate": _REFUSED,
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
        if not message.changed:
            message.changed = True
            self._book.changed.append(message)
        message.sender, message.helo = str(fields["sender"]), str(fields["helo"])
        for recipient in message.rcpts or (str(fields["recipient"]),):
            told = self._book.told(message, (recipient, recipient), at, _REFUSED, reply=str(fields["reply"]))
            told.attempts = 0
        message.whole = message.gone = True


def _delivery(rest: str) -> tuple[tuple[str, str], str, str, str] | None:
    """Return addresses, relay, status and words of an attempt to deliver; None where it is something else.

    It is the most frequent long line, so an ordinary one is cut at its fixed words, one after the other: up to the
    words in the end, nothing but the two addresses comes from outside. Where an address could hold such words, the
    grammar decides where it ends.
    """
    if not rest.startswith("to=<") or not rest.endswith(")"):
        return None
    end = rest.find(">, ", 4)
    personal = recipient = rest[4:end]
    begin = end + 3
    if rest.startswith("orig_to=<", begin):
        end = rest.find(">, ", begin)
        recipient = rest[begin + 9 : end]
        begin = end + 3
    if '"' in personal or "[" in personal or '"' in recipient or "[" in recipient or "<" in personal + recipient:
        found = _ADDRESSES.match(rest)
        if found is None:
            return None
        personal, recipient = found[1], found[2] or found[1]
        begin = found.end() - 6
    if end < 0 or not rest.startswith("relay=", begin):
        return None
    said, _, reply = rest[begin + 6 : -1].partition(" (")
    fields = said.split(", ")
    if " " in said.replace(", ", "") or not fields[-1].startswith("status="):
        return None
    return (personal, recipient), fields[0].partition("[")[0], fields[-1][7:], reply


def bare(message_id: str) -> str:
    """Return a message-id without its angle brackets."""
    text = message_id.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text
