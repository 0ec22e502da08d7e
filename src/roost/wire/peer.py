"""What two nodes say to each other: lines of JSON over TLS, then perhaps a raw stream. Made for moves.

The target always asks, the source always answers. Both show a certificate of the cluster's CA: the asking side its
identity, the answering side its service certificate under the node's name. Who asks is therefore known; what he may
ask for follows from the answering node's own orders, never from what he says.

One request is one line, so is its answer. After the answer to ``sync`` the connection carries dsync's stream and
nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TypeVar

from cryptography import x509
from pydantic import Field, ValidationError

from roost.domain.errors import NodeAway, NotAuthenticated, RoostError
from roost.wire.agent_messages import Message
from roost.wire.keepalive import KEEPALIVE

PORT = 8444
_LINE_MAX = 16_000_000
_CONNECT_SECONDS = 3.0
M = TypeVar("M", bound=Message)


class PeerRequest(Message):
    """One question about one move. ``evidence`` and ``version`` are the target's, for ``give-away``.

    =============  ==========================================================================================
    ``size``       messages and bytes of the mailbox
    ``sync``       the source's end of a dsync stream
    ``hold``       close the mailbox; answered when nothing has it open any more, with what its rules remember,
                   and the ticket
    ``evidence``   the source's evidence
    ``give-away``  the hand-over: ``ok`` means that the target is the owner from now on
    ``lift``       end the hold
    ``state``      where the mailbox stands: ``held``, ``moved`` or nothing
    =============  ==========================================================================================
    """

    do: str
    move: int
    attempt: int = 0
    deep: bool = False
    evidence: str = Field(default="", max_length=8_000_000)
    version: str = ""


class PeerReply(Message):
    """The answer; ``words`` say why where it is not ``ok``."""

    ok: bool
    words: str = ""
    stand: str = ""
    evidence: str = ""
    memory: str = ""
    """What the mailbox's rules remember, in base64: with the answer to ``hold``."""

    ticket: str = Field(default="", repr=False)
    """With the answer to ``hold``: what those who wait will show instead of their password."""

    messages: int = 0
    octets: int = 0


class Line:
    """A connection of which lines are read and written, and what follows them."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.rest = b""
        """What was read beyond the last line: the beginning of the stream."""

    def send(self, message: Message) -> None:
        """Write one line; raises ``NodeAway``."""
        try:
            self.sock.sendall(message.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except OSError as error:
            raise NodeAway(f"The other node is gone: {error}.") from error

    def receive(self, kind: type[M], seconds: float | None) -> M | None:
        """Read one line; None at the end of the connection. Raises ``NodeAway``."""
        try:
            self.sock.settimeout(seconds)
            parts = [self.rest]
            size = len(self.rest)
            while b"\n" not in parts[-1]:
                part = self.sock.recv(65536)
                if not part:
                    return None
                parts.append(part)
                size += len(part)
                if size > _LINE_MAX:
                    raise NodeAway("The other node's line does not end.")
            line, _, self.rest = b"".join(parts).partition(b"\n")
            return kind.model_validate_json(line)
        except TimeoutError as error:
            raise NodeAway(f"The other node does not answer within {seconds:g} s.") from error
        except (OSError, ValidationError) as error:
            raise NodeAway(f"The other node is gone or not understood: {error}.") from error

    def ask(self, request: PeerRequest, seconds: float) -> PeerReply:
        """Send a question and return its answer; raises ``NodeAway``."""
        self.send(request)
        reply = self.receive(PeerReply, seconds)
        if reply is None:
            raise NodeAway("The other node has closed the connection.")
        return reply

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.sock.close()


def _tune(plain: socket.socket) -> None:
    """Send small lines at once, and find a silent connection dead after half a minute (tcp(7))."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in KEEPALIVE:
        plain.setsockopt(*option)


def connect(address: str, name: str, *, authority: str, certificate: str, key: str, port: int = PORT) -> Line:
    """Connect to another storage node and make sure that it is that one; paths of PEM files. Raises ``NodeAway``."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    try:
        plain = socket.create_connection((address, port), timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise NodeAway(f"{name} does not answer on port {port}: {error}.") from error
    try:
        _tune(plain)
        return Line(context.wrap_socket(plain, server_hostname=name))
    except OSError as error:
        plain.close()
        raise NodeAway(f"{name} does not answer on port {port}: {error}.") from error


def accept(plain: socket.socket, *, authority: str, certificate: str, key: str) -> tuple[Line, str]:
    """Take a connection and return it with the name of the node that asks.

    Raises ``NotAuthenticated`` where its certificate is no agent's, ``NodeAway`` where there is none.
    """
    secure, shown = secured(plain, authority=authority, certificate=certificate, key=key)
    try:
        return Line(secure), _name_in(shown)
    except RoostError:
        secure.close()
        raise


def secured(
    plain: socket.socket, *, authority: str, certificate: str, key: str
) -> tuple[ssl.SSLSocket, bytes | None]:
    """Take a connection; return it with the certificate that was shown, which this CA has signed for a client.

    Raises ``NodeAway`` where there is none.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key)
        plain.settimeout(_CONNECT_SECONDS)
        _tune(plain)
        secure = context.wrap_socket(plain, server_side=True)
    except OSError as error:
        plain.close()
        raise NodeAway(f"A connection came to nothing: {error}.") from error
    return secure, secure.getpeercert(binary_form=True)


def _name_in(der: bytes | None) -> str:
    """Return the node's name in an identity certificate; the TLS library has checked its purpose and its issuer."""
    if der is None:
        raise NotAuthenticated("There is no certificate.")
    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except x509.ExtensionNotFound as error:
        raise NotAuthenticated("The certificate is not an agent's.") from error
    if len(names) != 1:
        raise NotAuthenticated("The certificate is not an agent's.")
    return names[0]
