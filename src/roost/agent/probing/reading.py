"""IMAP (RFC 3501) and POP3 (RFC 1939): a login as a mail program does it, and the test messages that have arrived.

TLS from the first byte, at an address, with a certificate for the personal hostname. What stands in the mailbox is
the prober's own, so everything that has been seen is deleted: it never grows.
"""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from roost.agent.probing.sending import HEADER, said
from roost.domain.probe import Box, Seen, Stage

_TOKEN = re.compile(rb"(?i)^" + HEADER.encode() + rb":\s*([0-9a-z-]+)\s*$", re.MULTILINE)
_WORDS_MAX = 200
_LOGIN_SECONDS = 25.0
"""A home answers a wrong password later and later, up to 17 s (auth_failure_delay, and the penalty of an address)."""


class Failed(Exception):
    """How far it came."""

    def __init__(self, stage: Stage, error: Exception | str) -> None:
        words = error if isinstance(error, str) else said(error)
        super().__init__(words)
        self.seen = Seen(stage, words[:_WORDS_MAX])


class _Imap(imaplib.IMAP4_SSL):
    """Connects to an address, and wants a certificate for a name."""

    def __init__(self, address: str, port: int, name: str, trust: ssl.SSLContext, seconds: float) -> None:
        self._name, self._trust = name, trust
        super().__init__(address, port, ssl_context=trust, timeout=seconds)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        return _secure(self.host, self.port, self._name, self._trust, timeout)


class _Pop3(poplib.POP3_SSL):
    """The same."""

    def __init__(self, address: str, port: int, name: str, trust: ssl.SSLContext, seconds: float) -> None:
        self._name, self._trust = name, trust
        super().__init__(address, port, context=trust, timeout=seconds)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        return _secure(self.host, self.port, self._name, self._trust, timeout)


def _secure(address: str, port: int, name: str, trust: ssl.SSLContext, seconds: float | None) -> ssl.SSLSocket:
    """Connect and begin TLS; raises ``Failed``."""
    try:
        plain = socket.create_connection((address, port), timeout=seconds)
    except OSError as error:
        raise Failed(Stage.CONNECT, error) from error
    try:
        return trust.wrap_socket(plain, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise Failed(Stage.CERTIFICATE, error.verify_message or str(error)) from error
    except OSError as error:
        plain.close()
        # A server that hangs takes the connection, by its kernel, and says nothing.
        raise Failed(Stage.CONNECT if isinstance(error, TimeoutError) else Stage.TLS, error) from error


class Session:
    """An open test mailbox."""

    def __init__(self, imap: imaplib.IMAP4) -> None:
        self._imap = imap
        self._seen: set[bytes] = set()

    def arrived(self) -> set[str]:
        """Return the tokens of messages that were not there before; raises ``Failed``."""
        found = set()
        try:
            self._imap.noop()
            _, data = self._imap.uid("SEARCH", "ALL")
            new = [uid for uid in (data[0] or b"").split() if uid not in self._seen]
            if not new:
                return set()
            _, parts = self._imap.uid("FETCH", b",".join(new).decode(), f"(BODY.PEEK[HEADER.FIELDS ({HEADER})])")
            for part in parts:
                if isinstance(part, tuple) and (token := _TOKEN.search(part[1])):
                    found.add(token[1].decode())
            self._seen |= set(new)
        except (OSError, imaplib.IMAP4.error) as error:
            raise Failed(Stage.OPEN, error) from error
        return found

    def clean(self) -> None:
        """Delete what was seen; what cannot be deleted now is there in the next round."""
        if self._seen:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                self._imap.uid("STORE", b",".join(sorted(self._seen)).decode(), "+FLAGS.SILENT", r"(\Deleted)")
                self._imap.expunge()


@contextmanager
def session(box: Box, port: int, trust: ssl.SSLContext, seconds: float) -> Iterator[Session]:
    """Log in by IMAP and open the mailbox; raises ``Failed``."""
    try:
        imap = _Imap(box.address, port, box.hostname, trust, seconds)
    except (OSError, imaplib.IMAP4.error) as error:
        # There is a connection with TLS, and no greeting.
        raise Failed(Stage.CONNECT if isinstance(error, OSError) else Stage.REFUSED, error) from error
    try:
        imap.sock.settimeout(_LOGIN_SECONDS)
        try:
            imap.login(box.mailbox, box.password)
        except (OSError, imaplib.IMAP4.error) as error:
            raise Failed(Stage.LOGIN, error) from error
        imap.sock.settimeout(seconds)
        try:
            kind, data = imap.select("INBOX")
        except (OSError, imaplib.IMAP4.error) as error:
            raise Failed(Stage.OPEN, error) from error
        if kind != "OK":
            raise Failed(Stage.OPEN, (data[0] or b"").decode("utf-8", "replace"))
        yield Session(imap)
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            imap.logout()
        with contextlib.suppress(OSError):
            imap.shutdown()


def by_imap(box: Box, port: int, trust: ssl.SSLContext, seconds: float) -> Seen:
    """Log in, open the mailbox, log out."""
    began = time.monotonic()
    try:
        with session(box, port, trust, seconds):
            return Seen(Stage.OK, seconds=time.monotonic() - began)
    except Failed as failed:
        return failed.seen


def by_pop3(box: Box, port: int, trust: ssl.SSLContext, seconds: float) -> Seen:
    """The same by POP3. The maildrop is opened with the login, so what fails there counts as the login."""
    began = time.monotonic()
    try:
        pop = _Pop3(box.address, port, box.hostname, trust, seconds)
    except Failed as failed:
        return failed.seen
    except (OSError, poplib.error_proto) as error:
        return Failed(Stage.CONNECT if isinstance(error, OSError) else Stage.REFUSED, error).seen
    try:
        pop.sock.settimeout(_LOGIN_SECONDS)
        pop.user(box.mailbox)
        pop.pass_(box.password)
        pop.stat()
        return Seen(Stage.OK, seconds=time.monotonic() - began)
    except (OSError, poplib.error_proto) as error:
        return Failed(Stage.LOGIN, error).seen
    finally:
        with contextlib.suppress(OSError, poplib.error_proto):
            pop.quit()
        with contextlib.suppress(OSError):
            pop.close()
