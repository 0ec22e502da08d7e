"""``roost move``: moves that were asked for. ``roost user move`` asks for them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from roost.cli.move_watch import open_ids, row_of, watch
from roost.cli.options import COMMON, MOVE_WRITING, WRITING, Common, MoveWriting, Writing
from roost.cli.pages import PAGE
from roost.cli.receipts import check_seconds, settle
from roost.cli.session import Session, Use
from roost.cli.user_move import follow
from roost.domain.errors import BadSetting
from roost.domain.move import State
from roost.domain.names import Address

if TYPE_CHECKING:
    from roost.wire.client import AdminClient
    from roost.wire.move_resources import MoveView

app = App(name="move")
_WATCH_SECONDS = 86_400.0


@app.command(name="list")
def list_(
    *,
    all: bool = False,
    state: State | None = None,
    user: str = "",
    batch: str = "",
    options: Common = COMMON,
    session: Use,
) -> None:
    """List the moves that are open, in the order in which they were asked for.

    For example:
      roost move list
      roost move list --all --user john@example.test
      roost move list --batch b17 --state undone --output json

    Parameters
    ----------
    all
        Also those that are over.
    state
        Only those in this state.
    user
        Only those of this mailbox.
    batch
        Only those of this batch.
    """
    out = session.out(options)
    own = str(Address.parse_own(user)) if user else ""
    found = _every(session.client(), state=state, all=all, address=own, parent=batch)
    if out.json:
        out.document(found)
    out.table(("MOVE", "ADDRESS", "FROM", "TO", "STATE", "BATCH", "REASON"), [_cells(move) for move in found])


@app.command
def show(id: int, /, *, options: Common = COMMON, session: Use) -> None:
    """Show one move: where it is, how far, and why.

    For example:
      roost move show 17
      roost move show 17 --output json

    Parameters
    ----------
    id
        The move's number, as 'roost move list' has it.
    """
    out, found = session.out(options), session.client().move(id)
    if out.json:
        out.document(found)
    facts: list[tuple[str, object]] = [
        ("Move", found.id),
        ("Mailbox", found.address),
        ("From", found.source),
        ("To", found.target),
        ("State", f"{found.state}, since {_time(found)}"),
    ]
    wanted = {"Paused": found.paused, "To be undone": found.aborting and found.state is State.UNDOING}
    facts += [(name, "yes") for name, so in wanted.items() if so]
    told = {
        "Reason": found.reason,
        "Progress": ", ".join(cell for cell in row_of(found)[1:] if cell) if found.progress.passes else "",
        "Attempts": found.attempts,
        "Closed for": f"{found.pause_ms} ms" if found.pause_ms else "",
        "Passed on": found.passed_on,
        "Takes back": found.back_of,
        "Format": found.format,
        "Batch": found.parent,
        "Old copy until": f"{found.kept_until:%Y-%m-%d %H:%M} UTC" if found.kept_until else "",
        "Asked by": found.actor,
    }
    out.facts(facts + [(name, value) for name, value in told.items() if value])


@app.command(name="watch")
def watch_(id: int = 0, /, *, batch: str = "", options: Common = COMMON, session: Use) -> int:
    """Show how moves are going, until each mailbox is at its new home or stays where it is.

    For example:
      roost move watch
      roost move watch 17
      roost move watch --batch b17

    Parameters
    ----------
    id
        The move's number; all open moves where not given.
    batch
        All moves of this batch.
    """
    out, client = session.out(options), session.client()
    found = [client.move(id)] if id else _every(client, state=None, all=False, address="", parent=batch)
    ids = open_ids(found)
    if not ids:
        out.say("No move is under way.")
    watched = watch(client, out, ids, batch, _WATCH_SECONDS) if ids else None
    if out.json:
        out.document(list(watched.ended.values()) if watched else found)
    return watched.status if watched else 0


@app.command
def pause(id: int = 0, /, *, batch: str = "", all: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Let moves rest: no pass is begun; a hand-over that has begun ends first.

    For example:
      roost move pause 17
      roost move pause --batch b17
      roost move pause --all

    Parameters
    ----------
    id
        The move's number.
    batch
        All open moves of this batch.
    all
        All open moves.
    """
    _order(session, options, "pause", id, batch, all=all)


