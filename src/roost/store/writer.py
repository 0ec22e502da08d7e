"""Writing: the thing itself, the rows that follow from it, and the event, in one transaction.

The transaction holds the revision's lock from its beginning, so writers go one at a time and what one reads cannot
change under it. Each ``put`` and ``remove`` is one savepoint: one that raises leaves nothing behind, and the
transaction can go on. Everything is written when the method returns, so the reads that are inherited see it.

The rows of a thing before and after a change come from ``roost.domain.desired``; both are computed, since the old
thing is at hand and old rows would have to be read one by one. Cost follows from what changes, never from what is
there; the two calls that may change much (``put_domain``, ``set_cluster``) walk through it in chunks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, select

from roost.domain.cluster import Alias, Cluster, Domain, Mailbox, Node, Policy
from roost.domain.desired import rows_of_alias
from roost.domain.errors import AlreadyExists, NotFound, StillInUse
from roost.domain.move import OPEN, Move
from roost.domain.names import Address
from roost.domain.senders import SenderEntry, row_of
from roost.domain.testbox import rows_with_node
from roost.domain.ties import Ties
from roost.ports.store import PROBE, Step
from roost.store import records, schema
from roost.store.audit import Log
from roost.store.engine import translated, upsert
from roost.store.mailboxes import Batch, Placed
from roost.store.moves import MoveBatch, rows_of
from roost.store.reader import CHUNK, SqlReader, chunks
from roost.store.rows import RowBook


class SqlWriter(SqlReader):
    """``roost.ports.store.Writer``."""

    def __init__(self, connection: Connection, actor: str) -> None:
        super().__init__(connection)
        self._book = RowBook(connection)
        self._log = Log(connection, actor)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Do all of a change or nothing of it."""
        try:
            with translated(), self._connection.begin_nested():
                yield
                self._book.flush()
        except BaseException:
            self._book.forget()
            self._log.forget()
            raise

    def _take(self, count: int = 1, *, counter: str = "revision") -> int:
        """Return the first of so many new numbers."""
        table = schema.counter
        statement = table.update().where(table.c.name == counter).values(n=table.c.n + count).returning(table.c.n)
        return int(self._connection.execute(statement).scalar_one()) - count + 1

    def record(
        self, verb: str, subject: str, detail: Mapping[str, str], touched: Iterable[tuple[str, str]] = ()
    ) -> int:
        """Take a revision for a change that is written otherwise, and log it."""
        revision = self._take()
        self._log.append([(revision, verb, subject, detail, touched)])
        return revision

    def note(self, verb: str, subject: str, detail: Mapping[str, str]) -> int:
        """Write an event into the audit log about what changes nothing by itself."""
        with self._step():
            return self.record(verb, subject, detail)

    def set_cluster(self, domain: str, policy: Policy) -> int:
        """Set the cluster's own domain and the policy; the rows of all nodes and mailboxes follow."""
        with self._step():
            old, revision = self.cluster(), self._take()
            columns = {"id": 1, "domain": domain, "policy": records.policy_text(policy)}
            self._connection.execute(upsert(self._connection, schema.cluster), columns)
            touched = {self._book.settings(revision)}
            if old.domain != domain:
                touched |= self._nodes_again(revision, old, replace(old, domain=domain))
            # No other setting of the policy is in a mailbox's rows, or in the orders of its move.
            if old.policy.ttl != policy.ttl:
                for mail_domain in old.domains:
                    touched |= self._again(revision, mail_domain, old.policy, mail_domain, policy)
            elif _ordered(old.policy) != _ordered(policy):
                touched |= self._orders_again(revision, old.policy, policy)
            detail = records.changes(
                {"domain": old.domain, **vars(old.policy)} if old.domain else None,
                {"domain": domain, **vars(policy)},
            )
            verb = "policy changed" if old.domain else "cluster founded"
            self._log.append([(revision, verb, domain, detail, touched)])
        return revision

    def set_probe(self, secret: str) -> int:
        """Set the secret of the test mailboxes; all of them are made anew."""
        with self._step():
            old, revision = self.cluster(), self._take()
            new = replace(old, probe=secret, probe_since=revision)
            columns = {"name": PROBE, "value": f"{revision} {secret}"}
            self._connection.execute(upsert(self._connection, schema.own_value), columns)
            touched = {self._book.settings(revision)} | self._nodes_again(revision, old, new)
            self._log.append([(revision, "test mailboxes made", old.domain, {}, touched)])
        return revision

    def _nodes_again(self, revision: int, old: Cluster, new: Cluster) -> set[tuple[str, str]]:
        """Compute the rows of all nodes anew; returns what they touch."""
        touched: set[tuple[str, str]] = set()
        for node in old.nodes:
            touched |= self._book.change(revision, rows_with_node(old, node), rows_with_node(new, node))
        return touched

    def _again(
        self, revision: int, old: Domain, old_policy: Policy, new: Domain, policy: Policy
    ) -> set[tuple[str, str]]:
        """Compute the rows of a domain's mailboxes anew; returns what they touch."""
        touched: set[tuple[str, str]] = set()
        after = ""
        while some := self.mailboxes(domain=new.name, after=after, limit=CHUNK):
            moves = self.open_moves(mailbox.number for mailbox in some)
            for mailbox in some:
                move = moves.get(mailbox.number)
                touched |= self._book.change(
                    revision, rows_of(mailbox, old, old_policy, move), rows_of(mailbox, new, policy, move)
                )
            self._book.flush()
            after = str(some[-1].address)
        return touched

    def _orders_again(self, revision: int, old: Policy, new: Policy) -> set[tuple[str, str]]:
        """Compute the orders of all open moves anew; returns what they touch."""
        touched: set[tuple[str, str]] = set()
        after = 0
        while some := self.moves(states=OPEN, after=after, limit=CHUNK):
            batch = MoveBatch.read(self._connection, [Step(move, move, "") for move in some])
            for move in some:
                mailbox = batch.mailboxes[move.number]
                domain = batch.domains[mailbox.address.domain]
                touched |= self._book.change(
                    revision, rows_of(mailbox, domain, old, move), rows_of(mailbox, domain, new, move)
                )
            self._book.flush()
            after = some[-1].id
        return touched

    def put_node(self, node: Node, verb: str) -> int:
        """Add or change a node."""
        with self._step():
            table, revision = schema.node, self._take()
            row = self._one(select(table).where(table.c.name == node.name))
            old, columns = None if row is None else records.node_of(row), records.node_columns(node)
            if row is None:
                self._connection.execute(table.insert(), {**columns, "mailboxes": 0})
            else:
                self._connection.execute(table.update().where(table.c.name == node.name), columns)
            cluster = self.cluster()
            touched = {self._book.settings(revision)} | self._book.change(
                revision, () if old is None else rows_with_node(cluster, old), rows_with_node(cluster, node)
            )
            detail = records.changes(_node_told(old) if old else None, _node_told(node))
            self._log.append([(revision, verb, node.name, detail, touched)])
        return revision

    def remove_node(self, name: str) -> int:
        """Remove a node that is no mailbox's home and no pin, with its feeds, positions, reports and join tokens."""
        with self._step():
            table = schema.node
            row = self._one(select(table).where(table.c.name == name))
            if row is None:
                raise NotFound(f"There is no node {name}.", field="node")
            if row["mailboxes"]:
                raise StillInUse(f"{name} is the home of {row['mailboxes']} mailboxes.", field="node")
            if pinned := self.count_mailboxes(ties=Ties(pin=name)):
                raise StillInUse(f"{pinned} mailboxes are pinned to {name}.", field="node")
            if move := self._naming(name):
                raise StillInUse(f"The move {move} names {name} and is not over.", field="node")
            revision = self._take()
            self._connection.execute(schema.join_token.delete().where(schema.join_token.c.node == name))
            self._connection.execute(table.delete().where(table.c.name == name))
            old = records.node_of(row)
            touched = {self._book.settings(revision)}
            touched |= self._book.change(revision, rows_with_node(self.cluster(), old), ())
            self._book.flush()
            self._book.drop_scope(name)
            self._log.append([(revision, "node retired", name, {}, touched)])
        return revision

    def put_domain(self, domain: Domain, verb: str) -> int:
        """Add or change a domain; the rows of its mailboxes follow in the same revision."""
        with self._step():
            table = schema.domain
            row = self._one(select(table).where(table.c.name == domain.name))
            zone = select(table.c.name).where(table.c.access_zone == domain.access_zone)
            other = self._connection.execute(zone.where(table.c.name != domain.name)).scalar()
            if other is not None:
                raise AlreadyExists(f"{other} has the access zone {domain.access_zone}.", field="access_zone")
            revision, columns = self._take(), records.domain_columns(domain)
            touched = {self._book.settings(revision)}
            old = None if row is None else records.domain_of(row)
            if old is None:
                self._connection.execute(table.insert(), {**columns, "mailboxes": 0})
            else:
                self._connection.execute(table.update().where(table.c.name == domain.name), columns)
                if old != domain:
                    policy = self._policy()
                    touched |= self._again(revision, old, policy, domain, policy)
            detail = records.changes(records.domain_columns(old) if old else None, columns)
            detail.pop("name", None)
            self._log.append([(revision, verb, domain.name, detail, touched)])
        return revision

    def remove_domain(self, name: str) -> int:
        """Remove a domain without mailboxes and aliases."""
        with self._step():
            table = schema.domain
            row = self._one(select(table).where(table.c.name == name))
            if row is None:
                raise NotFound(f"There is no domain {name}.", field="domain")
            if row["mailboxes"]:
                raise StillInUse(f"{name} has {row['mailboxes']} mailboxes.", field="domain")
            if self.aliases(domain=name, limit=1):
                raise StillInUse(f"{name} has aliases.", field="domain")
            revision = self._take()
            touched = self._forget_senders(revision, name) | {self._book.settings(revision)}
            self._connection.execute(table.delete().where(table.c.name == name))
            self._log.append([(revision, "domain removed", name, {}, touched)])
        return revision

    def new_numbers(self, count: int) -> range:
        """Return numbers for new mailboxes that were never given before; a rollback gives them back."""
        first = self._take(count, counter="number")
        return range(first, first + count)

    def put_mailboxes(self, mailboxes: Sequence[Mailbox], verb: str) -> int:
        """Add or change mailboxes, one revision each; returns the last.

        Raises ``AlreadyExists`` where an address or a label is taken, also by a mailbox of another number, and
        ``NotFound`` where the domain or the home does not exist. An address may occur once in a call. A mailbox
        with an open move keeps its home and its format (``StillInUse``): only the move changes them.
        """
        with self._step():
            revision, policy = self._take(len(mailboxes)) - 1, self._policy()
            for chunk in chunks(mailboxes):
                batch = Batch.read(self._connection, chunk)
                moves = self.open_moves(old.number for old in batch.old.values())
                entries = []
                for mailbox, old in batch.pairs():
                    revision += 1
                    domain = batch.domains[mailbox.address.domain]
                    move = moves.get(mailbox.number)
                    if move and old and (old.home, old.format) != (mailbox.home, mailbox.format):
                        raise _moving(move)
                    before = () if old is None else rows_of(old, domain, policy, move)
                    touched = self._book.change(revision, before, rows_of(mailbox, domain, policy, move))
                    detail = records.changes(_mailbox_told(old) if old else None, _mailbox_told(mailbox))
                    entries.append((revision, verb, str(mailbox.address), detail, touched))
                batch.write()
                self._count(batch.placed())
                self._book.flush()
                self._log.append(entries)
        return revision

    def remove_mailbox(self, address: Address) -> int:
        """Remove a mailbox that has no open move."""
        with self._step():
            old = self.mailbox(address)
            if old is None:
                raise NotFound(f"There is no mailbox {address}.", field="address")
            if move := self.open_moves([old.number]).get(old.number):
                raise _moving(move)
            revision, domain = self._take(), self._domain(address.domain)
            touched = self._book.change(revision, rows_of(old, domain, self._policy(), None), ())
            touched |= self._forget_senders(revision, str(address))
            table = schema.mailbox
            self._connection.execute(table.delete().where(table.c.number == old.number))
            self._count(Placed(Counter({address.domain: -1}), Counter({old.home: -1})))
            self._log.append([(revision, "mailbox removed", str(address), {"home": old.home}, touched)])
        return revision

    def new_move_ids(self, count: int) -> range:
        """Return ids for new moves that were never given before; a rollback gives them back."""
        first = self._take(count, counter="move")
        return range(first, first + count)

    def put_moves(self, steps: Sequence[Step]) -> int:
        """Change moves, one revision each, with the mailboxes' rows and homes; see the port."""
        with self._step():
            revision, policy = self._take(len(steps)) - 1, self._policy()
            for chunk in chunks(steps):
                batch = MoveBatch.read(self._connection, chunk)
                changed, entries = list(batch.changes(revision)), []
                for one in changed:
                    revision += 1
                    domain = batch.domains[one.new.address.domain]
                    touched = self._book.change(
                        revision,
                        rows_of(one.before, domain, policy, one.old),
                        rows_of(one.after, domain, policy, one.new),
                    )
                    entries.append((revision, one.verb, str(one.new.address), one.told(), touched))
                self._count(batch.write(changed))
                self._book.flush()
                self._log.append(entries)
        return revision

    def _naming(self, node: str) -> int | None:
        """Return the id of an open move from or to a node."""
        move = schema.move
        named = select(move.c.id).where(schema.MOVE_IS_OPEN, (move.c.source == node) | (move.c.target == node))
        return self._connection.execute(named.limit(1)).scalar()

    def put_alias(self, alias: Alias, verb: str) -> int:
        """Add or change an alias; raises ``AlreadyExists`` where a mailbox has its address."""
        with self._step():
            if self.mailbox(alias.address) is not None:
                raise AlreadyExists(f"There is a mailbox {alias.address}.", field="address")
            self._domain(alias.address.domain)
            old, revision = self.alias(alias.address), self._take()
            self._connection.execute(upsert(self._connection, schema.alias), records.alias_columns(alias))
            lead, text = schema.alias_target, str(alias.address)
            self._connection.execute(lead.delete().where(lead.c.alias == text))
            targets = {records.without_subaddress(target) for target in alias.targets}
            if targets:
                self._connection.execute(
                    lead.insert(), [{"alias": text, "target": target} for target in sorted(targets)]
                )
            touched = self._book.change(revision, () if old is None else rows_of_alias(old), rows_of_alias(alias))
            detail = records.changes(_alias_told(old) if old else None, _alias_told(alias))
            self._log.append([(revision, verb, text, detail, touched)])
        return revision

    def remove_alias(self, address: Address) -> int:
        """Remove an alias."""
        with self._step():
            old = self.alias(address)
            if old is None:
                raise NotFound(f"There is no alias {address}.", field="address")
            revision, table = self._take(), schema.alias
            touched = self._book.change(revision, rows_of_alias(old), ())
            touched |= self._forget_senders(revision, str(address))
            self._connection.execute(table.delete().where(table.c.address == str(address)))
            self._log.append([(revision, "alias removed", str(address), {}, touched)])
        return revision

    def put_sender(self, entry: SenderEntry, verb: str) -> int:
        """Add or change an entry about a sender."""
        with self._step():
            self._domain(entry.domain)
            old, revision = self.sender(entry.owner, entry.sender), self._take()
            columns = {**vars(entry), "verdict": str(entry.verdict), "domain": entry.domain}
            self._connection.execute(upsert(self._connection, schema.sender), columns)
            touched = self._book.change(revision, () if old is None else (row_of(old),), (row_of(entry),))
            self._log.append([(revision, verb, entry.owner, {"sender": entry.sender}, touched)])
        return revision

    def remove_sender(self, owner: str, sender: str) -> int:
        """Remove an entry about a sender."""
        with self._step():
            old, table = self.sender(owner, sender), schema.sender
            if old is None:
                raise NotFound(f"{owner} has no entry about {sender}.", field="sender")
            revision = self._take()
            touched = self._book.change(revision, (row_of(old),), ())
            self._connection.execute(table.delete().where(table.c.owner == owner, table.c.sender == sender))
            self._log.append([(revision, "sender removed", owner, {"sender": sender}, touched)])
        return revision

    def _forget_senders(self, revision: int, owner: str) -> set[tuple[str, str]]:
        """Remove all entries of an owner that goes; returns what that touches."""
        table = schema.sender
        gone = list(map(records.sender_of, self._all(select(table).where(table.c.owner == owner))))
        self._connection.execute(table.delete().where(table.c.owner == owner))
        return self._book.change(revision, map(row_of, gone), ())

    def _policy(self) -> Policy:
        text = self._connection.execute(select(schema.cluster.c.policy)).scalar()
        return Policy() if text is None else records.policy_of(text)

    def _domain(self, name: str) -> Domain:
        row = self._one(select(schema.domain).where(schema.domain.c.name == name))
        if row is None:
            raise NotFound(f"There is no domain {name}.", field="domain")
        return records.domain_of(row)

    def _count(self, placed: Placed) -> None:
        """Keep the counts of mailboxes of domains and nodes."""
        for table, change in ((schema.domain, placed.domains), (schema.node, placed.homes)):
            by_name = [{"of": name, "by": by} for name, by in sorted(change.items()) if by]
            if by_name:
                more = table.c.mailboxes + bindparam("by")
                statement = table.update().where(table.c.name == bindparam("of")).values(mailboxes=more)
                self._connection.execute(statement, by_name)


