"""Rounds of test mail and test logins: what is asked for, and what was seen. Plain values; JSON on the wire.

A round sends a message through each MX to the test mailbox of each storage node, asks each DNS server for each test
mailbox's personal hostname and logs in where the answer leads. Every try is one record, whose ``Seen`` says how far
it came: ``roost.domain.hops`` tells from all of them together which hop is broken, ``figures`` gives them as figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """How far a try came: ``ok``, or what did not work."""

    OK = "ok"
    CONNECT = "connect"
    """There is no connection, or the server says nothing on it."""

    TLS = "tls"
    """No TLS, for another reason than the certificate."""

    CERTIFICATE = "certificate"
    """The certificate is not trusted, has expired, or is for another name."""

    REFUSED = "refused"
    """The server speaks, and refuses: a greeting, a message or a question."""

    LOGIN = "login"
    OPEN = "open"
    """The login is fine, and the mailbox cannot be opened."""

    SILENT = "silent"
    """A DNS server does not answer."""

    WRONG = "wrong"
    """A DNS server answers something else than it should."""

    MISSING = "missing"
    """The message was taken and has not arrived."""

    UNSEEN = "unseen"
    """Nothing can be said, since something else did not work before it."""


@dataclass(frozen=True)
class Seen:
    """How one try went. ``words`` are those of the other side where it said any; ``seconds`` of what worked."""

    stage: Stage
    words: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Say whether all of it worked."""
        return self.stage is Stage.OK


@dataclass(frozen=True)
class Mail:
    """One message through an MX to a storage node; ``seconds`` from its acceptance until it could be read."""

    mx: str
    store: str
    seen: Seen


@dataclass(frozen=True)
class Login:
    """One login at a storage node by the answer of a DNS server."""

    dns: str
    store: str
    seen: Seen


@dataclass(frozen=True)
class Door:
    """One login at a storage node without asking DNS: ``protocol`` is ``imap`` or ``pop3``."""

    store: str
    protocol: str
    seen: Seen


@dataclass(frozen=True)
class NamedBox:
    """The test mailbox of a storage node: its address, and its personal hostname."""

    store: str
    mailbox: str
    hostname: str


@dataclass(frozen=True)
class Round:
    """Everything that one round saw. ``number`` is that of the request which it answers; 0 where none was made.

    ``backups`` are those of the MX hosts that hand on to the others.
    """

    number: int
    began: datetime
    seconds: float
    mails: tuple[Mail, ...]
    logins: tuple[Login, ...]
    doors: tuple[Door, ...]
    boxes: tuple[NamedBox, ...] = ()
    backups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """An MX or a DNS server to try; ``backup``: an MX that hands on to the others."""

    name: str
    address: str
    backup: bool = False


@dataclass(frozen=True)
class Box(NamedBox):
    """A test mailbox with what it takes to log in: the addresses of the storage node, and the password."""

    addresses: tuple[str, ...]
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        """Return the address at which the storage node is tried."""
        return self.addresses[0]


@dataclass(frozen=True)
class Task:
    """What a round is to try. Holds passwords: it is told to probers only, and kept in memory.

    ``asked`` is the number of the last request for a round; ``seconds`` is the time from one to the next, 0 for none.
    """

    asked: int
    seconds: int
    cluster_domain: str
    mx: tuple[Server, ...] = ()
    dns: tuple[Server, ...] = ()
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Figure:
    """One try as a figure. ``kind`` is ``mail`` (``by`` is the MX), ``login`` (``by`` is the DNS server), ``imap`` or
    ``pop3`` (``by`` is ''). Where it is not ``ok``, ``stage`` says why, and ``seconds`` says nothing."""

    kind: str
    by: str
    store: str
    ok: bool
    seconds: float
    stage: str


def figures(found: Round) -> Iterator[Figure]:
    """Yield every try of a round as a figure; those of which nothing can be said are left out."""
    tries = [
        *(("mail", mail.mx, mail.store, mail.seen) for mail in found.mails),
        *(("login", login.dns, login.store, login.seen) for login in found.logins),
        *((door.protocol, "", door.store, door.seen) for door in found.doors),
    ]
    for kind, by, store, seen in tries:
        if seen.stage is not Stage.UNSEEN:
            yield Figure(kind, by, store, seen.ok, seen.seconds, str(seen.stage))