@app.command
def resume(id: int = 0, /, *, batch: str = "", all: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Let paused moves go on.

    For example:
      roost move resume 17
      roost move resume --all

    Parameters
    ----------
    id
        The move's number.
    batch
        All paused moves of this batch.
    all
        All paused moves.
    """
    _order(session, options, "resume", id, batch, all=all)


@app.command
def abort(id: int = 0, /, *, batch: str = "", all: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Undo moves: the mailboxes stay where they are, the copies are removed.

    A mailbox that has just been handed over has moved all the same; then
    'roost move back' moves it back.

    For example:
      roost move abort 17
      roost move abort --batch b17 --dry-run

    Parameters
    ----------
    id
        The move's number.
    batch
        All moves of this batch that are not handed over.
    all
        All moves that are not handed over.
    """
    _order(session, options, "abort", id, batch, all=all)


@app.command
def back(id: int, /, *, options: MoveWriting = MOVE_WRITING, session: Use) -> int:
    """Move a mailbox back to where a move brought it from.

    The old home keeps its copy for the policy's keep_days, so that only what has
    changed since is copied. New mail comes along.

    For example:
      roost move back 17
      roost move back 17 --no-wait

    Parameters
    ----------
    id
        The number of the move that is to be taken back.
    """
    seconds = check_seconds(options.timeout, "timeout")
    return follow(session, options, session.client().move_back(id, dry_run=options.dry_run), seconds)


@app.command
def certificate(id: int, /, *, save: str = "", options: Common = COMMON, session: Use) -> None:
    """Show the proof of a hand-over: what both nodes held, signed by the cluster's CA.

    For example:
      roost move certificate 17
      roost move certificate 17 --save /root/move-17.json

    Parameters
    ----------
    id
        The move's number.
    save
        Write the signed text to this file, and the signature to FILE.sig, as openssl reads it.
    """
    out, found = session.out(options), session.client().move_certificate(id)
    if save:
        try:
            Path(save).write_text(found.body, encoding="utf-8")
            Path(f"{save}.sig").write_bytes(base64.b64decode(found.signature))
        except OSError as error:
            raise BadSetting(f"{save} cannot be written: {error.strerror}.", field="save") from error
    if out.json:
        out.document(found)
    told = json.loads(found.body)
    folders = told["evidence"]["source"]["folders"]
    out.facts(
        [
            ("Move", found.move),
            ("Mailbox", told["address"]),
            ("From", told["source"]),
            ("To", told["target"]),
            ("Handed over", told["handed over"]),
            ("Closed for", f"{told['pause_ms']} ms"),
            ("Folders", len(folders)),
            ("Messages", sum(folder["messages"] for folder in folders.values())),
            ("Contents compared", "yes" if told["evidence"]["source"]["deep"] else "no"),
            ("Signature", "valid" if found.valid else "NOT VALID"),
        ]
    )


def _order(session: Session, options: Writing, verb: str, id: int, batch: str, *, all: bool) -> None:
    if [bool(id), bool(batch), all].count(True) != 1:
        raise BadSetting(
            f"Say which moves are to be {verb.removesuffix('e')}ed.",
            field="id",
            remedy="Give a move's number, or --batch, or --all.",
        )
    settle(session, options, session.client().order_moves(verb, id=id, parent=batch, dry_run=options.dry_run))


def _every(client: AdminClient, *, state: State | None, all: bool, address: str, parent: str) -> list[MoveView]:
    """Return all moves that fit, page by page."""
    found: list[MoveView] = []
    states = [str(state)] if state else []
    while True:
        after = found[-1].id if found else 0
        page = client.moves(
            states=states, open=not (all or state), address=address, parent=parent, after=after, limit=PAGE
        )
        found += page
        if len(page) < PAGE:
            return found


def _cells(move: MoveView) -> tuple[object, ...]:
    state = move.progress.phase if move.state in {State.ASKED, State.COPYING, State.HOLDING} else str(move.state)
    return (move.id, move.address, move.source, move.target, state, move.parent, move.reason)


def _time(move: MoveView) -> str:
    return f"{move.changed:%Y-%m-%d %H:%M:%S} UTC"
