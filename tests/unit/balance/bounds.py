"""What no plan can do better: linear programmes for HiGHS, in which mailboxes are sand."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from roost.balance.fleet import Fleet


def least_level(fleet: Fleet, goal: np.ndarray) -> float:
    """Return the least factor by which the fullest node is above the goal, with any moves whatever."""
    rows, whole = _rows(fleet, goal * fleet.nodes.capacity)
    width = rows.shape[1]
    a = sparse.hstack([rows, -np.ones((rows.shape[0], 1))]).tocsr()
    e = sparse.hstack([whole, sparse.csr_matrix((whole.shape[0], 1))]).tocsr()
    cost = np.append(np.zeros(width), 1.0)
    base = (fleet.nodes.base / (goal * fleet.nodes.capacity)).T.ravel()
    return float(linprog(cost, a, -base, e, np.ones(whole.shape[0]), method="highs").fun)


def least_bytes(fleet: Fleet, level: np.ndarray) -> float:
    """Return the fewest bytes that bring every node to these levels."""
    room = level * fleet.nodes.capacity
    rows, whole = _rows(fleet, room)
    nodes, boxes = len(fleet.nodes), fleet.mailboxes
    cost = np.repeat(boxes.size / 1e9, nodes)
    cost[np.arange(len(boxes)) * nodes + boxes.home] = 0
    free = 1 + 1e-9 - (fleet.nodes.base / room).T.ravel()
    return float(linprog(cost, rows, free, whole, np.ones(len(boxes)), method="highs").fun) * 1e9


def _rows(fleet: Fleet, room: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return the rows of the loads, as parts of the room, and those that make every mailbox whole."""
    nodes, count = len(fleet.nodes), len(fleet.mailboxes)
    demand = fleet.mailboxes.demand.astype(np.float64)
    columns = np.arange(count * nodes)
    parts = [np.repeat(demand[:, d], nodes) / np.tile(room[:, d], count) for d in range(demand.shape[1])]
    places = [np.tile(np.arange(nodes), count) + d * nodes for d in range(demand.shape[1])]
    rows = sparse.csr_matrix(
        (np.concatenate(parts), (np.concatenate(places), np.tile(columns, len(parts)))),
        shape=(nodes * len(parts), len(columns)),
    )
    whole = sparse.csr_matrix((np.ones(len(columns)), (np.repeat(np.arange(count), nodes), columns)))
    return rows, whole
