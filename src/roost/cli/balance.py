"""``roost balance``: which mailboxes should live elsewhere, why, and having them moved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from roost.cli.options import COMMON, MOVE_WRITING, WRITING, Common, MoveWriting, Writing
from roost.cli.output import Output
from roost.cli.receipts import check_seconds, settle
from roost.cli.safe_text import show_size, size
from roost.cli.session import Use
from roost.cli.times import shown
from roost.cli.user_move import follow
from roost.domain.errors import BadSetting
from roost.domain.load import Dimension
from roost.domain.names import host_name
from roost.wire.balance_resources import ForecastView, NewPlan, PlanView, Supposed

app = App(name="balance")

_NODES_SHOWN = 16
_STEPS_SHOWN = 40
_HOT = 0.03


@app.command
def plan(
    *,
    moves: int = 0,
    bytes: str = "",
    pauses: float = 0,
    svg: Path | None = None,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Propose moves that bring busy nodes down, each with its reason; nothing moves.

    The figures are measured: what each mailbox takes in the busiest hour of the
    week, and what each node has. The plan is kept under its number, and 'roost
    balance apply' has just these moves made. Without limits it proposes as much as
    is worth it; within limits the most urgent part.

    For example:
      roost balance plan
      roost balance plan --moves 50 --bytes 100G
      roost balance plan --pauses 30 --svg before-and-after.svg
      roost balance plan --output json

    Parameters
    ----------
    moves
        Most mailboxes to move; 0 is as many as is worth it.
    bytes
        Most bytes to copy: 50G; without it as many as is worth it.
    pauses
        Most seconds for which mailboxes are closed, added up; 0 is no limit.
    svg
        A file for the picture of nodes before and after.
    """
    out = session.out(options)
    found = session.client().make_plan(_limits(moves, bytes, pauses))
    _tell(out, found, svg)
    if found.steps:
        out.note(f"Nothing has moved. 'roost balance apply {found.id}' has these moves made.")


@app.command
def apply(id: int = 0, /, *, options: MoveWriting = MOVE_WRITING, session: Use) -> int:
    """Have the moves of a plan made, as one batch.

    Just what was shown moves. Where too much has changed since (mailboxes live
    elsewhere, a node is gone), it is refused, and says what. Waits until every
    mailbox is at its new home; the moves go on also when the command is ended.

    For example:
      roost balance apply
      roost balance apply 12 --dry-run
      roost balance apply 12 --no-wait

    Parameters
    ----------
    id
        The plan's number; the last plan where not given.
    """
    seconds, client = check_seconds(options.timeout, "timeout"), session.client()
    number = id or client.plan().id
    return follow(session, options, client.apply_plan(number, dry_run=options.dry_run), seconds)


@app.command
def show(id: int = -1, /, *, svg: Path | None = None, options: Common = COMMON, session: Use) -> None:
    """Show what is done by itself and within which limits; or a plan.

    For example:
      roost balance show
      roost balance show 12 --svg plan-12.svg

    Parameters
    ----------
    id
        The plan's number; 0 is the last one.
    svg
        A file for the picture of nodes before and after.
    """
    out = session.out(options)
    if id >= 0:
        _tell(out, session.client().plan(id), svg)
        return
    found = session.client().balance()
    if out.json:
        out.document(found)
    limits = f"{found.moves} mailboxes, {show_size(found.bytes)} and {found.pauses} s of pauses"
    out.facts(
        [
            ("By itself", "on" if found.auto else "off"),
            ("It says", found.said),
            ("Each plan", f"at most {limits}, every {found.every} h"),
            ("Hours", f"{found.hours} UTC" if found.hours else "at any time"),
            ("A moved mailbox rests", f"{found.rest_days} days"),
            ("Last plan", found.plan or "none"),
        ]
    )


