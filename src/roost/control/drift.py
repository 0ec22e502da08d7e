"""What nodes found not to be as it should: asked for by a number, reported by the nodes, kept as their last word."""

from __future__ import annotations

from dataclasses import dataclass

from roost.control.feed import CHECK
from roost.control.followers import Followers
from roost.ports.store import Report, Store

KIND = "drift"


@dataclass(frozen=True)
class Drift:
    """The last check that was asked for, the nodes that still owe it, and every node's last report."""

    check: int
    waiting: tuple[str, ...]
    reports: tuple[Report, ...]


def ask(store: Store) -> int:
    """Ask every node for a check now; return its number."""
    with store.read() as view:
        number = int(view.value(CHECK) or 0) + 1
    store.put_value(CHECK, str(number))
    return number


def drift(store: Store, followers: Followers) -> Drift:
    """Return the state of the last check."""
    with store.read() as view:
        number = int(view.value(CHECK) or 0)
        names = [node.name for node in view.cluster().nodes if node.joined]
        reports = tuple(view.reports(KIND))
    waiting = tuple(name for name in sorted(names) if followers.seen(name).checked < number)
    return Drift(number, waiting, reports)
