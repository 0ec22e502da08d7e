"""``roost user move``: mailboxes get another home, while their users work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from roost.cli.move_csv import Reading, read_moves
from roost.cli.move_watch import watch
from roost.cli.options import MOVE_WRITING, MoveWriting
from roost.cli.output import Output
from roost.cli.receipts import check_seconds, tell_done
from roost.cli.safe_text import plain
from roost.cli.session import Session, Use
from roost.domain.errors import BadImport, BadSetting, Finding
from roost.domain.names import Address, host_name
from roost.domain.ties import tie_name
from roost.wire.move_resources import MovesAsked, NewMove, NewMoves

_SHOWN = 20


def move(
    *addresses: str,
    to: str = "",
    domain: str = "",
    from_: Annotated[str, Parameter(name="--from")] = "",
    together: str = "",
    from_csv: str = "",
    format: Literal["", "mdbox", "sdbox", "maildir"] = "",
    deep: bool = False,
    batch: str = "",
    options: MoveWriting = MOVE_WRITING,
    session: Use,
) -> int:
    """Move mailboxes to another home, while their users work.

    Name addresses, or a domain, a node, a group, or a CSV file. A group that is kept
    together moves as a whole or not at all. Without --to, Roost chooses the node with
    most room for each. Waits until every mailbox is at its new home, and shows how it
    goes; the moves go on also when the command is ended. The exit status is 1 where a
    mailbox stayed.

    For example:
      roost user move john@example.test
      roost user move john@example.test jane@example.test --to ms2.cluster.test
      roost user move --from ms1.cluster.test --dry-run
      roost user move --domain example.test --to ms3.cluster.test --no-wait
      roost user move --together smith --to ms2.cluster.test
      roost user move --from-csv moves.csv

    A file:
      address,to
      john@example.test,ms2.cluster.test
      jane@example.test,

    Parameters
    ----------
    addresses
        The mailboxes.
    to
        The storage node that is to be their home.
    domain
        All mailboxes of this domain; those that are there already are left out.
    from_
        All mailboxes of this node; with --domain, those of the domain on it.
    together
        All mailboxes of this group; with --domain or --from, those of it that are meant there.
    from_csv
        The mailboxes in this CSV file, each with its new home, which may be empty.
    format
        Format that they are to have there; as they have it, where not given.
    deep
        Compare also the content of every message before each hand-over; this takes longer.
    batch
        Name of the batch that they are to belong to, a new one or one that there is; chosen where not given.
    """
    out, seconds = session.out(options), check_seconds(options.timeout, "timeout")
    reading = _read(out, from_csv) if from_csv else Reading([NewMove(address=_own(text)) for text in addresses])
    if addresses and from_csv:
        raise BadSetting("Give either addresses or a file, not both.", field="from_csv")
    if bool(reading.moves) == bool(domain or from_ or together):
        raise BadSetting(
            "Nothing, or too much, says which mailboxes are meant.",
            field="addresses",
            remedy="Give addresses, or --from-csv; or --domain, --from, --together, or several of these.",
        )
    new = NewMoves(
        mailboxes=reading.moves,
        domain=host_name(domain, field="domain") if domain else "",
        from_node=host_name(from_, field="from") if from_ else "",
        together=tie_name(together, field="together"),
        to=host_name(to, field="to") if to else "",
        format=format,
        deep=deep,
        parent=batch,
    )
    try:
        asked = session.client().ask_moves(new, dry_run=options.dry_run)
    except BadImport as error:
        raise _refusal(out, from_csv, [_placed(reading, f) for f in error.findings], error.message) from error
    return follow(session, options, asked, seconds)


def follow(session: Session, options: MoveWriting, asked: MovesAsked, seconds: float) -> int:
    """Tell what was asked for, and wait for it as the options say; returns the exit status."""
    out = session.out(options)
    tell_done(out, asked)
    if options.no_wait or options.dry_run or not asked.ids:
        if out.json:
            out.document(asked)
        return 0
    watched = watch(session.client(), out, asked.ids, asked.parent, seconds)
    if out.json:
        seen = {move.id: move for move in watched.coming} | watched.ended
        out.document({**asked.model_dump(mode="json"), "moves": [seen[one] for one in asked.ids if one in seen]})
    return watched.status


def _own(text: str) -> str:
    return str(Address.parse_own(text))


def _read(out: Output, file: str) -> Reading:
    try:
        reading = read_moves(Path(file).read_bytes())
    except OSError as error:
        raise BadSetting(f"{file} cannot be read: {error.strerror}.", field="from_csv") from error
    if reading.findings:
        count = "one fault" if len(reading.findings) == 1 else f"{len(reading.findings)} faults"
        raise _refusal(out, file, reading.findings, f"{file} has {count}; nothing was asked for.")
    if not reading.moves:
        raise BadSetting(f"{file} names no mailbox.", field="from_csv")
    return reading


def _placed(reading: Reading, finding: Finding) -> Finding:
    """Return the controller's finding, which counts mailboxes, with its line in the file, if it came from one."""
    line = reading.lines[finding.line - 1] if 0 < finding.line <= len(reading.lines) else finding.line
    return Finding(line, finding.column, finding.field, finding.message)


def _refusal(out: Output, file: str, findings: Sequence[Finding], message: str) -> BadImport:
    """Print the first findings for people, and return the error that tells of all."""
    ordered = tuple(sorted(findings, key=lambda finding: finding.line))
    if not out.json:
        for finding in ordered[:_SHOWN]:
            print(plain(f"{file}:{finding.line}: " if file else "") + plain(finding.message), file=sys.stderr)
        if len(ordered) > _SHOWN:
            print(f"... and {len(ordered) - _SHOWN} more.", file=sys.stderr)
    return BadImport(message, ordered, remedy="Leave them out, or put right what is in the way.")
