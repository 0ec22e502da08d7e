"""Who is tied to whom, and so on which nodes a mailbox may live (``roost.domain.ties``).

Groups are asked for some at a time, by an index, and only those that matter; what is placed or sent elsewhere
meanwhile is told with ``settle``. Who is being moved counts where he goes. A mailbox without ties costs nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from roost.domain.cluster import Cluster, Mailbox, Role
from roost.domain.errors import NotFound, Refused
from roost.domain.move import ARRIVING
from roost.domain.ties import GROUP_MOST, Ties
from roost.ports.store import Reader

Leaving = Callable[[Mailbox], bool]
"""Says of a mailbox that it does not stay where it is, so that it binds nobody to that node."""


@dataclass(frozen=True)
class Hindrance:
    """Why a mailbox may not live on a node: by which tie, in a sentence, and what to do."""

    tie: str
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Only(Hindrance):
    """Why a mailbox may live on one ``node`` only, and so on no other."""

    node: str


def _stays(mailbox: Mailbox) -> bool:
    del mailbox
    return False


class Kin:
    """The groups of some mailboxes, as they are and as they will be."""

    def __init__(self, view: Reader, cluster: Cluster) -> None:
        self._view = view
        self._cluster = cluster
        self._nodes = {node.name: node for node in cluster.with_role(Role.STORAGE)}
        self._together: dict[str, dict[int, Mailbox]] = {}
        self._apart: dict[str, dict[int, Mailbox]] = {}

    def learn(self, some: Iterable[Ties]) -> None:
        """Ask once for the groups of many mailboxes, and whom their members are kept apart from."""
        wanted = [ties for ties in some if ties.together or ties.apart]
        together = {ties.together for ties in wanted} - {"", *self._together}
        found = self._take(self._together, together, self._view.grouped(together=together)) if together else []
        apart = {ties.apart for ties in (*wanted, *(mailbox.ties for mailbox in found))} - {"", *self._apart}
        if apart:
            self._take(self._apart, apart, self._view.grouped(apart=apart))

    def _take(self, groups: dict[str, dict[int, Mailbox]], names: set[str], found: list[Mailbox]) -> list[Mailbox]:
        groups.update({name: {} for name in names})
        moves = self._view.open_moves(mailbox.number for mailbox in found)
        for mailbox in found:
            move = moves.get(mailbox.number)
            is_coming = move is not None and move.state in ARRIVING and not move.aborting
            self.settle(replace(mailbox, home=move.target) if move and is_coming else mailbox)
        return found

    def settle(self, mailbox: Mailbox) -> None:
        """Take note that a mailbox lives on its home, or will."""
        for groups, name in ((self._together, mailbox.ties.together), (self._apart, mailbox.ties.apart)):
            if name in groups:
                groups[name][mailbox.number] = mailbox

    # Where a mailbox may live

    def only(self, mailbox: Mailbox, leaving: Leaving = _stays) -> Only | None:
        """Return the one node to which its pin or its group binds a mailbox; None where nothing does.

        A group is where most of those live who stay; a node on its way out holds nobody.
        """
        if pin := mailbox.ties.pin:
            return Only("pin", f"{mailbox.address} is pinned to {pin}.", "Choose that node, or another pin.", pin)
        group = mailbox.ties.together
        others = self._others(self._together, group, mailbox)
        kept = f"{mailbox.address} is kept together with"
        if pinned := next((other for other in others if other.ties.pin), None):
            pin = pinned.ties.pin
            remedy = f"Choose that node, or another pin: 'roost user set {pinned.address} --pin NODE'."
            return Only("together", f"{kept} {pinned.address}, who is pinned to {pin}.", remedy, pin)
        homes = Counter(other.home for other in others if self._holds(other.home) and not leaving(other))
        if not homes:
            return None
        seat = min(homes, key=lambda name: (-homes[name], name))
        one = next(other for other in others if other.home == seat and not leaving(other))
        remedy = f"'roost user move --together {group}' moves all of them; or take it out of the group {group}."
        return Only("together", f"{kept} {one.address}, who lives on {seat}.", remedy, seat)

    def company(self, mailbox: Mailbox, leaving: Leaving = _stays) -> list[Mailbox]:
        """Return a mailbox and those of its group that leave with it."""
        return [mailbox, *filter(leaving, self._others(self._together, mailbox.ties.together, mailbox))]

    def hindrance(self, mailbox: Mailbox, name: str, leaving: Leaving = _stays) -> Hindrance | None:
        """Return why a mailbox, or one who leaves with it, may not live on a node; None where all may."""
        only = self.only(mailbox, leaving)
        if only and only.node != name:
            return only
        found = (self._own(one, name, leaving) for one in self.company(mailbox, leaving))
        return next((one for one in found if one), None)

    def _own(self, mailbox: Mailbox, name: str, leaving: Leaving) -> Hindrance | None:
        """Return why a mailbox, its group apart, may not live on a node."""
        ties, node = mailbox.ties, self._nodes.get(name)
        if ties.pin and ties.pin != name:
            return self.only(mailbox)
        if ties.service_class and (node is None or ties.service_class not in node.classes):
            words = f"{mailbox.address} has the class {ties.service_class}, which {name} does not offer."
            offering = ", ".join(node.name for node in self._cluster.offering(ties.service_class))
            return Hindrance("class", words, f"It is offered by {offering}." if offering else "Let a node offer it.")
        for other in self._others(self._apart, ties.apart, mailbox):
            if other.home == name and not leaving(other):
                words = f"{mailbox.address} is kept apart from {other.address}, who lives on {name}."
                return Hindrance("apart", words, "Choose another node, or another group.")
        return None

    # What ties are possible

    def check(self, mailbox: Mailbox) -> None:
        """Refuse ties that cannot be kept on any node; ``learn`` them before."""
        ties = mailbox.ties
        if ties.pin:
            self._check_pin(ties)
        if ties.service_class and not self._cluster.offering(ties.service_class):
            offered = sorted({name for node in self._nodes.values() for name in node.classes})
            raise Refused(
                f"No storage node offers the class {ties.service_class}.",
                field="class",
                remedy=f"Let one offer it: 'roost node set NODE --class {ties.service_class}'."
                + (f" There are: {', '.join(offered)}." if offered else ""),
            )
        group = [mailbox, *self._others(self._together, ties.together, mailbox)]
        if ties.together:
            self._check_group(ties, group)
        apart = self._others(self._apart, ties.apart, mailbox)
        nodes = self._cluster.serving(Role.STORAGE)
        if ties.apart and len(apart) >= max(len(nodes), 1):
            raise Refused(
                f"{len(apart)} mailboxes are kept apart as {ties.apart} already, and there are {len(nodes)} "
                "storage nodes.",
                field="apart",
                remedy="Add a node, or leave it out.",
            )
        both = next((other for other in group[1:] if ties.apart and other.ties.apart == ties.apart), None)
        if both:
            raise Refused(
                f"{mailbox.address} cannot be kept both together with {both.address} and apart.",
                field="apart",
                remedy=f"Take one of them out of {ties.together} or {ties.apart}.",
            )

    def _check_pin(self, ties: Ties) -> None:
        node = self._nodes.get(ties.pin)
        if node is None:
            raise NotFound(
                f"There is no storage node {ties.pin}.", field="pin", remedy="See 'roost node list' for their names."
            )
        if node.life.leaving:
            raise Refused(
                f"{node.name} is {node.life}: nobody can be pinned to it.", field="pin", remedy="Name another."
            )
        if ties.service_class and ties.service_class not in node.classes:
            raise Refused(
                f"{node.name} does not offer the class {ties.service_class}.",
                field="pin",
                remedy=f"Let it: 'roost node set {node.name} --class {ties.service_class}'; or pin to another.",
            )

    def _check_group(self, ties: Ties, group: list[Mailbox]) -> None:
        if len(group) > GROUP_MOST:
            raise Refused(
                f"The group {ties.together} has {GROUP_MOST} mailboxes already.", field="together", remedy="Part it."
            )
        pins = {one.ties.pin: one for one in group if one.ties.pin}
        if len(pins) > 1:
            one, other = list(pins.values())[:2]
            raise Refused(
                f"{one.address} is pinned to {one.ties.pin}, and {other.address} of the same group to "
                f"{other.ties.pin}.",
                field="pin",
                remedy="Give all of a group one pin, or none.",
            )
        classes = sorted({one.ties.service_class for one in group} - {""})
        able = [node for node in self._cluster.serving(Role.STORAGE) if not pins or node.name in pins]
        if not any(set(classes) <= set(node.classes) for node in able):
            where = f"{next(iter(pins))}, to which the group is pinned," if pins else "no storage node"
            does_not = " does not offer" if pins else " offers"
            raise Refused(
                f"The group {ties.together} needs one node with the classes {', '.join(classes)}, and "
                f"{where}{does_not} them all.",
                field="class",
                remedy="Let one offer them ('roost node set'), or give all of the group one class.",
            )

    @staticmethod
    def _others(groups: dict[str, dict[int, Mailbox]], name: str, mailbox: Mailbox) -> list[Mailbox]:
        return [other for number, other in groups.get(name, {}).items() if number != mailbox.number]

    def _holds(self, name: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and not node.life.leaving