@app.command
def auto(state: Literal["on", "off"], /, *, options: Writing = WRITING, session: Use) -> None:
    """Let plans be applied by themselves, or not.

    It acts within the policy's move_hours, balance_every, balance_moves,
    balance_bytes and balance_pauses; never while 'roost status' has a warning or
    mailboxes are on their way; and only where two looks, a quarter of an hour apart,
    find the same node too full. 'roost balance show' tells what it waits for,
    'roost balance stop' ends it at once.

    For example:
      roost policy set move_hours 22-6
      roost policy set balance_moves 50
      roost balance auto on

    Parameters
    ----------
    state
        on or off.
    """
    settle(session, options, session.client().change_policy({"balance_auto": state}, dry_run=options.dry_run))


@app.command
def stop(*, options: Writing = WRITING, session: Use) -> None:
    """Stop at once: nothing is applied by itself, and plans' moves that are under way are undone.

    Mailboxes that are handed over already stay at their new home; 'roost move back'
    moves one back. Moves that were asked for otherwise go on.

    For example:
      roost balance stop
      roost balance stop --dry-run
    """
    settle(session, options, session.client().stop_balance(dry_run=options.dry_run))


@app.command
def forecast(*, options: Common = COMMON, session: Use) -> None:
    """Show which node is full when.

    From how full each node was in its busiest hour, day by day; at least seven days
    are needed. Of a processor, disk operations and memory full is all that the node
    has, of disk space 90 %. Nine times of ten the day lies between the first and the
    last.

    For example:
      roost balance forecast
      roost balance forecast --output json
    """
    out, found = session.out(options), session.client().forecast()
    if out.json:
        out.document(found)
    out.table(
        ("NODE", "OF ITS", "LEVEL", "A MONTH", "FULL IN", "AT THE EARLIEST", "AT THE LATEST"),
        [
            (
                one.node,
                Dimension[one.dimension.upper()].word,
                f"{one.level:.0%}",
                f"{one.a_day * 30:+.1%}",
                *_days(one),
            )
            for one in found
        ],
    )


