"""Mailboxes on a storage node, as a move works with them. Implemented by the driver of the IMAP server.

The port knows the server's files and commands; it opens no connection to another node and decides nothing. The agent
(``roost.agent.moving``) carries the dsync stream between nodes and calls these in the order of
``roost.domain.move``. Every method is idempotent and may be called again after a crash; those that ask a daemon raise
``DaemonFailed``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from roost.domain.evidence import Evidence
from roost.domain.move import Order

PROTOCOLS = ("imap", "pop3", "lmtp", "sieve")
"""Protocols by which somebody may come to a mailbox; keys of the ports that a hold is given."""


class Stand(StrEnum):
    """Where a mailbox on the source stands, in the source's own file."""

    HELD = "held"
    """Closed until the deadline: who logs in or delivers is led to the waiting room's ports on this machine."""

    MOVED = "moved"
    """Given away: who logs in or delivers is led to the target."""


@dataclass(frozen=True)
class Standing:
    """A hold, or what became of it. ``evidence`` is the text of the proof once it is ``moved``.

    ``left`` is seconds until the deadline, negative after it; 0 where it is moved.
    """

    move: int
    address: str
    number: int
    peer: str
    stand: Stand
    left: float
    evidence: str


class Copy(StrEnum):
    """What is on the target where the copy is to be."""

    NOTHING = "nothing"
    OURS = "ours"
    """A copy that a move of this mailbox has made or left behind, and nobody has changed since."""

    FOREIGN = "foreign"
    """Mail that somebody else has put there."""


@dataclass(frozen=True)
class Pulled:
    """How one pass ended. ``state`` is dsync's own for the next incremental pass, '' where it gave none.

    ``again``: it ended half-way and another pass is needed (doveadm-sync(1), exit status 2). ``full``: the state
    was refused, so the next pass must be a full one.
    """

    state: str
    again: bool
    full: bool
    words: str


class Mailstore(Protocol):
    """One node's mailboxes."""

    def orders(self) -> list[Order]:
        """Return the node's orders, as they are in its table ``moves``."""

    def peer_address(self, name: str) -> str:
        """Return the IP address of another storage node."""

    def own_address(self) -> str:
        """Return an IP address at which this node's own server answers."""

    def ports(self) -> Mapping[str, int]:
        """Return the port of each of ``PROTOCOLS``, the same on every storage node."""

    def version(self) -> str:
        """Return name and version of the server, ``Dovecot 2.4.1``: for the certificate."""

    # The source

    def hold(self, order: Order, seconds: float, ports: Mapping[str, int]) -> str:
        """Close the mailbox for everybody but ``server_argv``: logins and deliveries go to the ports on 127.0.0.1.

        Returns the ticket: what those who log in meanwhile, with the right password, show instead of it where they
        are led on to. It is good for this mailbox, here and where it is given to ``admit``, for a minute.

        When it returns, every session of this user has ended and nothing has his mail open any more. From the first
        step on, a deadline of so many seconds runs, after which the mailbox opens by itself, also if the agent is
        dead. Raises ``DaemonFailed`` where something keeps it open; the hold is then lifted already.
        """

    def lift(self, move: int) -> None:
        """End a hold: the mailbox is as it was before. Nothing happens to one that is ``moved``."""

    def give_away(self, move: int, evidence: str) -> bool:
        """Give the mailbox away: the one step after which the target is the owner. On the disk when it returns.

        ``evidence`` is JSON: both sides' evidence as ``source`` and ``target``, and what else belongs to the proof.
        False, and nothing is changed, where the hold is over or its deadline is nearer than a moment.
        """

    def standings(self) -> list[Standing]:
        """Return every hold and everything that was given away and has not been settled."""

    def passed_on(self) -> Mapping[str, int]:
        """Return how many sessions (not deliveries) were passed on since the server began to count, by address."""

    def server_argv(self, order: Order) -> tuple[str, ...]:
        """Return the command whose input and output are the source's end of a dsync stream for this one mailbox."""

    def memory(self, order: Order) -> bytes:
        """Return what the mailbox's rules remember, in the server's own form: whom they have answered, what they have
        sent on. On a source whose hold stands nothing is added to it any more; empty where there is nothing, or more
        than is worth carrying.
        """

    # The target

    def remember(self, order: Order, content: bytes) -> None:
        """Give the copy what ``memory`` returned on the source; empty: it remembers nothing."""

    def found(self, order: Order) -> Copy:
        """Say what is where the copy is to be."""

    def room(self) -> tuple[int, int]:
        """Return the free bytes and the size of the file system that holds the mail."""

    def pull_argv(
        self, order: Order, state: str, carrier: tuple[str, ...], only: Collection[str] | None = None
    ) -> tuple[str, ...]:
        """Return the command of one pass: it makes the copy like the source, whose stream ``carrier`` brings.

        ``only``: GUIDs of those folders that need be looked at, where there is a state; None stands for all.
        """

    def pulled(self, code: int, out: str, err: str) -> Pulled:
        """Say what the end of that command means; raises ``DaemonFailed`` where it cannot go on."""

    def keep_state(self, move: int, state: str) -> None:
        """Keep dsync's state for the next pass; '' forgets it: that pass looks at everything."""

    def state(self, move: int) -> str:
        """Return what ``keep_state`` was given last, '' for nothing."""

    def admit(self, order: Order, ticket: str) -> None:
        """Let the source's own connections in, with ``hold``'s ticket: they come after it gave the mailbox away."""

    def open(self, move: int) -> None:
        """Let everyone in: the source has said that it gave the mailbox away."""

    def close(self, move: int) -> None:
        """Let nobody in: this attempt has failed."""

    def discard(self, order: Order) -> None:
        """Remove a copy that this move has made; one that was there before stays as it is."""

    # Both

    def evidence(self, order: Order, *, deep: bool = False) -> Evidence:
        """Return the mailbox as it is on this node; on the source also while it is held."""

    def size(self, order: Order) -> tuple[int, int]:
        """Return messages and bytes, quickly and perhaps a little late: for progress and for room."""
