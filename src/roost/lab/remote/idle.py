"""A mail program that waits in IDLE (RFC 2177) for new mail, and connects again when it is sent away.

In, one line: ``by``, ``hostname``, ``user``, ``password``, ``ca``. It stops when its input ends. Out, a line for each
event: ``notice`` (``text`` of an untagged line), ``seen`` (``token``, ``uid`` of a new message, fetched at once),
``ended`` (``said``: the last words of the server), ``unreachable``, ``refused``, and ``served`` (``seconds`` from the
loss of the last connection until INBOX was open again, ``address``).
"""

import json
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_STOP = threading.Event()
_NEW = re.compile(rb"\* (\d+) EXISTS")


class Refused(Exception):
    """The server answered NO or BAD."""


class Waiter:
    """One program with one connection."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.context = ssl.create_default_context(cafile=asked["ca"])
        self.lost = time.time()
        self.known = 0  # the greatest UID that it has seen
        self.last = b""

    def tell(self, what: str, **fields: Any) -> None:
        """Print an event: without sys.stdout, whose lock this thread could hold when the program ends."""
        line = json.dumps({"at": time.time(), "what": what, "by": self.asked["by"], **fields})
        os.write(1, line.encode() + b"\n")

    def line(self, lines: Any) -> bytes:
        """Return the next line; a literal belongs to its line."""
        text = bytes(lines.readline())
        while match := re.search(rb"\{(\d+)\}\r\n$", text):
            text += lines.read(int(match[1])) + lines.readline()
        if not text:
            raise ConnectionError("the connection was closed")
        self.last = text.strip()
        return text

    def ask(self, tls: ssl.SSLSocket, lines: Any, words: str) -> Iterator[bytes]:
        """Send a command and yield the untagged lines of its answer."""
        tls.sendall(f"a {words}\r\n".encode())
        while not (text := self.line(lines)).startswith(b"a "):
            yield text
        if not text.startswith(b"a OK"):
            raise Refused(text.decode(errors="replace").strip())

    def fetch(self, tls: ssl.SSLSocket, lines: Any, *, quietly: bool) -> None:
        """Take note of what is new."""
        query = f"UID FETCH {self.known + 1}:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
        for text in self.ask(tls, lines, query):
            uid, token = re.search(rb"UID (\d+)", text), re.search(rb"<(.*)@lab\.test>", text)
            # "n:*" always answers with the last message, new or not (RFC 3501 section 6.4.8).
            if uid and token and int(uid[1]) > self.known:
                self.known = int(uid[1])
                if not quietly:
                    self.tell("seen", folder="INBOX", token=token[1].decode(), uid=self.known)

    def session(self) -> None:
        """Log in and wait, until the connection ends."""
        with (
            socket.create_connection((self.asked["hostname"], 993), 30) as plain,
            self.context.wrap_socket(plain, server_hostname=self.asked["hostname"]) as tls,
            tls.makefile("rb") as lines,
        ):
            self.line(lines)
            words = f'LOGIN "{self.asked["user"]}" "{self.asked["password"]}"'
            try:
                list(self.ask(tls, lines, words))
            except Refused as refused:
                self.tell("refused", said=str(refused))
                _STOP.wait(0.2)
                return
            list(self.ask(tls, lines, "SELECT INBOX"))
            first = not self.known
            self.tell("served", seconds=time.time() - self.lost, address=tls.getpeername()[0])
            self.fetch(tls, lines, quietly=first)
            if first:
                self.tell("ready")
            # IDLE is to be renewed within 29 minutes (RFC 2177); the keep-alive of a server comes sooner.
            tls.settimeout(25 * 60)
            while True:
                self.idle(tls, lines)
                self.fetch(tls, lines, quietly=False)

    def idle(self, tls: ssl.SSLSocket, lines: Any) -> None:
        """Wait in IDLE until there is a new message."""
        tls.sendall(b"a IDLE\r\n")
        new = False
        while not new:
            text = self.line(lines)
            if text.startswith((b"a NO", b"a BAD")):
                raise Refused(text.decode(errors="replace").strip())
            if not text.startswith((b"+", b"* OK")):
                self.tell("notice", text=text.decode(errors="replace").strip())
            new = bool(_NEW.match(text))
        tls.sendall(b"DONE\r\n")
        while not self.line(lines).startswith(b"a OK"):
            pass

    def run(self) -> None:
        """One session after the other."""
        while not _STOP.is_set():
            self.last = b""
            try:
                self.session()
            except Refused as refused:
                self.tell("no", said=str(refused))
            except OSError as error:
                what = "ended" if self.last else "unreachable"
                self.tell(what, said=self.last.decode(errors="replace") or f"{type(error).__name__}: {error}")
                if self.last:
                    self.lost = time.time()
                else:
                    _STOP.wait(0.1)


def main() -> None:
    """Wait until the input ends."""
    waiter = Waiter(json.loads(sys.stdin.readline()))
    threading.Thread(target=waiter.run, daemon=True).start()
    sys.stdin.read()
    _STOP.set()


main()
