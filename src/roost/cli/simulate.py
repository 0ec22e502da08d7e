"""``roost simulate``: weeks of a cluster's life in seconds, to see what balancing would bring before there is one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import Output
from roost.cli.safe_text import show_size, size
from roost.cli.session import Use
from roost.domain.errors import BadSetting

if TYPE_CHECKING:
    from roost.balance.fleet import Nodes, Numbers
    from roost.balance.simulate import Day
    from roost.balance.synthetic import Users

MOST_MAILBOXES, MOST_NODES = 10_000_000, 1000
_SHOWN = 16


def simulate(
    *,
    mailboxes: int = 20_000,
    nodes: int = 12,
    days: int = 28,
    fullness: float = 0.7,
    fast: float = 0.25,
    growth: float = 0.1,
    deaths: int = 0,
    every: int = 1,
    bytes: str = "",
    moves: int = 0,
    load: Path | None = None,
    svg: Path | None = None,
    seed: int = 1,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Show what placing and balancing bring, for weeks of a cluster that need not exist.

    The very code that places mailboxes and plans moves in a cluster is given invented
    users: some look for mail every 30 seconds, some once a day, as many in each factor
    of two; with days, nights and weekends, new users, changing habits, and nodes of
    which some are twice as fast. Beside it stands the same cluster with round robin,
    in which nobody moves. Levels are those of each day's busiest hour: 100 % is all
    that a node has. Nothing is asked of a controller, and nothing is changed.

    For example:
      roost simulate
      roost simulate --mailboxes 1000000 --nodes 100 --days 14 --deaths 2
      roost simulate --bytes 50G --moves 500 --every 7 --svg balance.svg
      roost simulate --load rates.csv --days 7 --output json

    Parameters
    ----------
    mailboxes
        How many there are at first; at most 10,000,000.
    nodes
        How many storage nodes; at most 1,000.
    days
        How long it goes on.
    fullness
        How full processors would be in the busiest hour if they shared evenly: 0.7 is 70 %.
    fast
        The part of the nodes that are twice as fast.
    growth
        New mailboxes each day, in per cent.
    deaths
        How many times a node is away for a day.
    every
        Days from one plan to the next.
    bytes
        What a plan may copy at most: 500G. Without it as much as is worth it.
    moves
        How many mailboxes a plan may move at most; 0 is as many as is worth it.
    load
        A CSV file with the load of each mailbox, in place of invented users: columns
        home, logins, cpu, io, memory, size (docs/howto/simulate.md).
    svg
        A file for the pictures, as SVG.
    seed
        Of everything that is left to chance; the same seed gives the same weeks.
    """
    _check("mailboxes", mailboxes, 1, MOST_MAILBOXES)
    _check("nodes", nodes, 1, MOST_NODES)
    _check("days", days, 1, 3650)
    _check("fullness", fullness, 0.01, 2)
    _check("fast", fast, 0, 1)
    _check("growth", growth, 0, 10)
    _check("deaths", deaths, 0, 1000)
    _check("every", every, 1, 3650)
    _check("moves", moves, 0, MOST_MAILBOXES)
    _check("seed", seed, 0, 2**32 - 1)
    if svg is not None and not svg.absolute().parent.is_dir():
        raise BadSetting(f"There is no folder {svg.absolute().parent}.", field="svg", remedy="Make it first.")
    # Loaded here and not above: help need not wait for numpy.
    from roost.balance.moves import Budget  # noqa: PLC0415
    from roost.balance.simulate import Scenario  # noqa: PLC0415
    from roost.balance.simulate import simulate as live  # noqa: PLC0415

    out = session.out(options)
    budget = Budget(bytes=size(bytes, field="bytes") if bytes else None, mailboxes=moves or None)
    made, home, start = _world(mailboxes, nodes, fullness=fullness, fast=fast, load=load, seed=seed)
    scenario = Scenario(days=days, growth=growth / 100, deaths=deaths, every=every, seed=seed, budget=budget)
    found: list[Day] = []
    with out.progress("Days", days) as bar:
        for day in live(made, home, start, scenario):
            found.append(day)
            bar.advance(1)
    if out.json:
        out.document({"nodes": made.names, "days": [{**asdict(d), "worst_dimension": _word(d)} for d in found]})
    _tell(out, found, made.names)
    if svg is not None:
        _draw(svg, found)
        out.note(f"The picture is in {svg}.")


