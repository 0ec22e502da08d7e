"""Lines of sendmail 8.15 to 8.18, where it is the MX: its programs ``sendmail`` and ``sm-mta``.

::

    QUEUE: from=<…>, size=…, …, nrcpts=…, msgid=…, proto=…, …, relay=HOST [ADDRESS]
    QUEUE: to=<…>[,<…>…], [ctladdr=<…> (…), ]delay=…, …, relay=HOST. [ADDRESS], dsn=…, stat=STATUS
    QUEUE: ruleset=check_rcpt, arg1=<…>, relay=HOST [ADDRESS], reject=REPLY
    QUEUE: <…>... User unknown

sendmail says a message-id as the sender wrote it, in the middle of a line; what comes after it is sendmail's own, so
the one place at which all of the rest fits is the right one. It has no line for the end of a message: one is over
when nothing of it waits.
"""

from __future__ import annotations

import re

from roost.domain.trace import Fate
from roost.logs.book import Book
from roost.logs.line import ADDRESS, clip, micros
from roost.logs.postfix import bare

_FROM = re.compile(
    rf"from=(?:<({ADDRESS})>|([^ ,<>\"]*)), size=(\d+), class=-?\d+, nrcpts=(\d+), (?:msgid=(.*?), )?"
    r"(?:bodytype=\w+, )?proto=\w+, (?:daemon=[^ ,]+, )?(?:tls_verify=\w+, )?(?:auth=\w+, )?"
    r"relay=([^ \[\]]*) ?\[([^\]]*)\](?: \(may be forged\))?"
)
_TO = re.compile(
    rf"to=(<{ADDRESS}>(?:,<{ADDRESS}>)*), (?:ctladdr=<({ADDRESS})>(?: \(\d+/\d+\))?, )?delay=[\d:+]+, "
    r"(?:xdelay=[\d:+]+, )?mailer=([\w-]+), pri=\d+, (?:relay=([^ ,\[]*)[^,]*, )?(?:dsn=[\d.]+, )?"
    r"(?:reply=.*, )?stat=(.*)"
)
_DELIVERED, _WAITING, _BOUNCED = Fate.DELIVERED.value, Fate.WAITING.value, Fate.BOUNCED.value
_REFUSED, _HANDED_ON = Fate.REFUSED.value, Fate.HANDED_ON.value
_EACH = re.compile(rf"<({ADDRESS})>")
_RULESET = re.compile(
    rf"ruleset=check_\w+, arg1=<?({ADDRESS})>?, relay=([^ \[\]]*) ?\[([^\]]*)\](?: \(may be forged\))?, reject=(.*)"
)
_UNKNOWN = re.compile(rf"<({ADDRESS})>\.\.\. (User unknown)")
_QUEUED_AS = re.compile(
    r"Sent \((?:<[^<>]*> )?(?:\d\.\d\.\d )?(?:Ok: queued as )?(\w+)(?: Message accepted for delivery)?\)"
)


class Sendmail:
    """Writes into a book what sendmail says."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def sendmail(self, stamp: str, node: str, text: str) -> None:
        """Read the text of one line."""
        queue_id, _, rest = text.partition(": ")
        if not queue_id.isalnum():
            return
        if rest.startswith("from="):
            self._from(stamp, node, queue_id, rest)
        elif rest.startswith("to="):
            self._to(stamp, node, queue_id, rest)
        elif rest.startswith("ruleset="):
            if found := _RULESET.fullmatch(rest):
                recipient, client, address, reply = found.groups()
                fields = {"recipient": clip(recipient), "client": client, "address": address, "reply": clip(reply)}
                self._refused(stamp, node, text, fields)
        elif found := _UNKNOWN.fullmatch(rest):
            self._refused(stamp, node, text, {"recipient": clip(found[1]), "reply": found[2]})

    def _from(self, stamp: str, node: str, queue_id: str, rest: str) -> None:
        found = _FROM.fullmatch(rest)
        # A message of which no recipient was accepted is none.
        if found is None or found[4] == "0":
            return
        message = self._book.message(node, queue_id, stamp)
        message.sender, message.size = clip(found[1] or found[2] or ""), int(found[3])
        message.message_id = clip(bare(found[5] or ""))
        message.client, message.address = found[6], found[7]
        message.queued = message.whole = True

    def _to(self, stamp: str, node: str, queue_id: str, rest: str) -> None:
        found = _TO.fullmatch(rest)
        if found is None:
            return
        addresses, addressed, mailer, relay, status = found.groups()
        at = micros(stamp)
        message = self._book.message(node, queue_id, stamp)
        fate = _fate(mailer, status)
        home = (relay or "").rstrip(".")
        for personal in _EACH.findall(addresses):
            told = self._book.told(message, (personal, addressed or personal), at, fate, home=home, reply=status)
            if fate == _HANDED_ON and (queued := _QUEUED_AS.fullmatch(status)):
                told.next_node, told.next_id = home, queued[1]
            elif fate == _DELIVERED and status.endswith(" Saved)"):
                self._book.taken(message, told, status[:-7].rpartition(" ")[2])
        if message.queued and all(one.fate != _WAITING for one in message.recipients.values()):
            message.gone = True

    def _refused(self, stamp: str, node: str, text: str, fields: dict[str, str]) -> None:
        at = micros(stamp)
        queue_id = text.partition(":")[0]
        self._book.refused(
            at, f"{node} {text}", {"node": node, "queue_id": queue_id, "fate": _REFUSED, "ended": at, **fields}
        )


def _fate(mailer: str, status: str) -> str:
    if status.startswith("Sent"):
        return _HANDED_ON if mailer.endswith("smtp") or mailer == "relay" else _DELIVERED
    return _WAITING if status.startswith(("Deferred", "queued", "Please try again")) else _BOUNCED
