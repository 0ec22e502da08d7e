"""A batch of moves on the way into their table, with the mailboxes that they change; and all rows of a mailbox.

A move is written only over what its step was decided from (compare and set), and only along the table of states of
``roost.domain.move``. The step into ``settling`` is the one that gives a mailbox its new home.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from roost.domain.cluster import Domain, Mailbox, Policy
from roost.domain.desired import Row, rows_of_mailbox
from roost.domain.errors import AlreadyExists, NotFound, Refused, StoreBusy
from roost.domain.move import NEXT, Move, State, guest_of, rows_of_move
from roost.ports.store import Step
from roost.store import records, schema
from roost.store.engine import upsert
from roost.store.mailboxes import Placed


def rows_of(mailbox: Mailbox, domain: Domain, policy: Policy, move: Move | None) -> tuple[Row, ...]:
    """Return all rows that a mailbox gives, those of its open move with them."""
    if move is None:
        return rows_of_mailbox(mailbox, domain, policy)
    orders = rows_of_move(move, mailbox.hostname(domain), policy.move_bandwidth, policy.hold_seconds)
    return (*rows_of_mailbox(mailbox, domain, policy, guest_of(move, mailbox.format)), *orders)


@dataclass(frozen=True)
class Changed:
    """A step checked: the move and its mailbox, before and after."""

    verb: str
    old: Move | None
    new: Move
    before: Mailbox
    after: Mailbox

    def told(self) -> dict[str, str]:
        """Return what the event tells."""
        told = records.changes(_told(self.old) if self.old else None, _told(self.new))
        return {"move": str(self.new.id), **told} | ({"reason": self.new.reason} if self.new.reason else {})


@dataclass(frozen=True)
class MoveBatch:
    """Steps to take together; a mailbox may occur in one of them only."""

    connection: Connection
    steps: Sequence[Step]
    stored: Mapping[int, Move]
    mailboxes: Mapping[int, Mailbox]
    domains: Mapping[str, Domain]
    busy: Mapping[int, int]
    """The mailboxes' open moves, by the mailboxes' numbers."""

    nodes: frozenset[str]
    """Those of the targets that there are."""

    @classmethod
    def read(cls, connection: Connection, steps: Sequence[Step]) -> MoveBatch:
        """Read what the steps meet."""
        move, mailbox, domain = schema.move, schema.mailbox, schema.domain
        ids, numbers = [step.new.id for step in steps], [step.new.number for step in steps]
        if len(set(numbers)) != len(numbers):
            raise AlreadyExists("A mailbox occurs twice among the moves.", field="address")
        stored = connection.execute(select(move).where(move.c.id.in_(ids))).mappings()
        rows = connection.execute(select(mailbox).where(mailbox.c.number.in_(numbers))).mappings()
        mailboxes = {row["number"]: records.mailbox_of(row) for row in rows}
        names = sorted({found.address.domain for found in mailboxes.values()})
        domains = connection.execute(select(domain).where(domain.c.name.in_(names))).mappings()
        name, targets = schema.node.c.name, sorted({step.new.target for step in steps})
        is_open = select(move.c.number, move.c.id).where(move.c.number.in_(numbers), schema.MOVE_IS_OPEN)
        return cls(
            connection,
            steps,
            {row["id"]: records.move_of(row) for row in stored},
            mailboxes,
            {row["name"]: records.domain_of(row) for row in domains},
            {row.number: row.id for row in connection.execute(is_open)},
            frozenset(connection.execute(select(name).where(name.in_(targets))).scalars()),
        )

    def changes(self, revision: int) -> Iterator[Changed]:
        """Yield each step, checked, with the revisions after this one."""
        for step in self.steps:
            revision += 1
            yield self._change(step, revision)

    def _change(self, step: Step, revision: int) -> Changed:
        old, new = step.old, step.new
        stored = self.stored.get(new.id)
        certificate = new.certificate or (stored.certificate if stored else "")
        if stored != (old and replace(old, certificate=stored.certificate if stored else "")):
            raise StoreBusy(f"The move {new.id} has changed meanwhile.", remedy="Try again in a moment.")
        mailbox = self.mailboxes.get(new.number)
        if mailbox is None or mailbox.address != new.address:
            raise NotFound(f"There is no mailbox {new.address}.", field="address")
        if old is None:
            self._check_new(new, mailbox)
        turned = old is None or old.state is not new.state
        if old is not None and turned and new.state not in NEXT[old.state]:
            raise Refused(f"The move {new.id} is {old.state} and cannot become {new.state}.")
        new = replace(new, revision=revision if turned or old is None else old.revision, certificate=certificate)
        after = mailbox
        if turned and new.state is State.SETTLING:
            new = replace(new, format_before=mailbox.format)
            after = replace(mailbox, home=new.target, format=new.format or mailbox.format)
        return Changed(step.verb, old, new, mailbox, after)

    def _check_new(self, move: Move, mailbox: Mailbox) -> None:
        if move.number in self.busy:
            raise AlreadyExists(f"{move.address} has an open move, {self.busy[move.number]}.", field="address")
        if move.target not in self.nodes:
            raise NotFound(f"There is no node {move.target}.", field="to")
        if move.source != mailbox.home or move.source == move.target:
            raise Refused(f"{move.address} is at home on {mailbox.home}.", field="to")

    def write(self, changed: Sequence[Changed]) -> Placed:
        """Write the moves, and the mailboxes that have a new home; returns what changes in the counts."""
        self.connection.execute(
            upsert(self.connection, schema.move), [records.move_columns(one.new) for one in changed]
        )
        homes, table = Counter[str](), schema.mailbox
        for one in changed:
            if one.after != one.before:
                place = table.update().where(table.c.number == one.after.number)
                self.connection.execute(place.values(home=one.after.home, format=one.after.format))
                homes[one.before.home] -= 1
                homes[one.after.home] += 1
        return Placed(Counter(), homes)


def _told(move: Move) -> dict[str, Any]:
    names = ("state", "source", "target", "format", "deep", "back_of", "parent", "paused", "aborting", "attempts")
    return {name: str(getattr(move, name)) if name == "state" else getattr(move, name) for name in names}
