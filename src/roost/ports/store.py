"""The controller's store: what should be, at a revision. Implemented by ``roost.store`` on SQLite and PostgreSQL.

Every committed change has one **revision**: numbers without a gap, in the order of the commits. One transaction
may make many changes (an import) and then takes as many revisions. A change writes, in its transaction: the thing
itself, the rows that follow from it (``roost.domain.desired``) with the revision, and an event, which is the audit
log, each event holding the hash of the one before it. So audit log and change feed are two faces of one thing.

Rows are kept one for each (table, scope, key) with the revision of its last change, a row that is gone as a
tombstone. Hence *the rows after revision R in order of revision* serve both a node that is a little behind and a
new one, which begins at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from roost.domain.cluster import Alias, Cluster, Domain, Mailbox, Node, Policy
from roost.domain.desired import Table, Value
from roost.domain.move import Move, State
from roost.domain.names import Address
from roost.domain.node_load import NodeLoad
from roost.domain.senders import SenderEntry
from roost.domain.ties import FREE, Ties
from roost.domain.usage import Load

SETTINGS = "settings"
"""The feed without rows that says when the cluster's settings changed; a node's position in its settings, too."""

EPOCH = "epoch"
"""The own value that names the store's line of revisions: new at the beginning and when a backup is restored."""

CHECK = "check"
"""The own value that counts the drift checks asked for."""

LIFTED = "lifted"
"""The own value that says for which check (its number) the brake is lifted on which nodes, between blanks."""

PROBE = "probe"
"""The own value from which the test mailboxes follow: the revision at which it was set, a blank, the secret."""


@dataclass(frozen=True)
class Event:
    """One change, for the audit log. ``detail`` never holds a password or its hash."""

    revision: int
    at: datetime
    actor: str
    verb: str
    subject: str
    detail: dict[str, str]


@dataclass(frozen=True)
class Page:
    """Rows of one table and scope after a revision, in order of revision; value None where the row is gone.

    ``upto`` is the revision to which a follower has everything after applying them; ``more`` says that there are
    further rows behind it.
    """

    rows: Sequence[tuple[str, Value | None]]
    upto: int
    more: bool


@dataclass(frozen=True)
class Position:
    """How far one node has applied one table (``settings`` for its settings)."""

    node: str
    table: str
    revision: int
    at: datetime


@dataclass(frozen=True)
class Concern:
    """A table and scope that a change touched: whoever follows it must apply the revision."""

    table: str
    scope: str


@dataclass(frozen=True)
class Key:
    """An administrator's key: only the hash of its secret is kept."""

    id: str
    name: str
    secret_hash: str
    created: datetime
    expires: datetime | None


@dataclass(frozen=True)
class JoinToken:
    """Lets one node join once, until it expires; only the hash of its secret is kept."""

    id: str
    node: str
    secret_hash: str
    expires: datetime
    used: datetime | None


@dataclass(frozen=True)
class Report:
    """What a node said of itself last, of one kind (``health``, ``drift``); ``body`` is JSON text."""

    node: str
    kind: str
    at: datetime
    body: str


@dataclass(frozen=True)
class Step:
    """One change of a move: what it was when it was looked at (None for a new one), what it is to be, and the verb
    for the audit log."""

    old: Move | None
    new: Move
    verb: str


Merge = Callable[[Load, Load | None], Load | None]


