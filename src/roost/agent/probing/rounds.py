"""One round: everything at the same time, within bounds.

Storage nodes are tried a few at a time: the messages for all of them go to every MX in one session each, and a reader
for each waits for what arrives, so that a delay is that of the message and not of a queue of ours. Every step has an
end; the longest round is about a minute for each ``AT_ONCE`` storage nodes of which none answers.
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from roost.agent.probing import asking, reading, sending
from roost.agent.probing.reading import Failed
from roost.agent.probing.sending import Message, Sent
from roost.domain.probe import Box, Door, Login, Mail, NamedBox, Round, Seen, Server, Stage, Task

AT_ONCE = 16
"""Storage nodes that are tried at the same time."""

_SENDERS = 16

_AGAIN_SECONDS = 600.0
"""After so long a message that has not come counts as lost, and another is sent."""

Owed = dict[tuple[str, str], tuple[Message, Sent]]
"""By MX and storage node: what the MX has taken and what had not come when the last round ended.

While one is on its way, another would tell nothing new and would wait with it: a long outage must not fill queues.
"""


@dataclass(frozen=True)
class Ways:
    """Ports, time-outs in seconds, and whom to trust. The defaults are production; tests have their own."""

    trust: ssl.SSLContext
    helo: str
    smtp: int = 25
    imaps: int = 993
    pop3s: int = 995
    dns: int = 53
    answer: float = 8.0
    """For each answer of a server."""

    dns_answer: float = 3.0
    arrival: float = 20.0
    """From the acceptance of a message until it must be there."""

    look: float = 0.1
    """From one look into a mailbox to the next."""


@dataclass
class _Post:
    """The messages of one batch on their way: a sender notes what became of each, the readers wait for them."""

    messages: dict[tuple[str, str], Message]
    """By MX and storage node."""

    sent: dict[str, Sent] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def note(self, found: dict[str, Sent]) -> None:
        """Take down what became of some."""
        with self.news:
            self.sent.update(found)
            self.news.notify_all()

    def awaited(self, tokens: Sequence[str], here: dict[str, float], seconds: float) -> bool:
        """Say whether one of them may still arrive: it is being sent, or was taken not too long ago."""
        now = time.monotonic()
        with self.news:
            for token in tokens:
                sent = self.sent.get(token)
                if token not in here and (sent is None or (sent.seen.ok and now - sent.at < seconds)):
                    return True
        return False

    def pause(self, seconds: float) -> None:
        """Wait a moment, or until something was sent."""
        with self.news:
            self.news.wait(seconds)


def run(task: Task, ways: Ways, began: datetime, owed: Owed | None = None) -> Round:
    """Do a round; ``owed`` is kept from one to the next."""
    start = time.monotonic()
    owed = {} if owed is None else owed
    for pair in [pair for pair, (_, sent) in owed.items() if start - sent.at > _AGAIN_SECONDS]:
        del owed[pair]
    mails: list[Mail] = []
    logins: list[Login] = []
    doors: list[Door] = []
    gone: dict[str, Seen] = {}
    with ThreadPoolExecutor(_SENDERS, "probe mail") as senders, ThreadPoolExecutor(AT_ONCE, "probe login") as readers:
        for first in range(0, len(task.boxes), AT_ONCE):
            boxes = task.boxes[first : first + AT_ONCE]
            post, older = _posted(task.mx, boxes, owed)
            sending_to = [senders.submit(_send, mx, boxes, post, ways, gone) for mx in task.mx]
            reading_at = [readers.submit(_read, box, task, post, ways) for box in boxes]
            for box, future in zip(boxes, reading_at, strict=True):
                here, found, tried = future.result()
                doors += found
                logins += tried
                _wait(sending_to)
                lost = Seen(Stage.MISSING, f"it is not there after {ways.arrival:.0f} s")
                unread = lost if found[0].seen.ok else Seen(Stage.UNSEEN)
                for mx in task.mx:
                    pair = (mx.name, box.store)
                    message, sent = post.messages[pair], post.sent[post.messages[pair].token]
                    if sent.seen.ok and message.token not in here:
                        owed[pair] = (message, sent)
                    # Of one that came after all, its own time is long over; the next round measures again.
                    came_late = pair in older and message.token in here
                    seen = Seen(Stage.UNSEEN) if came_late else _fate(sent, message.token, here, unread)
                    mails.append(Mail(mx.name, box.store, seen))
    return Round(
        number=task.asked,
        began=began,
        seconds=time.monotonic() - start,
        mails=tuple(mails),
        logins=tuple(logins),
        doors=tuple(doors),
        boxes=tuple(NamedBox(box.store, box.mailbox, box.hostname) for box in task.boxes),
        backups=tuple(mx.name for mx in task.mx if mx.backup),
    )


def _posted(hosts: Sequence[Server], boxes: Sequence[Box], owed: Owed) -> tuple[_Post, set[tuple[str, str]]]:
    """Return the messages of a batch: those that are owed, which leave ``owed``, and new ones for all other ways.

    Which ones are older is said beside it.
    """
    post, older = _Post({}), set()
    for mx in hosts:
        for box in boxes:
            pair = (mx.name, box.store)
            message, sent = owed.pop(pair, (None, None))
            # After a renewal of the test mailboxes the old one is gone, with what is on its way to it.
            if message is not None and sent is not None and message.mailbox == box.mailbox:
                post.note({message.token: sent})
                older.add(pair)
            else:
                message = Message(box.mailbox, _token())
            post.messages[pair] = message
    return post, older


def _token() -> str:
    return secrets.token_hex(16)


def _wait(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()


def _send(mx: Server, boxes: Sequence[Box], post: _Post, ways: Ways, gone: dict[str, Seen]) -> None:
    """Bring an MX the messages of a batch; one that did not answer for the last batch is not waited for again."""
    messages = [post.messages[mx.name, box.store] for box in boxes]
    messages = [message for message in messages if message.token not in post.sent]
    if not messages:
        return
    # What a fault of ours leaves open is not waited for.
    found = {message.token: Sent(gone.get(mx.name, Seen(Stage.UNSEEN))) for message in messages}
    try:
        if mx.name not in gone:
            found |= sending.send(mx.address, ways.smtp, ways.helo, messages, ways.answer)
            if all(sent.seen.stage is Stage.CONNECT for sent in found.values()):
                gone[mx.name] = next(iter(found.values())).seen
    finally:
        post.note(found)


def _read(
    box: Box, task: Task, post: _Post, ways: Ways
) -> tuple[dict[str, float], tuple[Door, ...], tuple[Login, ...]]:
    """At one storage node: log in, wait for the messages, then try all other ways to log in.

    Returns when each message was seen (monotonic), and what was tried.
    """
    here: dict[str, float] = {}
    tokens = [message.token for (_, store), message in post.messages.items() if store == box.store]
    began = time.monotonic()
    try:
        with reading.session(box, ways.imaps, ways.trust, ways.answer) as session:
            imap = Seen(Stage.OK, seconds=time.monotonic() - began)
            while True:
                waiting = post.awaited(tokens, here, ways.arrival)
                arrived = session.arrived()
                here.update(dict.fromkeys(arrived, time.monotonic()))
                if not waiting:
                    break
                if not set(tokens) <= set(here):
                    post.pause(ways.look)
            session.clean()
    except Failed as failed:
        imap = failed.seen
    doors = [Door(box.store, "imap", imap)]
    # Where nobody is let in, each further try would take as long, to say the same.
    pop3 = reading.by_pop3(box, ways.pop3s, ways.trust, ways.answer) if imap.ok else Seen(Stage.UNSEEN)
    doors.append(Door(box.store, "pop3", pop3))
    logins = [Login(dns.name, box.store, _by_name(dns, box, ways, open=imap.ok)) for dns in task.dns]
    return here, tuple(doors), tuple(logins)


def _by_name(dns: Server, box: Box, ways: Ways, *, open: bool) -> Seen:
    """Ask one DNS server and log in where it leads: the right answer is the address that is known.

    ``open``: the home lets the prober in.
    """
    answer = asking.ask(dns, ways.dns, box, ways.dns_answer)
    if not answer.ok:
        return answer
    if not open:
        return Seen(Stage.UNSEEN)
    login = reading.by_imap(box, ways.imaps, ways.trust, ways.answer)
    return Seen(login.stage, login.words, answer.seconds + login.seconds) if login.ok else login


def _fate(sent: Sent, token: str, here: dict[str, float], unread: Seen) -> Seen:
    """Return what became of one message; ``unread`` is what can be said of one that was taken and is not there."""
    if not sent.seen.ok:
        return sent.seen
    if token in here:
        # It may have been seen before the MX had said that it has it.
        return Seen(Stage.OK, seconds=max(0.0, here[token] - sent.at))
    return unread