def _ordered(policy: Policy) -> tuple[int, int]:
    """Return the settings that stand in the orders of moves."""
    return policy.move_bandwidth, policy.hold_seconds


def _moving(move: Move) -> StillInUse:
    return StillInUse(
        f"{move.address} is being moved from {move.source} to {move.target}.",
        field="address",
        remedy=f"Wait until it is done, or call 'roost move abort {move.id}' first.",
    )


def _node_told(node: Node) -> dict[str, Any]:
    return {
        "roles": ", ".join(sorted(node.roles)),
        "addresses": ", ".join(node.addresses),
        "joined": node.joined,
        "declared": ", ".join(f"{name} {value:g}" for name, value in sorted(node.declared.items())),
        "life": str(node.life),
        "classes": ", ".join(node.classes),
    }


def _mailbox_told(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "home": mailbox.home,
        "label": mailbox.label,
        "password": mailbox.password,
        "quota": mailbox.quota,
        "suspended": mailbox.suspended,
        "format": mailbox.format,
        "together": mailbox.ties.together,
        "apart": mailbox.ties.apart,
        "pin": mailbox.ties.pin,
        "class": mailbox.ties.service_class,
    }


def _alias_told(alias: Alias) -> dict[str, Any]:
    return {"targets": ", ".join(map(str, alias.targets))}
