"""Lines of Dovecot 2.3 and 2.4: logins, and where mail has been put.

::

    imap-login: Login: user=<USER>, method=PLAIN, rip=ADDRESS, lip=…, …                     2.3; 2.4: Logged in: …
    imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<NAME>, …, rip=ADDRESS, …
                                                                                            2.4: Login aborted: …
    imap-login: proxy(USER,HOST:PORT): Started proxying to HOST (…): user=<USER>, …, rip=ADDRESS, …
    lmtp(USER)<PID><SESSION>: [sieve: ]msgid=ID: DONE
    lmtp(PID): lmtp-server: conn …: rcpt …: <SESSION>: Sent message to <USER> at HOST:PORT: REPLY (…)

A name that was tried may be anything. Behind it come words of Dovecot's own only, so the last place at which the rest
fits is the right one. Before it stands what Dovecot says, and nothing that a client could choose.
"""

from __future__ import annotations

import re

from roost.logs.book import Book
from roost.logs.line import clip, micros

_PROTOCOLS = {
    "imap-login": "imap",
    "pop3-login": "pop3",
    "managesieve-login": "sieve",
    "submission-login": "submission",
}
_CLIENT = re.compile(r"(.*)>, (?:method=[\w-]+, )?rip=([0-9A-Fa-f.:]+)(?:,.*)?")
_PROXY = re.compile(r"proxy\(.*,([^,()]+)\): Started proxying to .*")
_PASSED_ON = re.compile(
    r"lmtp-server: conn \S+ \[\d+\]: rcpt .*: <([^<> ]+)>: Sent message to <.*> at \S+: "
    r"250 2\.0\.0 <.*> (\S+) Saved \(.*\)"
)
_NOT_TRIED = ("(no auth attempts", "(disconnected during TLS", "(disconnected before auth", "(cert required")


class Dovecot:
    """Writes into a book what Dovecot says."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def dovecot(self, stamp: str, node: str, text: str) -> None:
        """Read the text of one line."""
        if text.startswith("lmtp("):
            self._lmtp(stamp, node, text)
            return
        process, _, rest = text.partition(": ")
        protocol = _PROTOCOLS.get(process)
        if protocol is not None:
            self._login(stamp, node, protocol, rest)

    def _lmtp(self, stamp: str, node: str, text: str) -> None:
        who, _, said = text.partition(": ")
        if said.startswith("lmtp-server: "):
            if found := _PASSED_ON.fullmatch(said):
                self._book.passed_on(found[1], found[2], micros(stamp))
            return
        if not who.endswith(">") or not said.startswith(("sieve: msgid=", "msgid=")):
            return
        done = _done(said)
        if done is not None:
            # The session may have ":R2" behind it for the second recipient; the reply to the MX has the same.
            self._book.landed(who[who.rfind("<") + 1 : -1], node, micros(stamp), *done)

    def _login(self, stamp: str, node: str, protocol: str, rest: str) -> None:
        said, _, who = rest.partition(": user=<")
        found = _CLIENT.fullmatch(who)
        if found is None:
            return
        user, address = found.groups()
        ok, reason = said in {"Login", "Logged in"}, ""
        if not ok:
            if not user or any(words in said for words in _NOT_TRIED):
                return
            reason = said
            if said.startswith("proxy("):
                proxied = _PROXY.fullmatch(said)
                if proxied is None:
                    return
                ok, reason = True, f"led on to {proxied[1]}"
        self._book.logged_in(micros(stamp), node, (protocol, clip(user.lower()), address, ok, reason))


_ENDS = (
    (": saved mail to ", "stored", ""),
    (": stored mail into mailbox '", "stored", "'"),
    (": left message in mailbox '", "stored", "'"),
)
_DISCARDED = (
    ": Marked message to be discarded if not explicitly delivered (discard action)",
    ": marked message to be discarded if not explicitly delivered (discard action)",
    ": discarded message",
)


def _done(text: str) -> tuple[str, str] | None:
    """Return what was done and the folder; None where the line says something else."""
    for begin, action, end in _ENDS:
        place = text.rfind(begin)
        if place > 0 and text.endswith(end):
            return action, clip(text[place + len(begin) : len(text) - len(end)])
    for begin, action in ((": forwarded to <", "redirected to "), (": sent vacation response to <", "answered ")):
        place = text.rfind(begin)
        if place > 0 and text.endswith(">"):
            return action + clip(text[place + len(begin) : -1]), ""
    if text.endswith(_DISCARDED):
        return "discarded", ""
    place = text.rfind(": rejected message from <")
    return ("rejected", "") if place > 0 else None
