"""Planner: how long a plan takes, how near it comes to what is possible at all, against two simple ways.

    scripts/bench planner [--sizes 20000x12,1000000x100,10000000x1000] [--seed 1] [--quick]

The fleet is invented: users who look for mail between every 30 seconds and once a day, as many in each factor of two;
sizes that differ by orders of magnitude; nodes of which some are twice as fast, on which users were spread by lot and
unevenly. The processor is what is short. Each size runs in a process of its own.

Two bounds hold for every plan whatever. *Level*: the fullest node cannot be emptier than the equal share. *Bytes*: a
plan that brings nodes to these levels copies at least what the linear programme says, in which mailboxes are sand.
HiGHS solves it where there are up to 20,000 mailboxes. Above, the bound is that of the programme without its
receiving side: each node that is too full gets rid of its excess by the mailboxes of which a byte brings most, the
last one in part. It is valid, since room elsewhere can only make it dearer, and lower than the programme's.

The other sides: *longest first* (LPT), which puts all mailboxes anew, the largest first, each on the node that is
least full; and *consistent hashing* with 100 points for each of a node's capacity units, which knows no load at all.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import subprocess
import sys
import time

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from roost.balance import synthetic
from roost.balance.fleet import Fleet, Mailboxes
from roost.balance.goals import Rules
from roost.balance.plan import plan
from roost.domain.load import Dimension

_SIZES = "20000x12,1000000x100,10000000x1000"
_SOLVED = 20_000
_POINTS = 100
_RULES = Rules(band=0.0, gain=0.0, move_bytes=0)
"""No band: everything that is above the goal is to go, as in the bounds."""


def fleet(mailboxes: int, count: int, seed: int) -> Fleet:
    """Return an invented fleet."""
    chance = np.random.default_rng(seed)
    users = synthetic.users(mailboxes, chance)
    total = users.usual.sum(axis=0, dtype=np.float64)
    nodes = synthetic.nodes(count, total, 0.6, 0.5, chance, others=(1 / 3, 1 / 2, 7 / 12))
    weight = chance.uniform(0.7, 1.3, count)
    home = chance.choice(count, mailboxes, p=weight / weight.sum())
    return Fleet(nodes, Mailboxes.of(home, users.usual, users.size, logins=users.logins))


def least_bytes(of: Fleet, room: np.ndarray) -> tuple[float, str]:
    """Return a bound on the bytes that any plan copies to bring loads to ``room``; and where it comes from."""
    if len(of.mailboxes) <= _SOLVED:
        return _solved(of, room), "HiGHS"
    excess = of.loads - room
    least = 0.0
    for node in np.flatnonzero((excess > 0).any(axis=1)).tolist():
        which = np.flatnonzero(of.mailboxes.home == node)
        best = 0.0
        for dimension in np.flatnonzero(excess[node] > 0).tolist():
            taken = of.mailboxes.demand[which, dimension].astype(np.float64)
            size = of.mailboxes.size[which].astype(np.float64)
            order = np.argsort(-taken / (size + 1))
            gone = np.cumsum(taken[order])
            last = int(np.searchsorted(gone, excess[node, dimension]))
            before = gone[last - 1] if last else 0.0
            part = (excess[node, dimension] - before) / taken[order[last]]
            best = max(best, float(size[order[:last]].sum() + part * size[order[last]]))
        least += best
    return least, "bound without receivers"


def _solved(of: Fleet, room: np.ndarray) -> float:
    """Return the optimum of the whole programme, by HiGHS."""
    nodes, boxes = len(of.nodes), of.mailboxes
    columns = np.arange(len(boxes) * nodes)
    parts, places = [], []
    for dimension in Dimension:
        # A dimension of which there is enough wherever everything were cannot matter.
        if boxes.demand[:, dimension].sum(dtype=np.float64) > room[:, dimension].min():
            parts.append(
                np.repeat(boxes.demand[:, dimension].astype(float), nodes) / np.tile(room[:, dimension], len(boxes))
            )
            places.append(np.tile(np.arange(nodes), len(boxes)) + (len(parts) - 1) * nodes)
    rows = sparse.csr_matrix(
        (np.concatenate(parts), (np.concatenate(places), np.tile(columns, len(parts)))),
        shape=(nodes * len(parts), len(columns)),
    )
    whole = sparse.csr_matrix((np.ones(len(columns)), (np.repeat(np.arange(len(boxes)), nodes), columns)))
    cost = np.repeat(boxes.size / 1e9, nodes)
    cost[np.arange(len(boxes)) * nodes + boxes.home] = 0
    free = np.full(rows.shape[0], 1 + 1e-9)
    return float(linprog(cost, rows, free, whole, np.ones(len(boxes)), method="highs").fun) * 1e9


def longest_first(of: Fleet) -> tuple[float, float]:
    """Return the worst level of the processor and the bytes copied, by longest processing time first."""
    taken = of.mailboxes.demand[:, Dimension.CPU].astype(np.float64)
    capacity = of.nodes.capacity[:, Dimension.CPU]
    queue = [(0.0, node) for node in range(len(capacity))]
    size, home = of.mailboxes.size, of.mailboxes.home
    copied = 0
    for number in np.argsort(-taken).tolist():
        level, node = queue[0]
        heapq.heapreplace(queue, (level + taken[number] / capacity[node], node))
        copied += int(size[number]) if node != home[number] else 0
    return max(queue)[0], float(copied)


def hashed(of: Fleet, seed: int) -> tuple[float, float]:
    """Return the same by consistent hashing, points by capacity."""
    chance = np.random.default_rng(seed)
    capacity = of.nodes.capacity[:, Dimension.CPU]
    points = np.maximum(1, np.round(_POINTS * capacity / capacity.min())).astype(int)
    owner = np.repeat(np.arange(len(capacity)), points)
    place = chance.random(len(owner))
    order = np.argsort(place)
    at = np.searchsorted(place[order], chance.random(len(of.mailboxes))) % len(order)
    home = owner[order][at]
    loads = np.bincount(home, of.mailboxes.demand[:, Dimension.CPU], len(capacity))
    return float((loads / capacity).max()), float(of.mailboxes.size[home != of.mailboxes.home].sum())


def one(mailboxes: int, nodes: int, seed: int) -> dict[str, float | str]:
    """Measure one size and return the figures."""
    of = fleet(mailboxes, nodes, seed)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, used = time.perf_counter(), time.process_time()
    found = plan(of, rules=_RULES)
    took, used = time.perf_counter() - began, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    share = found.goal / (1 + _RULES.room)
    share = np.maximum(share, _RULES.calm)
    reached = max(1.0, float((found.after / share).max()))
    bound, by = least_bytes(of, reached * share * of.nodes.capacity)
    worst = float(found.after[:, Dimension.CPU].max())
    least = float(of.loads[:, Dimension.CPU].sum() / of.nodes.capacity[:, Dimension.CPU].sum())
    lpt, ring = longest_first(of), hashed(of, seed)
    return {
        "seconds": took, "cpu": used, "memory": memory / 1e6, "held": held / 1e6, "moves": len(found.moves),
        "before": float(found.before[:, Dimension.CPU].max()), "worst": worst, "least": least,
        "bytes": found.bytes, "bound": bound, "by": by, "left": len(found.left),
        "lpt": lpt[0], "lpt_bytes": lpt[1], "ring": ring[0], "ring_bytes": ring[1],
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default=_SIZES, help="mailboxes x nodes, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="2,000 mailboxes on 4 nodes")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        mailboxes, nodes = map(int, options.one.split("x"))
        print(json.dumps(one(mailboxes, nodes, options.seed)))
        return
    level = copied = 0.0
    for size in ("2000x4" if options.quick else options.sizes).split(","):
        argv = [sys.executable, "-m", "bench", "planner", "--one", size, "--seed", str(options.seed)]
        ran = subprocess.run(argv, check=True, capture_output=True, text=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        over, more = found["worst"] / found["least"] - 1, found["bytes"] / max(found["bound"], 1) - 1
        level, copied = max(level, over), max(copied, more)
        print(
            f"{size}: {found['seconds']:.1f} s ({found['cpu']:.1f} s of processors), {found['memory']:.2f} GB, "
            f"{found['moves']:,} moves\n"
            f"  worst processor {found['before']:.3f} → {found['worst']:.4f}, share {found['least']:.4f}: "
            f"{100 * over:.2f} % above\n"
            f"  copied {found['bytes'] / 1e9:,.1f} GB, at least {found['bound'] / 1e9:,.1f} ({found['by']}): "
            f"{100 * more:.2f} % above\n"
            f"  longest first: {found['lpt']:.4f}, {found['lpt_bytes'] / 1e9:,.0f} GB; "
            f"consistent hashing: {found['ring']:.4f}, {found['ring_bytes'] / 1e9:,.0f} GB",
            flush=True,
        )
    print(f"worst level, plan / bound: {1 + level:.4f} (goal at most 1.01: {'met' if level <= 0.01 else 'missed'})")
    print(f"bytes, plan / bound: {1 + copied:.4f} (goal at most 1.02: {'met' if copied <= 0.02 else 'missed'})")


if __name__ == "__main__":
    main()
