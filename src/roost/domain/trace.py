"""What became of mail: a *passage* for each message and recipient; logins; and the questions that are asked of them.

A passage begins where an MX takes or refuses a message for a recipient, and ends where it lies in a folder, was
refused, or came back. A message that a backup MX hands to an MX goes on there under another queue id: that is one
passage still, with the backup MX among its ``earlier`` halts.

Everything in here that a stranger chose (sender, HELO, message-id, replies of foreign servers) is text, never more.
It may hold anything but line ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Fate(StrEnum):
    """How far a passage has come."""

    ARRIVED = "arrived"
    """Taken by an MX; no delivery was tried yet."""

    WAITING = "waiting"
    """Tried, and put off: ``reply`` says why, ``attempts`` how often, ``ended`` when last."""

    HANDED_ON = "handed-on"
    """Given to another MX or to a server outside, which took it."""

    DELIVERED = "delivered"
    """Taken by the mailbox's home, or by a program that ends its way."""

    REFUSED = "refused"
    """Not taken: the client was told ``reply``."""

    BOUNCED = "bounced"
    """Given up: the sender was told."""


@dataclass(frozen=True)
class Halt:
    """An MX through which a message came before: its name, its queue id there, and when it arrived."""

    node: str
    queue_id: str
    at: datetime


@dataclass(frozen=True)
class Passage:
    """One message on its way to one recipient. Texts are '' and numbers 0 where nothing is known."""

    arrived: datetime
    """When the first MX took or refused it."""

    node: str
    """The MX that has, or had, it last."""

    queue_id: str
    """Under which it is known there; '' where it was refused before it had one."""

    fate: Fate
    recipient: str = ""
    """As it was addressed."""

    personal: str = ""
    """Where the alias led: ``john@john.pop.example.com``; the same as ``recipient`` where none did."""

    sender: str = ""
    """Of the envelope; '' also for bounces, which have none."""

    message_id: str = ""
    """Without its angle brackets."""

    size: int = 0
    """Bytes, as the MX counts them."""

    client: str = ""
    """Name of the machine that brought it, as far as DNS proves it."""

    address: str = ""
    """Its address."""

    helo: str = ""
    """What it called itself; known of refusals only."""

    verdict: str = ""
    """What the spam filter advised: ``no action``, ``add header``, ``reject`` and so on."""

    score: float | None = None
    symbols: str = ""
    """The rules that it met, each with its score."""

    home: str = ""
    """The node that took it, or that is tried."""

    ended: datetime | None = None
    """When it was delivered, handed on, refused or given up; while it waits, when it was tried last."""

    reply: str = ""
    """The words of whoever decided: of the home, of the server outside, or ours to the client."""

    attempts: int = 0
    """How many deliveries were tried."""

    action: str = ""
    """What Sieve did, or the delivery without it: ``stored``, ``redirected to …``, ``discarded``,
    ``answered …`` (by ``vacation``); several with commas between them."""

    folder: str = ""
    """Where it lies."""

    next_node: str = ""
    """For what was handed on: to which machine."""

    next_id: str = ""
    """And under which queue id that one took it."""

    earlier: tuple[Halt, ...] = ()
    """The MX hosts through which it came before, the first one first."""


@dataclass(frozen=True)
class Login:
    """Somebody who logged in, or was not let in."""

    at: datetime
    node: str
    protocol: str
    """``imap``, ``pop3``, ``sieve`` or ``submission``."""

    user: str
    """The name that was given, in lower case; of a login that succeeded, the mailbox."""

    address: str
    """Of the client."""

    ok: bool
    reason: str = ""
    """Why it was refused, in the server's words; of a login that was led elsewhere, where to."""


@dataclass(frozen=True)
class Question:
    """Which passages are asked for. What is given must all be true; '' and None ask for nothing.

    ``recipients`` are addresses of which one is enough: a mailbox has two, its own and its personal one. An address
    without a subaddress finds mail for its subaddresses, too. The newest passages are the answer, up to ``limit``.
    """

    recipients: tuple[str, ...] = ()
    sender: str = ""
    message_id: str = ""
    queue_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


@dataclass(frozen=True)
class Found:
    """An answer, the oldest first. ``more`` says that there are older ones than the limit let through."""

    passages: tuple[Passage, ...]
    more: bool = False


@dataclass(frozen=True)
class Moment:
    """One entry of a time-line: what happened, in a word (``kind``) and in a sentence."""

    at: datetime
    kind: str
    text: str


def base_of(address: str) -> str:
    """Return an address as it is looked up: in lower case, without the subaddress (RFC 5233)."""
    local, at, domain = address.lower().rpartition("@")
    plus = local.find("+", 1)
    return f"{local[:plus] if plus > 0 else local}{at}{domain}"


def moment_of_passage(passage: Passage) -> Moment:
    """Return what a passage is on the time-line of its recipient."""
    sender = passage.sender or "<>"
    at = passage.ended or passage.arrived
    if passage.fate is Fate.REFUSED:
        return Moment(at, "refused", f"Mail from {sender} was refused by {passage.node}: {passage.reply}")
    if passage.fate is Fate.WAITING:
        tried = f"{passage.attempts} attempt" + ("s" if passage.attempts > 1 else "")
        return Moment(at, "waiting", f"Mail from {sender} waits on {passage.node} after {tried}: {passage.reply}")
    if passage.fate is Fate.BOUNCED:
        return Moment(at, "bounced", f"Mail from {sender} was given up by {passage.node}: {passage.reply}")
    if passage.fate is Fate.ARRIVED:
        return Moment(at, "arrived", f"Mail from {sender} was taken by {passage.node}.")
    if passage.fate is Fate.HANDED_ON:
        return Moment(at, "handed on", f"Mail from {sender} was handed to {passage.home or 'another server'}.")
    where = f" {passage.folder}" if passage.folder else ""
    done = "".join(f" and {action}" for action in passage.action.split(", ") if action not in {"", "stored"})
    text = f"Mail from {sender} was delivered to {passage.home}{where}{done}."
    return Moment(at, passage.action or "delivered", text)


def moment_of_login(login: Login) -> Moment:
    """Return what a login is on the time-line of its user."""
    told = f"{login.protocol.upper()} from {login.address} at {login.node}"
    if login.ok:
        return Moment(login.at, "login", f"{told}, {login.reason}." if login.reason else f"{told}.")
    return Moment(login.at, "login refused", f"{told}: {login.reason}.")


def timeline(
    passages: Sequence[Passage], logins: Sequence[Login], others: Sequence[Moment], limit: int
) -> list[Moment]:
    """Return the newest moments of all kinds in the order of time."""
    moments = [*map(moment_of_passage, passages), *map(moment_of_login, logins), *others]
    return sorted(moments, key=lambda moment: moment.at)[-limit:]


class Watch:
    """Tells what is new of a question. ``ask`` is asked again each time, and its answers are compared.

    What is older than the newest ``limit`` passages is not watched.
    """

    def __init__(self, ask: Callable[[], Sequence[Passage]]) -> None:
        self._ask = ask
        self._seen = frozenset(ask())

    def news(self) -> list[Passage]:
        """Return the passages that are new or have changed since the last call, the oldest first."""
        now = self._ask()
        new = [passage for passage in now if passage not in self._seen]
        self._seen = frozenset(now)
        return new
