"""Homes and the world outside, as Postfix meets them: LMTP and SMTP servers that keep what they get; a resolver."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


@dataclass(frozen=True)
class Mail:
    """One message as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    tls: bool
    options: tuple[str, ...]


@dataclass
class Home:
    """A server that takes mail; ``unknown`` are addresses that it refuses. ``down`` and ``up`` at will."""

    address: str
    port: int
    tls: ssl.SSLContext | None = None
    lmtp: bool = True
    unknown: set[str] = field(default_factory=set)
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    _server: _Server | None = None
    _frozen: socket.socket | None = None

    def up(self) -> None:
        self.stop()
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._server is not None:
            self._server.shutdown()
            self._server.end_all()
            self._server.server_close()
            self._server = None

    def freeze(self) -> None:
        """Stop so that connections are still made by the kernel, but nothing is ever said."""
        self.stop()
        self._frozen = socket.create_server((self.address, self.port), backlog=100)

    def stop(self) -> None:
        self.down()
        if self._frozen is not None:
            self._frozen.close()
            self._frozen = None

    def to(self, recipient: str) -> list[Mail]:
        return [mail for mail in self.mails if recipient in mail.recipients]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 200

    def __init__(self, home: Home) -> None:
        self.home = home
        self.open: set[socket.socket] = set()
        super().__init__((home.address, home.port), _Conversation)

    def end_all(self) -> None:
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is nothing to talk about."""


class _Conversation(socketserver.BaseRequestHandler):
    """LMTP (RFC 2033) or SMTP, as strict about SMTPUTF8 as Dovecot: it is not offered and not taken."""

    server: _Server

    def handle(self) -> None:
        self.home, self.connection = self.server.home, self.request
        self.home.connections += 1
        self.tls = False
        raw = self.connection
        self.server.open.add(raw)
        try:
            with suppress(OSError):
                self._talk()
        finally:
            self.server.open.discard(raw)
            self.stream.close()
            self.connection.close()

    def _say(self, *lines: str) -> None:
        for number, line in enumerate(lines, 1):
            text = line if number == len(lines) else f"{line[:3]}-{line[4:]}"
            self.connection.sendall(f"{text}\r\n".encode())

    def _take(self, mail: Mail) -> None:
        self.home.mails.append(mail)
        for _ in mail.recipients if self.home.lmtp else mail.recipients[:1]:
            self._say("250 2.0.0 Saved")

    def _talk(self) -> None:
        self.stream = self.connection.makefile("rb")
        self._say("220 home ready")
        sender, recipients, options = "", [], ()
        chunks: list[bytes] = []
        while line := self.stream.readline():  # of another stream after STARTTLS
            words = line.decode().rstrip()
            verb = words[:4].upper()
            if verb in ("LHLO", "EHLO"):
                offer = ["250 STARTTLS"] if self.home.tls and not self.tls else []
                self._say(
                    "250 home", *offer, "250 8BITMIME", "250 CHUNKING", "250 ENHANCEDSTATUSCODES", "250 PIPELINING"
                )
            elif verb == "STAR" and self.home.tls:
                self._say("220 2.0.0 Go")
                self.stream.close()
                plain = self.connection
                self.connection = self.home.tls.wrap_socket(plain, server_side=True)
                self.server.open = (self.server.open - {plain}) | {self.connection}
                self.stream, self.tls = self.connection.makefile("rb"), True
            elif self.home.tls and not self.tls and verb != "QUIT":
                self._say("530 5.7.0 STARTTLS first")
            elif verb == "MAIL":
                path, _, rest = words[10:].partition("> ")
                sender, recipients, options = path.strip("<>"), [], tuple(rest.split())
                self._say("555 5.5.4 Unsupported parameters" if "SMTPUTF8" in options else "250 2.1.0 OK")
            elif verb == "RCPT":
                recipient = words[8:].partition("> ")[0].strip("<>")
                if recipient in self.home.unknown:
                    self._say(f"550 5.1.1 <{recipient}> User doesn't exist")
                else:
                    recipients.append(recipient)
                    self._say("250 2.1.5 OK")
            elif verb == "DATA":
                self._say("354 OK")
                lines = []
                while (line := self.stream.readline()) != b".\r\n":
                    if not line:
                        return  # cut off in the middle
                    lines.append(line.removeprefix(b"."))
                self._take(Mail(sender, tuple(recipients), b"".join(lines), self.tls, options))
            elif verb == "BDAT":
                _, size, *last = words.split()
                chunks.append(self.stream.read(int(size)))
                if last:
                    self._take(Mail(sender, tuple(recipients), b"".join(chunks), self.tls, options))
                    chunks = []
                else:
                    self._say("250 2.0.0 OK")
            elif verb == "QUIT":
                self._say("221 2.0.0 Bye")
                return
            else:
                self._say("250 2.0.0 OK")


@contextmanager
def resolver(
    address: str,
    mail_exchangers: dict[str, str],
    texts: Mapping[str, str] = {},
    addresses: Mapping[str, str] = {},
) -> Iterator[None]:
    """Answer on port 53: each domain's MX is ``mx.<domain>`` at the address given, ``texts`` are TXT records by their
    names, ``addresses`` A records by theirs; nothing else exists."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    thread = threading.Thread(target=_answer, args=(server, mail_exchangers, texts, addresses), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (address, 53))
        thread.join(10)
        server.close()


def _answer(
    server: socket.socket, mail_exchangers: dict[str, str], texts: Mapping[str, str], addresses: Mapping[str, str]
) -> None:
    while True:
        wire, client = server.recvfrom(4096)
        if not wire:
            return
        with suppress(dns.exception.DNSException):
            query = dns.message.from_wire(wire)
            question = query.question[0]
            name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype
            reply = dns.message.make_response(query, recursion_available=True)
            owner = name.removeprefix("mx.")
            if name in texts and kind == dns.rdatatype.TXT:
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", f'"{texts[name]}"'))
            elif name in addresses and kind == dns.rdatatype.A:
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", addresses[name]))
            elif owner not in mail_exchangers:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif name == owner and kind == dns.rdatatype.MX:
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "MX", f"10 mx.{name}."))
            elif name != owner and kind == dns.rdatatype.A:
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", mail_exchangers[owner]))
            server.sendto(reply.to_wire(), client)