def _world(
    mailboxes: int, count: int, *, fullness: float, fast: float, load: Path | None, seed: int
) -> tuple[Nodes, Numbers, Users]:
    """Return nodes, homes and users to begin with."""
    import numpy as np  # noqa: PLC0415 (as above)

    from roost.balance import synthetic  # noqa: PLC0415

    chance = np.random.default_rng(seed)
    names: list[str] = []
    if load is not None:
        from roost.cli.load_csv import read_load  # noqa: PLC0415

        homes, rows = read_load(load)
        names = sorted(set(homes))
        _check("load", len(names), 1, MOST_NODES)
        figures = np.array(rows)
        start = synthetic.Users(
            usual=figures[:, 1:].astype(np.float32),
            size=figures[:, 4].astype(np.int64),
            logins=figures[:, 0].astype(np.float32),
        )
        place = {name: number for number, name in enumerate(names)}
        home = np.array([place[name] for name in homes], np.int32)
    else:
        start = synthetic.users(mailboxes, chance)
        home = synthetic.in_turn(mailboxes, count)
    high = synthetic.week().max()
    total = np.maximum(start.usual.sum(axis=0, dtype=np.float64), 1e-9) * np.array([high, high, 1, 1])
    made = synthetic.nodes(len(names) or count, total, fullness, fast, chance)
    if names:
        from dataclasses import replace  # noqa: PLC0415

        made = replace(made, names=tuple(names))
    return made, home, start


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise BadSetting(
            f"{name} is {value:g}.",
            field=name,
            remedy=f"Give something from {least:g} to {most:g}: --{name} {least:g}.",
        )


def _word(day: Day) -> str:
    return day.worst_dimension.name.lower()


def _tell(out: Output, found: list[Day], names: tuple[str, ...]) -> None:
    from roost.cli.plot import bars, curves  # noqa: PLC0415 (only this command draws)

    step = max(1, -(-len(found) // _SHOWN))
    shown = [*found[::step], *([found[-1]] if (len(found) - 1) % step else [])]
    out.table(
        ("DAY", "MAILBOXES", "WORST", "NODE", "OF ITS", "FULLEST/MEAN", "ROUND ROBIN", "MOVED", "COPIED", "AWAY"),
        [
            (
                *(d.day, d.mailboxes, f"{d.worst:.1%}", d.worst_node, _word(d), f"{d.spread:.3f}"),
                *(f"{d.unbalanced:.1%}", d.moved, show_size(d.bytes), d.away),
            )
            for d in shown
        ],
    )
    out.say("")
    out.say("The worst node's level, day by day:")
    for line in curves({"round robin": [d.unbalanced for d in found], "balanced": [d.worst for d in found]}):
        out.say(line)
    last = found[-1]
    fullest = sorted(range(len(names)), key=lambda node: -last.processors[node])[:_SHOWN]
    out.say("")
    out.say(f"Processors on the last day{'' if len(fullest) == len(names) else ', the fullest'}:")
    for line in bars(
        ("round robin", "balanced"),
        [names[node] for node in fullest],
        [last.processors_unbalanced[node] for node in fullest],
        [last.processors[node] for node in fullest],
    ):
        out.say(line)
    out.say("")
    out.say(
        f"{sum(d.moved for d in found):,} mailboxes moved and {show_size(sum(d.bytes for d in found))} copied in "
        f"{len(found)} days. The worst node was at {max(d.worst for d in found):.1%} at most; with round robin at "
        f"{max(d.unbalanced for d in found):.1%}."
    )


def _draw(path: Path, found: list[Day]) -> None:
    from roost.cli.plot import svg_curves  # noqa: PLC0415 (only this command draws)

    series = {"round robin": [d.unbalanced for d in found], "balanced": [d.worst for d in found]}
    try:
        path.write_text(svg_curves("The worst node's level in the busiest hour", series))
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.", field="svg") from error
