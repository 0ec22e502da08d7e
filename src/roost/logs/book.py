"""What is under way: open messages, deliveries that wait for their other half, and what is to be written.

A message is *open* from its first line until the mail server has removed it and every home has told where it lies.
Two lines that belong together may come in either order, since each node has a file of its own:

* The MX says that the home took it, in the home's own words, which hold the home's session; the home says under that
  session where the mail lies. Whichever comes first waits for the other, for ``_PATIENCE``. Where the mailbox has
  just moved, the old home says in between under which session the new one has it.
* The spam filter's verdict names node and queue id.

Nothing here knows the form of a line, nor a file.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from roost.domain.trace import Fate
from roost.logs.counts import Counts
from roost.logs.line import DAY, clip, micros

_PATIENCE = 600_000_000
"""How long one half of a delivery waits for the other, in microseconds of the log's own time."""

_FORGOTTEN = 10 * DAY
"""A message of which nothing was heard for so long is gone. Mail servers give up after five days."""

_ABANDONED = 3_600_000_000
"""One that never got into the queue: its client went away before the end of the message."""

_SWEEP_EVERY = 60_000_000
_REFUSED = Fate.REFUSED.value
_KEY_BITS = 26


def key_of(at: int, text: str) -> tuple[int, int]:
    """Return the day and the key of a row that began at a time with a text: the same for the same line, always.

    Keys grow with time. A key is the microsecond of the day, then 26 bits of the text; the recipients of a message
    have consecutive ones.
    """
    day, micro = divmod(at, DAY)
    return day, micro << _KEY_BITS | crc32(text.encode()) & (1 << _KEY_BITS) - 1


def arrived(day: int, key: int) -> int:
    """Return the time in a key, in microseconds since the epoch."""
    return day * DAY + (key >> _KEY_BITS)


def first_key(micro: int) -> int:
    """Return the lowest key of a microsecond of a day."""
    return micro << _KEY_BITS


class Recipient:
    """One recipient of an open message; fields as in ``Passage``, times in microseconds.

    Fields stand in the class until they are known: most objects never have most of them, and there are many.
    """

    fate: str = Fate.ARRIVED.value
    home = ""
    ended = 0
    reply = ""
    attempts = 0
    action = ""
    folder = ""
    next_node = ""
    next_id = ""
    awaits = ""
    """The home's session, until the home has told where the mail lies."""

    changed = True

    def __init__(self, ordinal: int, personal: str, recipient: str) -> None:
        self.ordinal = ordinal
        self.personal = personal
        self.recipient = recipient


class Message:
    """One open message; fields as in ``Passage``."""

    client = ""
    address = ""
    helo = ""
    sender = ""
    message_id = ""
    size = 0
    verdict = ""
    score: float | None = None
    symbols = ""
    rcpts: tuple[str, ...] = ()
    """Recipients that the spam filter named, of a message that it refused after its end."""

    queued = False
    """Whether it got into the queue."""

    gone = False
    """Whether the mail server has removed it."""

    changed = False
    whole = True
    """Whether the rows of all its recipients are to be written."""

    kept = False
    """Whether it stands in the state on disk."""

    def __init__(self, node: str, queue_id: str, at: int) -> None:
        self.node = node
        self.queue_id = queue_id
        self.day, self.key = key_of(at, node + queue_id)
        self.heard = at
        self.recipients: dict[tuple[str, str], Recipient] = {}


@dataclass
class Landing:
    """What a home says of one delivery, before the MX says that it was taken."""

    at: int
    node: str
    action: str
    folder: str


