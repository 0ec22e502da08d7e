"""``roost receipt``: which nodes have applied a change."""

from __future__ import annotations

from roost.cli.options import COMMON, Common
from roost.cli.output import UNAVAILABLE
from roost.cli.receipts import check_seconds, late_sentences, show_receipt
from roost.cli.session import Use


def receipt(revision: int, /, *, wait: float = 0.0, options: Common = COMMON, session: Use) -> int:
    """Show which nodes have applied a change.

    The exit status is 0 when all have, else 3.

    For example:
      roost receipt 1234
      roost receipt 1234 --wait 60
      roost receipt 1234 --output json

    Parameters
    ----------
    revision
        Number of the change, as its command or 'roost log' told it.
    wait
        Seconds to wait for nodes that have not applied it yet.
    """
    out, client = session.out(options), session.client()
    left = check_seconds(wait, "wait")
    found = client.receipt(revision)
    with out.progress("Waiting for nodes") as bar:
        while not found.done and left > 0:
            step = min(left, _LONGEST_POLL)
            found, left = client.receipt(revision, wait=step), left - step
            bar.set(sum(line.applied for line in found.lines), len(found.lines))
    if out.json:
        out.document(found)
    show_receipt(session, out, found)
    for sentence in late_sentences(found):
        out.warn(sentence)
    return 0 if found.done else UNAVAILABLE


_LONGEST_POLL = 5.0
