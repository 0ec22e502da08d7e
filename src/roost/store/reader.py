"""Reading: everything at one revision, each answer by an index.

A reader belongs to one transaction and one thread; other threads open their own (``Store.read``). Where many values
are asked for, they are asked for in chunks, so that no statement grows without limit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, literal, or_, select
from sqlalchemy.sql.schema import Column

from roost.domain.cluster import Alias, Cluster, Mailbox, Policy
from roost.domain.desired import BUCKETS, Table, Value
from roost.domain.move import Move, State
from roost.domain.names import Address
from roost.domain.node_load import NodeLoad
from roost.domain.senders import SenderEntry
from roost.domain.ties import FREE, Ties
from roost.domain.usage import Load
from roost.ports.store import PROBE, SETTINGS, Concern, Event, JoinToken, Key, Page, Position, Report
from roost.store import audit, records, schema, usage
from roost.store.rows import feed_id

T = TypeVar("T")
CHUNK = 2_000
"""How many things are asked for, or written, in one statement."""

_BRIEF = [c if c.name != "certificate" else literal("").label(c.name) for c in schema.move.columns]
"""The columns of a move in a list."""


def chunks(things: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` things."""
    iterator = iter(things)
    while chunk := list(islice(iterator, size)):
        yield chunk


class SqlReader:
    """``roost.ports.store.Reader``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _all(self, statement: Select[Any]) -> list[RowMapping]:
        return list(self._connection.execute(statement).mappings())

    def _one(self, statement: Select[Any]) -> RowMapping | None:
        return self._connection.execute(statement).mappings().first()

    def _among(self, column: Column[Any], values: Iterable[str], *more: Column[Any]) -> Iterator[RowMapping]:
        for chunk in chunks(values):
            yield from self._all(select(column, *more).where(column.in_(chunk)))

    def revision(self) -> int:
        """Return the last revision."""
        statement = select(schema.counter.c.n).where(schema.counter.c.name == "revision")
        return int(self._connection.execute(statement).scalar_one())

    def cluster(self) -> Cluster:
        """Return everything small; before the first ``set_cluster`` its domain is ''."""
        own = self._one(select(schema.cluster))
        since, _, probe = (self.value(PROBE) or "0 ").partition(" ")
        return Cluster(
            domain="" if own is None else own["domain"],
            revision=self.head(SETTINGS, ""),
            nodes=tuple(map(records.node_of, self._all(select(schema.node).order_by(schema.node.c.name)))),
            domains=tuple(map(records.domain_of, self._all(select(schema.domain).order_by(schema.domain.c.name)))),
            policy=Policy() if own is None else records.policy_of(own["policy"]),
            probe=probe,
            probe_since=int(since),
        )

    def mailbox(self, address: Address) -> Mailbox | None:
        """Return the mailbox of an address."""
        row = self._one(select(schema.mailbox).where(schema.mailbox.c.address == str(address)))
        return None if row is None else records.mailbox_of(row)

    def mailboxes(
        self, *, domain: str = "", home: str = "", ties: Ties = FREE, after: str = "", limit: int = 100
    ) -> list[Mailbox]:
        """Return mailboxes sorted by address, those after ``after``; '' for a filter means any."""
        mailbox = schema.mailbox
        statement = select(mailbox).where(mailbox.c.address > after, *_tied(ties))
        if domain:
            statement = statement.where(mailbox.c.domain == domain)
        if home:
            statement = statement.where(mailbox.c.home == home)
        return list(map(records.mailbox_of, self._all(statement.order_by(mailbox.c.address).limit(limit))))

    def numbered(self, numbers: Iterable[int]) -> dict[int, Mailbox]:
        """Return those of the mailboxes that there are, by their numbers."""
        found = {}
        for chunk in chunks(numbers):
            statement = select(schema.mailbox).where(schema.mailbox.c.number.in_(chunk))
            found.update({row["number"]: records.mailbox_of(row) for row in self._all(statement)})
        return found

    def grouped(self, *, together: Iterable[str] = (), apart: Iterable[str] = ()) -> list[Mailbox]:
        """Return the mailboxes that are in any of these groups, each once."""
        found = {}
        for column, names in ((schema.mailbox.c.together, together), (schema.mailbox.c.apart, apart)):
            for chunk in chunks(sorted(set(names))):
                statement = select(schema.mailbox).where(column.in_(chunk))
                found.update({row["number"]: records.mailbox_of(row) for row in self._all(statement)})
        return list(found.values())

    def count_mailboxes(self, *, domain: str = "", home: str = "", ties: Ties = FREE) -> int:
        """Return how many mailboxes there are; counted anew only where ties or both other filters are given."""
        mailbox = schema.mailbox
        if ties:
            both = [column == name for column, name in ((mailbox.c.domain, domain), (mailbox.c.home, home)) if name]
            statement = select(func.count()).select_from(mailbox).where(*_tied(ties), *both)
        elif domain and home:
            statement = select(func.count()).where(mailbox.c.domain == domain, mailbox.c.home == home)
        elif domain:
            statement = select(schema.domain.c.mailboxes).where(schema.domain.c.name == domain)
        elif home:
            statement = select(schema.node.c.mailboxes).where(schema.node.c.name == home)
        else:
            statement = select(func.sum(schema.node.c.mailboxes))
        return int(self._connection.execute(statement).scalar() or 0)

    def homes(self) -> dict[str, int]:
        """Return the number of mailboxes on each storage node that has any."""
        node = schema.node
        found = self._all(select(node.c.name, node.c.mailboxes).where(node.c.mailboxes > 0).order_by(node.c.name))
        return {row["name"]: row["mailboxes"] for row in found}

    def bytes_at(self, home: str) -> int:
        """Return the size of all mailboxes that live on a node, as far as it has told their sizes."""
        load, mailbox = schema.mailbox_load, schema.mailbox
        statement = select(func.sum(load.c.bytes)).join(mailbox, mailbox.c.number == load.c.number)
        return int(self._connection.execute(statement.where(mailbox.c.home == home)).scalar() or 0)

    def labels(self, domain: str, labels: Iterable[str]) -> set[str]:
        """Return those of the labels that are taken in the domain."""
        places = (records.place_of(label, domain) for label in labels)
        return {records.label_in(row["place"]) for row in self._among(schema.mailbox.c.place, places)}

    def existing(self, addresses: Iterable[Address]) -> set[Address]:
        """Return those of the addresses that a mailbox or an alias has."""
        found: set[str] = set()
        for chunk in chunks(map(str, addresses)):
            for column in (schema.mailbox.c.address, schema.alias.c.address):
                found.update(row["address"] for row in self._among(column, chunk))
        return set(map(records.address_of, found))

    def move(self, id: int) -> Move | None:
        """Return a move."""
        row = self._one(select(schema.move).where(schema.move.c.id == id))
        return None if row is None else records.move_of(row)

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
        """Return moves sorted by id, those after ``after``; without their certificates."""
        move = schema.move
        statement = select(*_BRIEF).where(move.c.id > after)
        if wanted := sorted(map(str, states)):
            statement = statement.where(move.c.state.in_(wanted))
        if address:
            statement = statement.where(move.c.address == address)
        if parent:
            statement = statement.where(move.c.parent == parent)
        if pair:
            statement = statement.where(move.c.source == pair[0], move.c.target == pair[1])
        if paused is not None:
            statement = statement.where(move.c.paused == paused)
        return list(map(records.move_of, self._all(statement.order_by(move.c.id).limit(limit))))

    def open_moves(self, numbers: Iterable[int]) -> dict[int, Move]:
        """Return the open moves of these mailboxes, by their numbers; without certificates."""
        found = {}
        for chunk in chunks(numbers):
            statement = select(*_BRIEF).where(schema.move.c.number.in_(chunk), schema.MOVE_IS_OPEN)
            found.update({row["number"]: records.move_of(row) for row in self._all(statement)})
        return found

    def count_moves(
        self, states: Iterable[State], *, parent: str = "", paused: bool | None = None
    ) -> dict[tuple[str, str], int]:
        """Return how many moves are in these states, for each source and target that has any."""
        move = schema.move
        statement = select(move.c.source, move.c.target, func.count()).where(
            move.c.state.in_(sorted(map(str, states)))
        )
        if parent:
            statement = statement.where(move.c.parent == parent)
        if paused is not None:
            statement = statement.where(move.c.paused == paused)
        found = self._connection.execute(statement.group_by(move.c.source, move.c.target))
        return {(source, target): int(count) for source, target, count in found}

    def moves_since(self, at: datetime) -> list[Move]:
        """Return the moves that are open, or came into their state since then; see the port."""
        move = schema.move
        # Instants are text of one form and one offset, so they sort as they are.
        wanted = or_(schema.MOVE_IS_OPEN, move.c.changed >= records.instant(at))
        return list(map(records.move_of, self._all(select(*_BRIEF).where(wanted).order_by(move.c.id))))

    def alias(self, address: Address) -> Alias | None:
        """Return the alias of an address."""
        row = self._one(select(schema.alias).where(schema.alias.c.address == str(address)))
        return None if row is None else records.alias_of(row)

    def aliases(self, *, domain: str = "", after: str = "", limit: int = 100) -> list[Alias]:
        """Return aliases sorted by address, those after ``after``."""
        alias = schema.alias
        statement = select(alias).where(alias.c.address > after)
        if domain:
            statement = statement.where(alias.c.domain == domain)
        return list(map(records.alias_of, self._all(statement.order_by(alias.c.address).limit(limit))))

    def aliases_to(self, target: Address) -> list[Address]:
        """Return up to ten aliases that lead to the address, with or without a subaddress."""
        lead = schema.alias_target
        statement = select(lead.c.alias).where(lead.c.target == records.without_subaddress(target))
        found = self._connection.execute(statement.order_by(lead.c.alias).limit(10)).scalars()
        return list(map(records.address_of, found))

    def sender(self, owner: str, sender: str) -> SenderEntry | None:
        """Return what an owner says of a sender."""
        table = schema.sender
        row = self._one(select(table).where(table.c.owner == owner, table.c.sender == sender))
        return None if row is None else records.sender_of(row)

    def senders(self, *, owner: str = "", domain: str = "", after: str = "", limit: int = 100) -> list[SenderEntry]:
        """Return entries sorted by owner and sender, those after ``OWNER SENDER``."""
        table = schema.sender
        of, _, whom = after.partition(" ")
        statement = select(table).where((table.c.owner > of) | ((table.c.owner == of) & (table.c.sender > whom)))
        if owner:
            statement = statement.where(table.c.owner == owner)
        if domain:
            statement = statement.where(table.c.domain == domain)
        statement = statement.order_by(table.c.owner, table.c.sender).limit(limit)
        return list(map(records.sender_of, self._all(statement)))

    def count_senders(self, owner: str) -> int:
        """Return how many entries an owner has."""
        statement = select(func.count()).where(schema.sender.c.owner == owner)
        return int(self._connection.execute(statement).scalar_one())

    def page(self, table: Table, scope: str, after: int, limit: int) -> Page:
        """Return the rows after a revision, in order of revision.

        Rows of one revision are never parted, because ``upto`` could not say how far the follower has come; where
        one revision alone has more rows than ``limit``, the page has all of them. The last page reaches the head,
        so a follower that has applied it has every change of this table and scope; it never leads back.
        """
        feed = feed_id(self._connection, table, scope)
        if feed is None:
            return Page((), max(after, self.head(table, scope)), more=False)
        row = schema.feed_row
        wanted = select(row.c.key, row.c.value, row.c.revision).where(row.c.feed == feed)
        found = self._all(wanted.where(row.c.revision > after).order_by(row.c.revision).limit(limit + 1))
        if len(found) <= limit:
            return Page(_pairs(found), max(after, self.head(table, scope)), more=False)
        cut = found[-1]["revision"]
        whole = [one for one in found if one["revision"] < cut]
        if not whole:
            whole = self._all(wanted.where(row.c.revision == cut))
        upto = whole[-1]["revision"]
        return Page(_pairs(whole), upto, more=upto < self.head(table, scope))

    def head(self, table: str, scope: str) -> int:
        """Return the revision of the last change of a table and scope; ``settings`` is a table here."""
        feed = schema.feed
        statement = select(feed.c.head).where(feed.c.table_name == str(table), feed.c.scope == scope)
        return int(self._connection.execute(statement).scalar() or 0)

    def digests(self, table: Table, scope: str) -> list[tuple[int, int]]:
        """Return, for each bucket, how many rows it has and the sum of their digests."""
        row = schema.feed_row
        statement = (
            select(row.c.bucket, func.count(), func.sum(row.c.digest))
            .where(row.c.feed == feed_id(self._connection, table, scope), row.c.value.is_not(None))
            .group_by(row.c.bucket)
        )
        found = {bucket: (int(count), int(total)) for bucket, count, total in self._connection.execute(statement)}
        return [found.get(bucket, (0, 0)) for bucket in range(BUCKETS)]

    def bucket(self, table: Table, scope: str, bucket: int) -> list[tuple[str, Value]]:
        """Return the rows of one bucket, sorted by key."""
        row = schema.feed_row
        statement = select(row.c.key, row.c.value).where(
            row.c.feed == feed_id(self._connection, table, scope),
            row.c.bucket == bucket,
            row.c.value.is_not(None),
        )
        return sorted((key, json.loads(value)) for key, value in self._connection.execute(statement))

    def concerns(self, revision: int) -> tuple[Concern, ...]:
        """Return which tables and scopes a revision touched."""
        statement = select(schema.event.c.concerns).where(schema.event.c.revision == revision)
        text = self._connection.execute(statement).scalar()
        return () if text is None else audit.concerns_of(text)

    def positions(self) -> list[Position]:
        """Return how far every node is."""
        position = schema.position
        return list(
            map(records.position_of, self._all(select(position).order_by(position.c.node, position.c.table_name)))
        )

    def events(self, *, after: int = 0, limit: int = 100) -> list[Event]:
        """Return the events after a revision."""
        event = schema.event
        statement = select(event).where(event.c.revision > after).order_by(event.c.revision).limit(limit)
        return list(map(audit.event_of, self._all(statement)))

    def events_of(
        self, subject: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> list[Event]:
        """Return the newest events of one subject, the oldest first."""
        event = schema.event
        statement = select(event).where(event.c.subject == subject)
        # Instants are text of one form and one offset, so they sort as they are.
        if since is not None:
            statement = statement.where(event.c.at >= records.instant(since))
        if until is not None:
            statement = statement.where(event.c.at <= records.instant(until))
        newest = self._all(statement.order_by(event.c.revision.desc()).limit(limit))
        return [audit.event_of(row) for row in reversed(newest)]

    def key(self, id: str) -> Key | None:
        """Return an administrator's key."""
        row = self._one(select(schema.api_key).where(schema.api_key.c.id == id))
        return None if row is None else records.key_of(row)

    def keys(self) -> list[Key]:
        """Return every administrator's key, the oldest first."""
        key = schema.api_key
        return list(map(records.key_of, self._all(select(key).order_by(key.c.created, key.c.id))))

    def token(self, id: str) -> JoinToken | None:
        """Return a join token."""
        row = self._one(select(schema.join_token).where(schema.join_token.c.id == id))
        return None if row is None else records.token_of(row)

    def reports(self, kind: str) -> list[Report]:
        """Return the last report of this kind of every node."""
        report = schema.report
        return list(
            map(records.report_of, self._all(select(report).where(report.c.kind == kind).order_by(report.c.node)))
        )

    def load(self, number: int) -> Load | None:
        """Return what a mailbox is used."""
        return usage.known(self._connection, [number]).get(number)

    def load_rows(self, chunk: int = 100_000) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield every mailbox with its home and what it is used, as plain rows in chunks; see the port."""
        return usage.rows(self._connection, chunk)

    def node_minutes(self, node: str, since: int) -> list[tuple[int, NodeLoad]]:
        """Return what a node did, minute by minute."""
        return usage.minutes(self._connection, node, since)

    def value(self, name: str) -> str | None:
        """Return one of the controller's own values."""
        statement = select(schema.own_value.c.value).where(schema.own_value.c.name == name)
        found = self._connection.execute(statement).scalar()
        return None if found is None else str(found)


def _tied(ties: Ties) -> list[ColumnElement[bool]]:
    """Return what a mailbox must fulfil to have these ties at least."""
    return [schema.mailbox.c[tie] == wanted for tie in schema.TIES if (wanted := getattr(ties, tie))]


def _pairs(found: Iterable[RowMapping]) -> list[tuple[str, Value | None]]:
    return [(row["key"], None if row["value"] is None else json.loads(row["value"])) for row in found]
