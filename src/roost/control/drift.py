"""What nodes found not to be as it should: asked for by a number, reported by the nodes, kept as their last word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from roost.control import nodes
from roost.control.followers import Followers
from roost.ports.store import CHECK, LIFTED, Reader, Report, Store

KIND = "drift"
"""Reports of checks: a node's last one."""

FOUND = "drift-found"
"""Reports with findings, of checks and of the agents' own watch: a node's last one, which a clean check leaves."""


@dataclass(frozen=True)
class Drift:
    """The last check that was asked for, the nodes that still owe it, every node's last report, and its last
    findings where they are older than that."""

    check: int
    waiting: tuple[str, ...]
    reports: tuple[Report, ...]
    earlier: tuple[Report, ...]


def take(store: Store, report: Report, *, checked: bool, found: bool) -> None:
    """Keep a node's report: ``checked`` if it is of a whole check, ``found`` if there are findings in it."""
    if checked:
        store.put_report(report)
    if found:
        store.put_report(replace(report, kind=FOUND))


def ask(store: Store, lift: Sequence[str] = ()) -> int:
    """Ask every node for a check now; return its number.

    On the nodes in ``lift`` this one check may delete as many rows as it finds too many. Raises ``NotFound``.
    """
    with store.read() as view:
        number = int(view.value(CHECK) or 0) + 1
        names = [nodes.find(view.cluster(), name).name for name in lift]
    store.put_value(LIFTED, " ".join([str(number), *names]))
    store.put_value(CHECK, str(number))
    return number


def lifted(view: Reader, name: str) -> bool:
    """Say whether the brake is lifted on a node for the check that was asked for last."""
    number, *names = (view.value(LIFTED) or "0").split()
    return number == view.value(CHECK) and name in names


def drift(store: Store, followers: Followers) -> Drift:
    """Return the state of the last check."""
    with store.read() as view:
        number = int(view.value(CHECK) or 0)
        names = [node.name for node in view.cluster().nodes if node.joined]
        reports = tuple(view.reports(KIND))
        earlier = tuple(found for found in view.reports(FOUND) if not _within(found, reports))
    waiting = tuple(name for name in sorted(names) if followers.seen(name).checked < number)
    return Drift(number, waiting, reports, earlier)


def _within(found: Report, reports: tuple[Report, ...]) -> bool:
    return any((found.node, found.at) == (report.node, report.at) for report in reports)
