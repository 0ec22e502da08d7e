"""A cluster in plain dictionaries, and the rows that follow from it: what a store is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from roost.domain.cluster import Alias, Cluster, Domain, Mailbox, Node, Policy
from roost.domain.desired import Guest, Place, Row, rows_of_alias, rows_of_mailbox
from roost.domain.errors import Refused
from roost.domain.move import NEXT, Move, State, rows_of_move
from roost.domain.names import Address
from roost.domain.testbox import rows_with_node


@dataclass
class Model:
    """The cluster as plain dictionaries; raises ``Refused`` where the store should."""

    domain: str = "example.net"
    policy: Policy = field(default_factory=Policy)
    nodes: dict[str, Node] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[Address, Mailbox] = field(default_factory=dict)
    aliases: dict[Address, Alias] = field(default_factory=dict)
    moves: dict[Address, Move] = field(default_factory=dict)
    """The open ones."""

    moved: set[int] = field(default_factory=set)
    """Numbers of the mailboxes for which a move was ever asked."""

    probe: str = ""
    """The secret of the test mailboxes."""

    def rows(self) -> list[Row]:
        """Everything that all nodes should have, from scratch."""
        small = Cluster(self.domain, 0, (), (), probe=self.probe)
        found = [row for node in self.nodes.values() for row in rows_with_node(small, node)]
        for mailbox in self.mailboxes.values():
            domain, move, guest = self.domains[mailbox.address.domain], self.moves.get(mailbox.address), None
            if move:
                orders = (mailbox.hostname(domain), self.policy.move_bandwidth, self.policy.hold_seconds)
                found += rows_of_move(move, *orders)
            if move and move.state is State.SETTLING:
                guest = Guest(move.source, Place.MOVED, move.format_before)
            elif move and move.state is not State.ASKED:
                guest = Guest(move.target, Place.INCOMING, move.format or mailbox.format)
            found += rows_of_mailbox(mailbox, domain, self.policy, guest)
        return found + [row for alias in self.aliases.values() for row in rows_of_alias(alias)]

    def need(self, condition: object) -> None:
        """Refuse unless it is so."""
        if not condition:
            raise Refused("The model refuses.")

    def put_mailbox(self, mailbox: Mailbox) -> None:
        """Add or change one."""
        self.need(mailbox.address.domain in self.domains and mailbox.home in self.nodes)
        self.need(not mailbox.ties.pin or mailbox.ties.pin in self.nodes)
        self.need(mailbox.address not in self.aliases)
        for other in self.mailboxes.values():
            same = (other.label, other.address.domain) == (mailbox.label, mailbox.address.domain)
            self.need(other.address == mailbox.address or not same)
        if mailbox.address in self.moves:
            self.need(self.mailboxes[mailbox.address].home == mailbox.home)
        self.mailboxes[mailbox.address] = mailbox

    def remove_node(self, name: str) -> None:
        """Remove one on which nobody lives, and to which nobody is pinned."""
        self.need(name in self.nodes and all(name not in (m.home, m.ties.pin) for m in self.mailboxes.values()))
        self.need(all(name not in (move.source, move.target) for move in self.moves.values()))
        del self.nodes[name]

    def put_domain(self, domain: Domain) -> None:
        """Add or change one."""
        self.need(all(d.access_zone != domain.access_zone for d in self.domains.values() if d.name != domain.name))
        self.domains[domain.name] = domain

    def remove_domain(self, name: str) -> None:
        """Remove an empty one."""
        self.need(name in self.domains)
        self.need(all(address.domain != name for address in (*self.mailboxes, *self.aliases)))
        del self.domains[name]

    def remove_mailbox(self, address: Address) -> None:
        """Remove one that is there."""
        self.need(address in self.mailboxes and address not in self.moves)
        del self.mailboxes[address]

    def ask_move(self, move: Move) -> None:
        """Begin one."""
        box = self.mailboxes[move.address]
        self.need(move.address not in self.moves and move.target in self.nodes and move.target != box.home)
        self.moved.add(box.number)
        self.moves[move.address] = move

    def step_move(self, move: Move) -> None:
        """Take a step along the table of states, or none."""
        old, box = self.moves[move.address], self.mailboxes[move.address]
        self.need(move.state is old.state or move.state in NEXT[old.state])
        if move.state is State.SETTLING and old.state is not State.SETTLING:
            move = replace(move, format_before=box.format)
            self.mailboxes[box.address] = replace(box, home=move.target, format=move.format or box.format)
        self.moves[move.address] = move
        if not move.open:
            del self.moves[move.address]

    def restored(self, then: Model) -> Model:
        """Return what a backup is after its restore: moves and homes of mailboxes that were moved stay."""
        for address, box in then.mailboxes.items():
            now = self.mailboxes.get(address)
            known = box.number in self.moved or address in then.moves
            if now is None or now.number != box.number or not known:
                continue
            then.moves.pop(address, None)
            move = self.moves.get(address)
            if move and {move.source, move.target} <= set(then.nodes):
                then.moves[address] = move
            if now.home in then.nodes:
                then.mailboxes[address] = replace(box, home=now.home, format=now.format)
            then.moved.add(box.number)
        return then

    def remove_alias(self, address: Address) -> None:
        """Remove one that is there."""
        self.need(address in self.aliases)
        del self.aliases[address]

    def put_alias(self, alias: Alias) -> None:
        """Add or change one."""
        self.need(alias.address.domain in self.domains and alias.address not in self.mailboxes)
        self.aliases[alias.address] = alias
