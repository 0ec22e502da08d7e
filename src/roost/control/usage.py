"""What storage nodes tell of their mailboxes' use, and of themselves: taken down, and looked up.

A node tells of its own mailboxes only; of others nothing is believed, nor what cannot be. Times are those of the
controller's clock: a report counts as one of now, whatever the node's clock says, and what began before it as so much
before.

What the cluster has known for long is not given up for a young measuring: a mailbox that has moved is told to its new
home with what the old one knew (``prior``), which goes on from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial

from roost.control import mailboxes, nodes
from roost.control.writing import Done
from roost.domain.cluster import Node, Role
from roost.domain.errors import Forbidden
from roost.domain.node_load import NodeLoad, Strength, declared_over, is_possible
from roost.domain.usage import Load, Size, rates_of, refusal
from roost.ports.store import Report, Store

KIND = "strength"
"""Reports of how strong a node is."""

_KEPT_MINUTES = 2 * 24 * 60
_MOST_CODE, _MOST = 1000, 2**62
_OLDEST_MINUTES = 10 * 366 * 24 * 60
_YOUNG = 2
"""A measuring less than half as old as what is known goes on from it."""


@dataclass(frozen=True)
class Told:
    """What came of a report: numbers that are not the node's, what it is to go on from, what to measure for."""

    foreign: list[int]
    priors: list[Load]
    measure: int


def take(
    store: Store, node: Node, loads: Iterable[Load], minute: NodeLoad | None, now: datetime, *, login: float = 0.0
) -> Told:
    """Take down what mailboxes are used, and what the node did; raises ``Forbidden`` for one that holds none.

    ``login`` is how long the probe's last login there took, in seconds; 0 where there was none.
    """
    if Role.STORAGE not in node.roles:
        raise Forbidden(f"{node.name} is no storage node.")
    at = int(now.timestamp() // 60)
    told = {load.number: _redated(load, at) for load in loads if _is_possible(load)}
    priors: list[Load] = []
    mine = store.put_loads(node.name, list(told.values()), partial(_merged, priors)) if told else []
    if minute is not None and is_possible(minute):
        store.put_node_load(node.name, at, replace(minute, login=login), at - _KEPT_MINUTES)
    with store.read() as view:
        asked = int(view.value(_request(node.name)) or 0)
    return Told(sorted(told.keys() - {load.number for load in mine}), priors, asked)


def take_strength(store: Store, node: Node, strength: Strength, measured: int, now: datetime) -> None:
    """Keep how strong a node has found itself to be, answering request ``measured``; nothing where it has said so."""
    values = asdict(strength)
    if not all(math.isfinite(value) and value >= 0 for value in values.values()):
        return
    body = json.dumps({"measured": measured, **values})
    with store.read() as view:
        said = any(report.node == node.name and report.body == body for report in view.reports(KIND))
    if not said:
        store.put_report(Report(node.name, KIND, now, body))


def _is_possible(load: Load) -> bool:
    """Say whether a load may be: rubbish must not reach what decides on moves."""
    rates = (rates_of(load.hour), rates_of(load.week)) if max(*load.hour, *load.week) < _MOST_CODE else ()
    size = load.size or Size(0, 0)
    return (
        bool(rates)
        and min(*load.hour, *load.week) >= 0
        and not any(refusal(1.0, rate) for rate in rates)
        and 0 < load.number < _MOST
        and 0 <= load.at - load.since < _OLDEST_MINUTES
        and 0 <= size.bytes < _MOST
        and 0 <= size.messages < _MOST
    )


def _redated(load: Load, at: int) -> Load:
    return load._replace(at=at, since=at - (load.at - load.since))


def _merged(priors: list[Load], told: Load, known: Load | None) -> Load | None:
    """Return what is to be known now."""
    if known is None:
        return told
    if (told.at - told.since) * _YOUNG < known.at - known.since:
        priors.append(known)
        return None
    return told._replace(size=told.size or known.size, pattern=told.pattern or known.pattern)


@dataclass(frozen=True)
class NodeUse:
    """A storage node: its last minutes, the oldest first (minutes, UNIX), and how strong it is.

    ``measured`` is what it found out itself, at ``measured_at``; ``strength`` what counts.
    """

    node: Node
    mailboxes: int
    minutes: list[tuple[int, NodeLoad]]
    measured: Strength | None
    measured_at: datetime | None

    @property
    def strength(self) -> Strength:
        """Return what was declared, and measured for the rest."""
        return declared_over(self.measured or Strength(), self.node.declared)


def of_nodes(store: Store, now: datetime, minutes: int, name: str = "") -> list[NodeUse]:
    """Return the storage nodes, or the one of that name, with what they did in the last minutes."""
    since = int(now.timestamp() // 60) - minutes
    with store.read() as view:
        cluster = view.cluster()
        wanted = [nodes.find(cluster, name)] if name else cluster.with_role(Role.STORAGE)
        homes, reports = view.homes(), {report.node: report for report in view.reports(KIND)}
        return [
            NodeUse(
                node,
                homes.get(node.name, 0),
                view.node_minutes(node.name, since),
                _strength_in(reports.get(node.name)),
                reports[node.name].at if node.name in reports else None,
            )
            for node in wanted
        ]


def of_mailbox(store: Store, address: str) -> tuple[str, Load | None]:
    """Return a mailbox's home, and what it is used; None where nobody has told yet."""
    with store.read() as view:
        mailbox = mailboxes.find(view, address)
        return mailbox.home, view.load(mailbox.number)


def measure(store: Store, name: str) -> Done:
    """Ask a node to measure how strong it is; it does so within two minutes."""
    with store.read() as view:
        node = nodes.find(view.cluster(), name)
        number = int(view.value(_request(node.name)) or 0) + 1
    store.put_value(_request(node.name), str(number))
    return Done(did=[f"{node.name} is asked to measure itself; see 'roost node load {node.name}' in some minutes."])


def _request(node: str) -> str:
    return f"measure {node}"


def _strength_in(report: Report | None) -> Strength | None:
    if report is None:
        return None
    values = json.loads(report.body)
    values.pop("measured", None)
    return Strength(**values)
