"""What still lives on a node that is drained: pure decisions. A node of which nothing is left is drained.

=============  ========================  =========================================================================
what is left   on nodes in the role      until
=============  ========================  =========================================================================
``mailboxes``  storage                   all have moved
``pinned``     storage                   none that lives there is pinned to it
``moves``      storage                   no move has a part there: none is under way, and of those that are done
                                         every node knows the new home, old DNS answers have expired and nobody
                                         comes any more (``roost.control.move_steps.settled``)
``others``     all                       every node that is connected has the settings in which it is left out
``answers``    mx, backup-mx, dns        what the others still remember of it has expired after that
``records``    mx, backup-mx, dns        no MX record of a domain, and no delegation, names it, and the last that
                                         did may not be remembered any longer
``queue``      mx, backup-mx, storage    nothing has been in its mail queue for a minute
``silent``     mx, backup-mx, storage    it is connected, so that it can be told what is in its queue
=============  ========================  =========================================================================

Copies of mailboxes that left a storage node are no reason to wait: nobody uses them, and the new homes are proven to
have the same. They hold up that the node is retired (``copies_until``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from roost.control.followers import Seen
from roost.control.move_steps import REMEMBERED
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.desired import APEX_TTL
from roost.domain.move import State
from roost.domain.node_life import Life

QUIET = timedelta(minutes=1)
"""For so long a queue must have been empty: figures come some ten seconds late."""

STALLED = timedelta(minutes=30)
"""A drain in which nothing has changed for so long should be looked at."""

AGAIN = timedelta(minutes=10)
"""After so long a mailbox whose move failed is moved again; with each failure after twice as long,"""

AGAIN_MOST = timedelta(hours=6)
"""but never after longer than this."""

MX_ROLES = frozenset({Role.MX, Role.BACKUP_MX})
_QUEUEING = MX_ROLES | {Role.STORAGE}
_SHOWN = 5


@dataclass(frozen=True)
class Rest:
    """One thing that is left. ``until``: it goes by itself at that time."""

    what: str
    words: str
    remedy: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Sighting:
    """A record that named the node: whether it is still there, and until when it may be remembered."""

    text: str
    there: bool
    until: datetime


@dataclass(frozen=True)
class Found:
    """What is known of a node that is drained.

    ``moves`` counts the open moves that name it; ``others`` are connected nodes that still have the old settings,
    ``complete`` is since when there are none; ``idle`` is since when its queue is empty. ``looked`` says whether DNS
    was asked, ``unanswered`` what it did not answer.
    """

    mailboxes: int = 0
    pinned: int = 0
    """Those of them that are pinned to it."""

    moves: Mapping[State, int] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    others: Sequence[str] = ()
    complete: datetime | None = None
    idle: datetime | None = None
    records: Sequence[Sighting] = ()
    looked: bool = False
    unanswered: Sequence[str] = ()


def rests(node: Node, found: Found, now: datetime) -> Iterator[Rest]:
    """Yield what is left, in the order in which an administrator would look at it."""
    if Role.STORAGE in node.roles:
        yield from _of_mailboxes(node, found)
    if found.others:
        yield Rest("others", f"{_listed(found.others)} still count on it; they are being told.")
    if node.roles & (MX_ROLES | {Role.DNS}):
        yield from _of_records(node, found, now)
    if node.roles & _QUEUEING:
        yield from _of_queue(node, found, now)


def _of_mailboxes(node: Node, found: Found) -> Iterator[Rest]:
    if found.mailboxes:
        yield Rest("mailboxes", f"{found.mailboxes} mailboxes live there.")
    if found.pinned:
        yield Rest(
            "pinned",
            f"{found.pinned} of them are pinned to it and stay.",
            f"See 'roost user list --pin {node.name}'; 'roost user set ADDRESS --pin NODE' gives one another.",
        )
    settling = found.moves.get(State.SETTLING, 0)
    rest = sum(found.moves.values()) - settling
    if rest:
        yield Rest("moves", f"{rest} moves that name it have not come to their hand-over.", "See 'roost move list'.")
    if settling:
        yield Rest("moves", f"{settling} mailboxes have moved, and {node.name} still passes on who comes to it.")


def _of_records(node: Node, found: Found, now: datetime) -> Iterator[Rest]:
    forgotten = timedelta(seconds=APEX_TTL + REMEMBERED if Role.DNS in node.roles else REMEMBERED)
    if found.complete and now < found.complete + forgotten:
        yield Rest("answers", "The others may remember it for a while.", until=found.complete + forgotten)
    if not found.looked:
        yield Rest("records", "DNS has not been asked yet which records name it.")
    for sighting in found.records:
        if sighting.there:
            yield Rest("records", f"{sighting.text} names it.", "Take the record out of its zone.")
        elif now < sighting.until:
            yield Rest("records", f"{sighting.text} is gone and may be remembered.", until=sighting.until)
    for words in found.unanswered[:_SHOWN]:
        yield Rest("records", words, "See whether the domain's DNS servers answer.")
    if len(found.unanswered) > _SHOWN:
        yield Rest("records", f"{len(found.unanswered) - _SHOWN} more cannot be asked.")


def _of_queue(node: Node, found: Found, now: datetime) -> Iterator[Rest]:
    glance = found.seen.glance
    if not found.seen.connected(now):
        yield Rest(
            "silent",
            "It is not connected, so nobody can tell what is in its mail queue.",
            f"If the machine is lost: 'roost node retire {node.name} --now'.",
        )
    elif glance.queue < 0:
        yield Rest("silent", "It has not told yet what is in its mail queue.")
    elif glance.queue:
        waiting = [f"{home} {there.messages}" for home, there in glance.waiting.items() if there.messages]
        whom = f" (for {_listed(waiting)})" if waiting else ""
        yield Rest(
            "queue",
            f"{glance.queue} messages are in its mail queue{whom}; they are tried again and again.",
            "See 'postqueue -p' on it: what they wait for must answer.",
        )
    elif found.idle is None or now < found.idle + QUIET:
        yield Rest("queue", "Its mail queue is empty; it is watched a little longer.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def turned(node: Node, life: Life, now: datetime) -> Node:
    """Return the node in another state of its life."""
    return replace(node, life=life, since=now)


def copies_until(node: Node, keep_days: int) -> datetime | None:
    """Return until when a drained node keeps copies of mailboxes that moved away or were removed; None for none.

    The last left when the node was drained, at the latest.
    """
    if Role.STORAGE not in node.roles or node.life is not Life.DRAINED or node.since is None:
        return None
    return node.since + timedelta(days=keep_days)


def notes(node: Node, cluster: Cluster) -> Iterator[str]:
    """Yield what is to be known of a node that is drained and holds nothing up."""
    until = copies_until(node, cluster.policy.keep_days)
    if until:
        yield f"Copies of mailboxes that moved or were removed stay on it until {until:%Y-%m-%d %H:%M} UTC."
    if Role.LOG in node.roles:
        others = [n.name for n in cluster.serving(Role.LOG) if n.joined]
        if others:
            yield f"Traces are asked of {others[0]}; what {node.name} alone collected stays in its own files."
        else:
            yield f"No other node collects logs: traces are asked of {node.name}, and end with it."
    if Role.DNS in node.roles and cluster.policy.notify_secondaries:
        yield "Servers of others that fetch the zones from it must be told to fetch them from another."


def again(failures: int) -> timedelta:
    """Return after how long a mailbox is moved again whose move has failed so often."""
    doublings = min(failures, 10) - 1
    return min(AGAIN * (1 << doublings), AGAIN_MOST)