class Reader(Protocol):
    """A view of the store at one revision."""

    def revision(self) -> int: ...
    def cluster(self) -> Cluster: ...
    def mailbox(self, address: Address) -> Mailbox | None: ...
    def mailboxes(
        self, *, domain: str = "", home: str = "", ties: Ties = FREE, after: str = "", limit: int = 100
    ) -> list[Mailbox]:
        """Return mailboxes sorted by address, those after ``after``; '' for a filter means any."""

    def grouped(self, *, together: Iterable[str] = (), apart: Iterable[str] = ()) -> list[Mailbox]:
        """Return the mailboxes that are in any of these groups, each once; the cost is that of what is returned."""

    def numbered(self, numbers: Iterable[int]) -> dict[int, Mailbox]:
        """Return those of the mailboxes that there are, by their numbers."""

    def count_mailboxes(self, *, domain: str = "", home: str = "", ties: Ties = FREE) -> int: ...
    def homes(self) -> dict[str, int]:
        """Return the number of mailboxes on each storage node that has any."""

    def bytes_at(self, home: str) -> int:
        """Return the size of all mailboxes that live on a node, as far as it has told their sizes."""

    def labels(self, domain: str, labels: Iterable[str]) -> set[str]:
        """Return those of the labels that are taken in the domain."""

    def existing(self, addresses: Iterable[Address]) -> set[Address]:
        """Return those of the addresses that a mailbox or an alias has."""

    def move(self, id: int) -> Move | None: ...
    def moves(
        self,
        *,
        states: Iterable[State] = (),
        address: str = "",
        parent: str = "",
        pair: tuple[str, str] | None = None,
        paused: bool | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Move]:
        """Return moves sorted by id, those after ``after``; nothing for a filter means any.

        ``pair`` is source and target. Certificates are large: ``move`` has them, lists do not.
        """

    def open_moves(self, numbers: Iterable[int]) -> dict[int, Move]:
        """Return the open moves of these mailboxes, by their numbers; without certificates."""

    def count_moves(
        self, states: Iterable[State], *, parent: str = "", paused: bool | None = None
    ) -> dict[tuple[str, str], int]:
        """Return how many moves are in these states, for each source and target that has any."""

    def moves_since(self, at: datetime) -> list[Move]:
        """Return the moves that are open, or came into their state since then; sorted by id, without certificates."""

    def alias(self, address: Address) -> Alias | None: ...
    def aliases(self, *, domain: str = "", after: str = "", limit: int = 100) -> list[Alias]: ...
    def aliases_to(self, target: Address) -> list[Address]:
        """Return up to ten aliases that lead to the address, with or without a subaddress."""

    def sender(self, owner: str, sender: str) -> SenderEntry | None: ...
    def senders(self, *, owner: str = "", domain: str = "", after: str = "", limit: int = 100) -> list[SenderEntry]:
        """Return entries sorted by owner and sender, those after ``OWNER SENDER``; '' for a filter means any."""

    def count_senders(self, owner: str) -> int: ...
    def page(self, table: Table, scope: str, after: int, limit: int) -> Page: ...
    def head(self, table: str, scope: str) -> int:
        """Return the revision of the last change of a table and scope; ``settings`` is a table here."""

    def digests(self, table: Table, scope: str) -> list[tuple[int, int]]:
        """Return, for each bucket, how many rows it has and the sum of their digests."""

    def bucket(self, table: Table, scope: str, bucket: int) -> list[tuple[str, Value]]: ...
    def concerns(self, revision: int) -> tuple[Concern, ...]: ...
    def positions(self) -> list[Position]: ...
    def events(self, *, after: int = 0, limit: int = 100) -> list[Event]: ...
    def events_of(
        self, subject: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> list[Event]:
        """Return the newest events of one subject, the oldest first; the cost is that of what is returned."""

    def key(self, id: str) -> Key | None: ...
    def keys(self) -> list[Key]: ...
    def token(self, id: str) -> JoinToken | None: ...
    def reports(self, kind: str) -> list[Report]: ...
    def load(self, number: int) -> Load | None:
        """Return what a mailbox is used; None where nobody has told yet."""

    def load_rows(self, chunk: int = 100_000) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield every mailbox, also one of which nothing is known, as plain rows in chunks, sorted by number.

        A row is number, home, the four ties, since, at (minutes, UNIX), six codes of the hour, six of the week (in
        the order of ``roost.domain.usage.Counts``), bytes, messages, pattern; None for all that is not known, and
        for no tie.
        """

    def node_minutes(self, node: str, since: int) -> list[tuple[int, NodeLoad]]:
        """Return what a storage node did in each minute since one (minutes, UNIX), the oldest first."""

    def value(self, name: str) -> str | None:
        """Return one of the controller's own values (the check counter, the cluster's id)."""


class Writer(Reader, Protocol):
    """A transaction. What it reads includes what it has written. Each ``put`` and ``remove`` is one revision."""

    def set_cluster(self, domain: str, policy: Policy) -> int: ...
    def set_probe(self, secret: str) -> int:
        """Set the secret from which the test mailboxes follow (``roost.domain.testbox``), and their rows with it."""

    def put_node(self, node: Node, verb: str) -> int: ...
    def remove_node(self, name: str) -> int: ...
    def put_domain(self, domain: Domain, verb: str) -> int:
        """Add or change a domain; the rows of its mailboxes follow in the same revision."""

    def remove_domain(self, name: str) -> int: ...
    def new_numbers(self, count: int) -> range:
        """Return numbers for new mailboxes that were never given before."""

    def put_mailboxes(self, mailboxes: Sequence[Mailbox], verb: str) -> int:
        """Add or change mailboxes, one revision each; returns the last. Fast for a hundred thousand at once."""

    def remove_mailbox(self, address: Address) -> int: ...
    def new_move_ids(self, count: int) -> range:
        """Return ids for new moves that were never given before."""

    def put_moves(self, steps: Sequence[Step]) -> int:
        """Change moves, one revision each, with all rows that follow; returns the last.

        A step into ``settling`` also gives the mailbox its new home and format. ``revision`` of the moves is set
        here, and a certificate stays once it is there. Raises ``StoreBusy`` where a move is not as the step says
        that it was, ``Refused`` where one state may not follow the other, ``AlreadyExists`` where the mailbox has
        another open move.
        """

    def put_alias(self, alias: Alias, verb: str) -> int: ...
    def remove_alias(self, address: Address) -> int: ...
    def put_sender(self, entry: SenderEntry, verb: str) -> int:
        """Add or change an entry; those of an owner go with the mailbox, alias or domain that it is."""

    def remove_sender(self, owner: str, sender: str) -> int: ...
    def note(self, verb: str, subject: str, detail: Mapping[str, str]) -> int:
        """Write an event into the audit log about what changes nothing by itself; it is one revision."""


class Store(Protocol):
    """The store itself. The methods below the transactions write without a revision: they change no desired state."""

    def read(self) -> AbstractContextManager[Reader]: ...
    def write(self, actor: str) -> AbstractContextManager[Writer]:
        """Begin a transaction that commits when the block ends without an exception, else changes nothing.

        Raises ``StoreBusy`` where it cannot begin in time.
        """

    def put_key(self, key: Key, actor: str) -> None: ...
    def remove_key(self, id: str, actor: str) -> None: ...
    def put_token(self, token: JoinToken, actor: str) -> None: ...
    def use_token(self, id: str, at: datetime) -> bool:
        """Mark a token as used; False where it was used before (compare and set)."""

    def put_positions(self, positions: Sequence[Position]) -> None: ...
    def put_report(self, report: Report) -> None: ...
    def put_loads(self, node: str, loads: Sequence[Load], merge: Merge) -> Sequence[Load]:
        """Take down what mailboxes are used; returns the loads of those whose home the node is, and leaves others.

        ``merge`` is given what is told and what is known, and returns what is to be known; None leaves it.
        """

    def put_node_load(self, node: str, at: int, load: NodeLoad, forget: int) -> None:
        """Keep what a storage node did in a minute (UNIX), and forget its minutes before ``forget``."""

    def put_value(self, name: str, value: str) -> None: ...
    def verify_audit(self) -> Iterator[str]:
        """Walk the events and yield a sentence for every one whose hash chain does not hold."""

    def close(self) -> None: ...


class Backups(Protocol):
    """Copies of the whole store, taken and put back while it works."""

    def save(self, path: str) -> None:
        """Write a consistent copy of everything to a file that does not exist yet, while others read and write."""

    def load(self, path: str, actor: str) -> list[str]:
        """Replace everything by the copy, keep what was there aside, and say in sentences what was done.

        The revision jumps ahead of all that was ever given, and the ``epoch`` changes, so that every node compares
        its tables anew.
        """
