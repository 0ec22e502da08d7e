"""A cluster in plain dictionaries, and the rows that follow from it: what a store is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from roost.domain.cluster import Alias, Domain, Mailbox, Node, Policy
from roost.domain.desired import Row, rows_of_alias, rows_of_mailbox, rows_of_node
from roost.domain.errors import Refused
from roost.domain.names import Address


@dataclass
class Model:
    """The cluster as plain dictionaries; raises ``Refused`` where the store should."""

    domain: str = "example.net"
    policy: Policy = field(default_factory=Policy)
    nodes: dict[str, Node] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[Address, Mailbox] = field(default_factory=dict)
    aliases: dict[Address, Alias] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Everything that all nodes should have, from scratch."""
        found = [row for node in self.nodes.values() for row in rows_of_node(node, self.domain)]
        for mailbox in self.mailboxes.values():
            found += rows_of_mailbox(mailbox, self.domains[mailbox.address.domain], self.policy)
        return found + [row for alias in self.aliases.values() for row in rows_of_alias(alias)]

    def need(self, condition: object) -> None:
        """Refuse unless it is so."""
        if not condition:
            raise Refused("The model refuses.")

    def put_mailbox(self, mailbox: Mailbox) -> None:
        """Add or change one."""
        self.need(mailbox.address.domain in self.domains and mailbox.home in self.nodes)
        self.need(mailbox.address not in self.aliases)
        for other in self.mailboxes.values():
            same = (other.label, other.address.domain) == (mailbox.label, mailbox.address.domain)
            self.need(other.address == mailbox.address or not same)
        self.mailboxes[mailbox.address] = mailbox

    def remove_node(self, name: str) -> None:
        """Remove one on which nobody lives."""
        self.need(name in self.nodes and all(m.home != name for m in self.mailboxes.values()))
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
        self.need(address in self.mailboxes)
        del self.mailboxes[address]

    def remove_alias(self, address: Address) -> None:
        """Remove one that is there."""
        self.need(address in self.aliases)
        del self.aliases[address]

    def put_alias(self, alias: Alias) -> None:
        """Add or change one."""
        self.need(alias.address.domain in self.domains and alias.address not in self.mailboxes)
        self.aliases[alias.address] = alias
