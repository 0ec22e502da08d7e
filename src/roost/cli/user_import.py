"""``roost user import``: many mailboxes from a CSV file, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from roost.cli.mailbox_csv import Reading, read_mailboxes
from roost.cli.options import BULK_WRITING, BulkWriting
from roost.cli.output import Output
from roost.cli.receipts import settle
from roost.cli.safe_text import plain
from roost.cli.session import Session, Use
from roost.domain.errors import BadImport, BadSetting, Finding
from roost.wire.resources import NewMailboxes, Written

_SHOWN = 20


def import_(
    file: str,
    /,
    *,
    format: Literal["", "mdbox", "sdbox", "maildir"] = "",
    options: BulkWriting = BULK_WRITING,
    session: Use,
) -> None:
    """Add many mailboxes from a CSV file: all of them or none.

    The first line names the columns, in any order: address, password_hash or
    password, home, quota, together, apart, pin, class. Faults are printed as
    FILE:LINE:COLUMN, and where there is one, nothing is added. Hashes are far quicker
    than passwords in clear, which the controller has to hash.

    For example:
      roost user import staff.csv --dry-run
      roost user import staff.csv
      roost user import staff.csv --no-wait --output json

    A file:
      address,password_hash,home,quota
      john@example.test,{ARGON2ID}$argon2id$v=19$m=19456...,ms1.cluster.test,2G
      jane@example.test,{BLF-CRYPT}$2y$05$...,,

    Parameters
    ----------
    file
        CSV file in UTF-8.
    format
        Format in which Dovecot keeps them; as the policy says where not given.
    """
    out = session.out(options)
    reading = _read(out, file)
    if reading.findings:
        raise _refusal(out, file, reading.findings)
    if format:
        for mailbox in reading.mailboxes:
            mailbox.format = format
    new = NewMailboxes(mailboxes=reading.mailboxes)
    try:
        written = _send(session, out, new, dry_run=options.dry_run)
    except BadImport as error:
        raise _refusal(out, file, [_placed(reading, f) for f in error.findings], error) from error
    settle(session, options, written)


def _read(out: Output, file: str) -> Reading:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise BadSetting(f"{file} cannot be read: {error.strerror}.", field="file") from error
    with out.progress("Reading", len(content), bytes=True) as bar:
        reading = read_mailboxes(content, bar.advance)
    if not reading.findings and not reading.mailboxes:
        raise BadSetting(f"{file} names no mailbox.", field="file")
    return reading


def _send(session: Session, out: Output, new: NewMailboxes, *, dry_run: bool) -> Written:
    client = session.client()
    with out.progress("Sending", bytes=True) as bar:
        return client.import_mailboxes(new, dry_run=dry_run, progress=bar.set)


def _placed(reading: Reading, finding: Finding) -> Finding:
    """Return the controller's finding, which counts mailboxes, with its place in the file."""
    line, column = reading.place_of(finding.line, finding.field)
    return Finding(line, column, finding.field, finding.message)


def _refusal(out: Output, file: str, findings: Sequence[Finding], said: BadImport | None = None) -> BadImport:
    """Print the first findings for people, and return the error that tells of all."""
    ordered = tuple(sorted(findings, key=lambda f: (f.line, f.column)))
    if not out.json:
        for finding in ordered[:_SHOWN]:
            place = f"{file}:{finding.line}:{finding.column}" if finding.line else file
            print(plain(f"{place}: {finding.message}"), file=sys.stderr)
        if len(ordered) > _SHOWN:
            print(f"... and {len(ordered) - _SHOWN} more.", file=sys.stderr)
    if said is not None:
        # The controller names only the first faults where there are very many; its sentence has their number.
        return BadImport(f"{file}: {said.message}", ordered, remedy=said.remedy)
    count = "one fault" if len(ordered) == 1 else f"{len(ordered)} faults"
    return BadImport(
        f"{file} has {count}; no mailbox was added.", ordered, remedy="Correct the file and import it again."
    )