@app.command
def whatif(
    *,
    add: Annotated[list[str] | None, Parameter(negative=())] = None,
    remove: Annotated[list[str] | None, Parameter(negative=())] = None,
    svg: Path | None = None,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Show what other machines would do: the plan for the cluster with them.

    Nothing is changed, and the plan cannot be applied.

    For example:
      roost balance whatif --add 2x
      roost balance whatif --add 1x --add 1x --remove ms1.cluster.test
      roost balance whatif --add ms2.cluster.test

    Parameters
    ----------
    add
        A machine more: 2x is twice as strong as the middle one of those that there are, in all
        respects; a node's name is one like it. May be given again.
    remove
        A storage node less; its mailboxes go to the others. May be given again.
    svg
        A file for the picture of nodes before and after.
    """
    if not add and not remove:
        raise BadSetting("Nothing is to be different.", field="add", remedy="Give --add 2x, or --remove NODE.")
    gone = [host_name(name, field="remove") for name in remove or []]
    what = Supposed(add=[words.strip().lower() for words in add or []], remove=gone)
    _tell(session.out(options), session.client().suppose(what), svg)


def _limits(moves: int, bytes: str, pauses: float) -> NewPlan:
    for name, value in (("moves", moves), ("pauses", pauses)):
        if not 0 <= value <= 10_000_000:
            raise BadSetting(f"{name} is {value:g}.", field=name, remedy=f"Give a limit, or leave --{name} out.")
    return NewPlan(moves=moves or None, bytes=size(bytes, field="bytes") if bytes else None, pauses=pauses or None)


def _days(one: ForecastView) -> tuple[str, str, str]:
    def words(days: float | None) -> str:
        return "never" if days is None else "now" if days <= 0 else f"{days:.0f} days"

    return words(one.likely), words(one.earliest), words(one.latest)


# A plan


def _tell(out: Output, found: PlanView, svg: Path | None) -> None:
    """Print a plan, and draw it into the file where there is one."""
    from roost.cli.plot import bars  # noqa: PLC0415 (only this command draws)

    if out.json:
        out.document(found)
    head = f"Plan {found.id}, made {shown(found.at)} UTC" if found.id else "If it were so"
    out.say(f"{head}: {_many(found.mailboxes)} and {show_size(found.bytes)} to copy.")
    if found.applied:
        out.say(f"It was applied: 'roost move list --batch {found.applied} --all'.")
    if found.steps:
        out.table(
            ("MAILBOX", "FROM", "TO", "SIZE", "WHY"),
            [
                (_who(step.mailboxes), _short(step.source), _short(step.target), show_size(step.bytes), step.reason)
                for step in found.steps[:_STEPS_SHOWN]
            ],
        )
        if len(found.steps) > _STEPS_SHOWN:
            out.say(f"... and {len(found.steps) - _STEPS_SHOWN} more; '--output json' has all.")
    else:
        out.say("No node is much fuller than the others, or nothing that may move would help.")
    nodes = _changed(found)
    for dimension in _worth_showing(found):
        out.say("")
        more = "" if len(nodes) == len(found.nodes) else ", of the nodes that change most"
        out.say(f"{dimension.word.capitalize()} in the busiest hour{more}; the goal is {found.goal[dimension]:.0%}:")
        names = [_short(found.nodes[place].node) for place in nodes]
        levels = [(found.nodes[p].before[dimension], found.nodes[p].after[dimension]) for p in nodes]
        for line in bars(("before", "after"), names, [old for old, _ in levels], [new for _, new in levels]):
            out.say(line)
    _tell_rest(out, found)
    if svg is not None:
        _draw(svg, found)
        out.note(f"The picture is in {svg}.")


def _tell_rest(out: Output, found: PlanView) -> None:
    """Say what was not done, and what was not believed."""
    for words in found.left:
        out.warn(words)
    for levels in found.nodes:
        if levels.closed:
            out.warn(f"{levels.node} {levels.closed}: it neither gives nor takes.")
    for why, count in found.refused.items():
        if why == "missing":
            out.note(f"Of {_many(count)} nothing is known yet; they stay.")
        else:
            out.warn(f"The figures of {_many(count)} are {why} and not believed; they stay.")


def _many(count: int) -> str:
    return "1 mailbox" if count == 1 else f"{count} mailboxes"


def _who(mailboxes: list[str]) -> str:
    return mailboxes[0] + (f" +{len(mailboxes) - 1}" if len(mailboxes) > 1 else "")


def _short(node: str) -> str:
    return node.partition(".")[0]


def _worth_showing(found: PlanView) -> list[Dimension]:
    """Return the dimensions of which a node has too little; at least the one of which one has least."""
    over = {
        dimension: max((levels.before[dimension] for levels in found.nodes), default=0.0) - found.goal[dimension]
        for dimension in Dimension
    }
    hot = [dimension for dimension, by in over.items() if by > _HOT]
    return hot or [max(over, key=lambda dimension: over[dimension])]


def _changed(found: PlanView) -> list[int]:
    """Return the places of the nodes to show: all, or where they are very many, those that change most."""
    places = list(range(len(found.nodes)))
    if len(places) <= _NODES_SHOWN:
        return places

    def change(place: int) -> float:
        levels = found.nodes[place]
        return max(abs(new - old) for old, new in zip(levels.before, levels.after, strict=True))

    return sorted(sorted(places, key=lambda place: -change(place))[:_NODES_SHOWN])


def _draw(path: Path, found: PlanView) -> None:
    from roost.cli.plot import svg_bars  # noqa: PLC0415 (only this command draws)

    dimension = _worth_showing(found)[0]
    names = [levels.node for levels in found.nodes]
    before, after = ([getattr(one, when)[dimension] for one in found.nodes] for when in ("before", "after"))
    try:
        path.write_text(svg_bars(f"{dimension.word.capitalize()} in the busiest hour", names, before, after))
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.", field="svg") from error
