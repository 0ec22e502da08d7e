"""SMTP: the test messages for one MX, in one session, as mail servers outside would bring them (RFC 5321, RFC 3207).

The sender is ``<>``, so a message that gets lost makes no bounce. The certificate is not looked at: who sends mail to
strangers cannot know which authority to trust, and does not.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate

from roost.domain.probe import Seen, Stage

HEADER = "X-Roost-Probe"
_WORDS_MAX = 200
_ANSWERS_MOST = 4
"""A session in which every answer comes in the last moment is ended after so many."""


@dataclass(frozen=True)
class Message:
    """One test message: whom it is for, and by what it is known again."""

    mailbox: str
    token: str

    def text(self) -> bytes:
        """Return it."""
        domain = self.mailbox.rpartition("@")[2]
        lines = (
            f"From: Roost probe <{self.mailbox}>",
            f"To: <{self.mailbox}>",
            "Subject: Roost probe",
            f"Date: {formatdate()}",
            f"Message-ID: <{self.token}@{domain}>",
            f"{HEADER}: {self.token}",
            "Auto-Submitted: auto-generated",
            "",
            "A message of Roost's probe, which deletes it.",
            "",
        )
        return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Sent:
    """What became of a message at the door: ``seen`` says whether it was taken, ``at`` when (monotonic)."""

    seen: Seen
    at: float = 0.0


def send(address: str, port: int, helo: str, messages: Sequence[Message], seconds: float) -> dict[str, Sent]:
    """Send the messages and return, by token, what became of each. ``seconds`` is for each answer of the MX."""
    found: dict[str, Sent] = {}
    refused: Seen | None = None
    end = time.monotonic() + seconds * _ANSWERS_MOST
    try:
        with contextlib.closing(_begun(address, port, helo, seconds)) as session:
            for message in messages:
                if time.monotonic() > end:
                    raise _Ended(Stage.REFUSED, "it is too slow")
                found[message.token] = sent = _one(session, message)
                refused = refused if sent.seen.ok else sent.seen
            with contextlib.suppress(OSError):
                session.quit()
    except _Ended as ended:
        # Who refuses one message and then ends the session has said why.
        for message in messages:
            found.setdefault(message.token, Sent(refused or ended.seen))
    return found


class _Ended(Exception):
    """The session is over, or never began: the messages that are left have no other fate."""

    def __init__(self, stage: Stage, words: str) -> None:
        super().__init__(words)
        self.seen = Seen(stage, words[:_WORDS_MAX])


def _begun(address: str, port: int, helo: str, seconds: float) -> smtplib.SMTP:
    """Connect, say who we are, begin TLS; raises ``_Ended``. Errors of smtplib are all of them ``OSError``."""
    try:
        session = smtplib.SMTP(address, port, local_hostname=helo, timeout=seconds)
    except smtplib.SMTPConnectError as error:
        raise _Ended(Stage.REFUSED, _words(error.smtp_code, error.smtp_error)) from error
    except OSError as error:
        raise _Ended(Stage.CONNECT, said(error)) from error
    try:
        _greet(session)
        if not session.has_extn("starttls"):
            raise _Ended(Stage.TLS, "it does not offer STARTTLS")
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        session.starttls(context=blind)
        _greet(session)
    except _Ended:
        session.close()
        raise
    except smtplib.SMTPResponseException as error:
        with contextlib.closing(session):
            raise _without_tls(session, error) from error
    except OSError as error:
        session.close()
        raise _Ended(Stage.TLS, said(error)) from error
    return session


def _without_tls(session: smtplib.SMTP, refusal: smtplib.SMTPResponseException) -> _Ended:
    """Return why STARTTLS is refused: an MX that lacks its filter refuses that as well, and says why after MAIL."""
    with contextlib.suppress(OSError):
        code, words = session.mail("")
        if code // 100 != 2:
            return _Ended(Stage.REFUSED, _words(code, words))
    return _Ended(Stage.TLS, _words(refusal.smtp_code, refusal.smtp_error))


def _greet(session: smtplib.SMTP) -> None:
    code, words = session.ehlo()
    if code // 100 != 2:
        raise _Ended(Stage.REFUSED, _words(code, words))


def _one(session: smtplib.SMTP, message: Message) -> Sent:
    """Send one message; raises ``_Ended`` where no other can follow."""
    try:
        code: int
        words: bytes | str
        code, words = session.mail("")
        if code // 100 == 2:
            code, words = session.rcpt(message.mailbox)
        if code // 100 == 2:
            code, words = session.data(message.text())
    except smtplib.SMTPDataError as error:
        code, words = error.smtp_code, error.smtp_error
    except OSError as error:
        raise _Ended(Stage.REFUSED, f"it has ended the session: {said(error)}") from error
    if code // 100 == 2:
        return Sent(Seen(Stage.OK), time.monotonic())
    with contextlib.suppress(OSError):
        session.rset()
    return Sent(Seen(Stage.REFUSED, _words(code, words)))


def _words(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:_WORDS_MAX]


def said(error: Exception) -> str:
    """Return an error of the network, or the other side's words in it, in few words; none of them is a secret."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = error.args[0] if error.args else ""
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
    return " ".join(text.split()) or type(error).__name__