@dataclass
class Book:
    """Everything that is under way, and the finished rows that are to be written."""

    messages: dict[str, dict[str, Message]] = field(default_factory=lambda: defaultdict(dict))
    """By node and queue id."""

    landings: dict[str, Landing] = field(default_factory=dict)
    passed: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Sessions at new homes: the session at the old home that passed the mail on, and when it said so."""

    awaited: dict[str, tuple[Message, Recipient]] = field(default_factory=dict)
    changed: list[Message] = field(default_factory=list)
    refusals: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """Day, key and fields of what was refused before it had a queue id."""

    logins: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)
    """Day, and the row of ``days.LOGIN``."""

    now: int = 0
    """The latest time that was read."""

    counts: Counts = field(default_factory=Counts)

    _swept: int = 0

    def message(self, node: str, queue_id: str, stamp: str) -> Message:
        """Return the open message, which is begun where there is none; it will be written."""
        found = self.messages[node].get(queue_id)
        if found is None:
            found = self.messages[node][queue_id] = Message(node, queue_id, micros(stamp))
        if not found.changed:
            found.changed = True
            self.changed.append(found)
        return found

    def told(
        self, message: Message, which: tuple[str, str], at: int, fate: str, *, home: str = "", reply: str = ""
    ) -> Recipient:
        """Note what became of one attempt to deliver to a recipient: where it leads, and as it was addressed."""
        found = message.recipients.get(which)
        if found is None:
            found = message.recipients[which] = Recipient(len(message.recipients), clip(which[0]), clip(which[1]))
        message.heard = at
        found.changed = True
        found.fate = fate
        found.home = home
        found.reply = clip(reply)
        found.ended = at
        found.attempts += 1
        if fate == _REFUSED:
            self.counts.refused(message.node, "message", reply, (at, message.queue_id))
        else:
            mark = at, message.queue_id, which
            micros = at - arrived(message.day, message.key)
            self.counts.attempt(message.node, home, reply, fate, mark=mark, micros=micros)
        return found

    def taken(self, message: Message, recipient: Recipient, session: str) -> None:
        """The home has taken it, under this session of its own."""
        landing = self.landings.pop(session, None)
        if landing is None:
            recipient.awaits = session
            self.awaited[session] = message, recipient
        else:
            _put(recipient, landing.node, landing.action, landing.folder)

    def passed_on(self, session: str, new: str, at: int) -> None:
        """The home of a mailbox that moved has passed on what came in a session; the new home calls it otherwise."""
        self.passed[new] = session, at
        landing = self.landings.pop(new, None)
        if landing is not None:
            self.landed(session, landing.node, at, landing.action, landing.folder)

    def landed(self, session: str, node: str, at: int, action: str, folder: str) -> None:
        """The home has done something with what came in a session."""
        if session in self.passed:
            session = self.passed[session][0]
        waiting = self.awaited.get(session)
        if waiting is not None:
            message, recipient = waiting
            _put(recipient, node, action, folder)
            recipient.changed = True
            # Sieve may have done more: until the next sweep, further lines are still joined.
            recipient.awaits = ""
            if not message.changed:
                message.changed = True
                self.changed.append(message)
            return
        landing = self.landings.get(session)
        if landing is None:
            self.landings[session] = Landing(at, node, action, folder)
        else:
            landing.action, landing.folder = f"{landing.action}, {action}", folder or landing.folder

    def refused(self, at: int, text: str, fields: dict[str, Any]) -> None:
        """Note a refusal; the line's text makes its key."""
        day, key = key_of(at, text)
        self.refusals.append((day, key, fields))
        self.counts.refused(fields["node"], "envelope", fields["reply"], (at, text))

    def judged(self, message: Message, action: str, score: float | None, symbols: str, stamp: str) -> None:
        """Note the spam filter's verdict on a message."""
        message.verdict, message.score, message.symbols = action, score, symbols
        message.whole = True
        self.counts.judged(message.node, action, (stamp, message.queue_id))

    def logged_in(self, at: int, node: str, login: tuple[str, str, str, bool, str]) -> None:
        """Note a login, or one that was refused: protocol, name, client's address, success, and why not."""
        protocol, user, address, ok, reason = login
        day, micro = divmod(at, DAY)
        mark = crc32(f"{node} {protocol} {address} {reason}".encode())
        self.logins.append((day, (user, micro, mark, node, protocol, address, ok, reason)))
        outcome = ("led-on" if reason else "accepted") if ok else "refused"
        self.counts.login(node, protocol, outcome, (at, mark, user))

    def gone(self, node: str, queue_id: str) -> None:
        """The mail server has removed a message."""
        message = self.messages[node].get(queue_id)
        if message is not None:
            message.gone = True
            if not message.changed:
                message.changed = True
                self.changed.append(message)

    def waits_for_nothing(self, message: Message) -> bool:
        """Say whether an open message may be closed."""
        return message.gone and not any(recipient.awaits for recipient in message.recipients.values())

    def sweep(self) -> list[Message]:
        """Give up what waits in vain; return the messages that are closed by it."""
        if self.now - self._swept < _SWEEP_EVERY:
            return []
        self._swept = self.now
        for session, landing in list(self.landings.items()):
            if landing.at < self.now - _PATIENCE:
                del self.landings[session]
        for session, (_, at) in list(self.passed.items()):
            if at < self.now - _PATIENCE:
                del self.passed[session]
        closed = []
        for session, (message, recipient) in list(self.awaited.items()):
            if not recipient.awaits or recipient.ended < self.now - _PATIENCE:
                del self.awaited[session]
                recipient.awaits = ""
                if self.waits_for_nothing(message):
                    closed.append(message)  # again perhaps, which does no harm
        for node in self.messages.values():
            for message in node.values():
                age = self.now - message.heard
                if age > _FORGOTTEN or (age > _ABANDONED and not message.queued and not message.recipients):
                    closed.append(message)
        return closed

    def close(self, message: Message) -> None:
        """Forget a message."""
        self.messages[message.node].pop(message.queue_id, None)


def _put(recipient: Recipient, node: str, action: str, folder: str) -> None:
    recipient.home = node
    recipient.action = f"{recipient.action}, {action}" if recipient.action else action
    recipient.folder = folder or recipient.folder
