"""Who lives where he may not: away from his pin, class of service or group, or beside whom he is kept apart from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roost.balance.fleet import NONE, Flags, Fleet, Numbers

NOWHERE = -2
"""The seat of a group that lives on several nodes, none of which may have all of it."""


@dataclass(frozen=True)
class Misplaced:
    """Who lives on an open node and should not."""

    must: Flags
    """Of each mailbox: it must leave its node, wherever it goes."""

    strays: Flags
    """Of each mailbox: it lives away from its group, or its group on several nodes none of which can have all."""

    seats: Numbers
    """Of each affinity group that lives on several nodes the one where it belongs, or ``NOWHERE``; else ``NONE``."""


def misplaced(fleet: Fleet) -> Misplaced:
    """Return who is misplaced."""
    nodes, boxes = fleet.nodes, fleet.mailboxes
    is_open = nodes.open[boxes.home]
    must = (boxes.pin != NONE) & (boxes.pin != boxes.home)
    must |= (boxes.classes & ~nodes.classes[boxes.home]) != 0
    must &= is_open
    must[_crowded(fleet, must)] = True
    seats = _seats(fleet, must)
    strays = np.zeros(len(boxes), np.bool_)
    members = np.flatnonzero(boxes.together != NONE)
    if len(members):
        seat = seats[boxes.together[members]]
        strays[members] = (seat != NONE) & (seat != boxes.home[members]) & is_open[members]
    return Misplaced(must, strays & ~must, seats)


def _crowded(fleet: Fleet, leaving: Flags) -> Numbers:
    """Return those that live where another lives whom they are kept apart from. On each node one may stay: who leaves
    anyhow does not, who is pinned there does."""
    boxes = fleet.mailboxes
    members = np.flatnonzero((boxes.apart != NONE) & fleet.nodes.open[boxes.home])
    place = boxes.apart[members].astype(np.int64) * len(fleet.nodes) + boxes.home[members]
    order = np.lexsort((members, boxes.pin[members] == NONE, leaving[members], place))
    members, place = members[order], place[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    stays = np.repeat(members[first], np.diff(np.append(first, len(members))))
    # Who belongs together with him cannot be parted from him: whoever tied them so must decide.
    bound = (boxes.together[members] != NONE) & (boxes.together[members] == boxes.together[stays])
    return np.asarray(members[(members != stays) & ~bound], np.int32)


def _seats(fleet: Fleet, must: Flags) -> Numbers:
    """Return the seats: the group's pin; else, of its open nodes that offer what all of it needs, and that none of it
    must leave, the one where most of it lives."""
    nodes, boxes = fleet.nodes, fleet.mailboxes
    members = np.flatnonzero(boxes.together != NONE)
    groups, homes = boxes.together[members], boxes.home[members]
    count = int(groups.max(initial=NONE)) + 1
    one, seats = np.zeros(count, np.int32), np.full(count, NONE, np.int32)
    one[groups] = homes
    seats[groups[one[groups] != homes]] = NOWHERE
    scattered = seats[groups] == NOWHERE
    members, groups, homes = members[scattered], groups[scattered], homes[scattered]
    needs = np.zeros(count, np.uint32)
    np.bitwise_or.at(needs, groups, boxes.classes[members])
    pairs, of, size = np.unique(groups.astype(np.int64) * len(nodes) + homes, return_inverse=True, return_counts=True)
    group, node = pairs // len(nodes), pairs % len(nodes)
    able = nodes.open[node] & ((needs[group] & ~nodes.classes[node]) == 0)
    able[of[must[members]]] = False
    # The last that is written counts: the largest, and of equal ones the first node.
    order = np.lexsort((-node, size))
    order = order[able[order]]
    seats[group[order]] = node[order]
    pinned = members[boxes.pin[members] != NONE]
    seats[boxes.together[pinned]] = boxes.pin[pinned]
    return seats
