"""A batch of mailboxes on the way into their table: what was there before, what is taken, what to write.

Everything is asked for and written in one statement for the whole batch, so that a hundred thousand mailboxes take
seconds; and a fault is found before the database meets it, so that the error can name the mailbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from roost.domain.cluster import Domain, Mailbox
from roost.domain.errors import AlreadyExists, NotFound
from roost.store import records, schema


@dataclass(frozen=True)
class Placed:
    """By how much the counts of mailboxes change, for each domain and each home."""

    domains: Counter[str]
    homes: Counter[str]


@dataclass(frozen=True)
class Batch:
    """Mailboxes to add or change, checked against the store."""

    connection: Connection
    mailboxes: Sequence[Mailbox]
    old: Mapping[str, Mailbox]
    domains: Mapping[str, Domain]

    @classmethod
    def read(cls, connection: Connection, mailboxes: Sequence[Mailbox]) -> Batch:
        """Read what the batch meets; raises ``NotFound`` and ``AlreadyExists``."""
        table, texts = schema.mailbox, [str(mailbox.address) for mailbox in mailboxes]
        rows = connection.execute(select(table).where(table.c.address.in_(texts))).mappings()
        old = {row["address"]: records.mailbox_of(row) for row in rows}
        names = sorted({mailbox.address.domain for mailbox in mailboxes})
        found = connection.execute(select(schema.domain).where(schema.domain.c.name.in_(names))).mappings()
        batch = cls(connection, mailboxes, old, {row["name"]: records.domain_of(row) for row in found})
        batch._check(texts)
        return batch

    def _check(self, texts: Sequence[str]) -> None:
        nodes = {mailbox.home for mailbox in self.mailboxes}
        nodes |= {mailbox.ties.pin for mailbox in self.mailboxes if mailbox.ties.pin}
        node, alias = schema.node.c.name, schema.alias.c.address
        known = set(self.connection.execute(select(node).where(node.in_(sorted(nodes)))).scalars())
        aliases = set(self.connection.execute(select(alias).where(alias.in_(texts))).scalars())
        seen: set[str] = set()
        for mailbox, text in zip(self.mailboxes, texts, strict=True):
            old = self.old.get(text)
            if mailbox.address.domain not in self.domains:
                raise NotFound(f"There is no domain {mailbox.address.domain}.", field="address")
            if mailbox.home not in known:
                raise NotFound(f"There is no node {mailbox.home}.", field="home")
            if mailbox.ties.pin and mailbox.ties.pin not in known:
                raise NotFound(f"There is no node {mailbox.ties.pin}.", field="pin")
            if text in aliases:
                raise AlreadyExists(f"There is an alias {text}.", field="address")
            if text in seen or (old is not None and old.number != mailbox.number):
                raise AlreadyExists(f"There is a mailbox {text} already.", field="address")
            seen.add(text)
        self._check_labels()

    def _check_labels(self) -> None:
        """Labels are unique in a domain, within the batch and beside what is there."""
        table = schema.mailbox
        wanted: dict[str, Mailbox] = {}
        for mailbox in self.mailboxes:
            old = self.old.get(str(mailbox.address))
            if old is None or old.label != mailbox.label:
                place = records.place_of(mailbox.label, mailbox.address.domain)
                if place in wanted:
                    raise _label_taken(mailbox, str(wanted[place].address))
                wanted[place] = mailbox
        taken = self.connection.execute(select(table.c.place, table.c.address).where(table.c.place.in_(wanted)))
        for place, address in taken:
            raise _label_taken(wanted[place], address)

    def pairs(self) -> Iterator[tuple[Mailbox, Mailbox | None]]:
        """Yield each mailbox with what it was before."""
        for mailbox in self.mailboxes:
            yield mailbox, self.old.get(str(mailbox.address))

    def write(self) -> None:
        """Write the mailboxes themselves."""
        table = schema.mailbox
        new = [records.mailbox_columns(mailbox) for mailbox, old in self.pairs() if old is None]
        if new:
            self.connection.execute(table.insert(), new)
        changed = [
            {**records.mailbox_columns(mailbox), "of": mailbox.number}
            for mailbox, old in self.pairs()
            if old is not None and old != mailbox
        ]
        if changed:
            fields = [column.name for column in table.columns if column.name not in {"number", "address", "domain"}]
            for one in changed:
                for fixed in ("number", "address", "domain"):
                    del one[fixed]
            statement = table.update().where(table.c.number == bindparam("of"))
            self.connection.execute(statement.values({field: bindparam(field) for field in fields}), changed)

    def placed(self) -> Placed:
        """Return what the batch changes in the counts."""
        domains, homes = Counter[str](), Counter[str]()
        for mailbox, old in self.pairs():
            homes[mailbox.home] += 1
            if old is None:
                domains[mailbox.address.domain] += 1
            else:
                homes[old.home] -= 1
        return Placed(domains, homes)


def _label_taken(mailbox: Mailbox, other: str) -> AlreadyExists:
    return AlreadyExists(
        f"{mailbox.address} cannot have the label {mailbox.label}: it is that of {other}.", field="label"
    )
