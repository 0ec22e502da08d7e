"""``roost log``: the audit log, which is every change that was ever made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import REFUSED, Output
from roost.cli.session import Use
from roost.domain.errors import BadSetting

if TYPE_CHECKING:
    from roost.wire.client import AdminClient
    from roost.wire.resources import EventView

_PAGE = 1000
_POLL_SECONDS = 1.0


def log(
    *,
    last: int = 50,
    after: int | None = None,
    follow: bool = False,
    verify: bool = False,
    options: Common = COMMON,
    session: Use,
) -> int:
    """Show the audit log: who changed what, the newest at the end.

    For example:
      roost log
      roost log --last 500 --output json
      roost log --follow
      roost log --verify

    Parameters
    ----------
    last
        How many of the last changes.
    after
        All changes after this revision instead.
    follow
        Go on showing changes as they are made, until Ctrl-C.
    verify
        Check the chain of hashes over the whole log instead; the exit status is 1 where a link is broken.
    """
    out, client = session.out(options), session.client()
    if verify:
        return _verify(out, client)
    if follow and out.json:
        raise BadSetting(
            "--follow has no end, so it is not one JSON document.",
            field="follow",
            remedy="Leave --follow or --output json away.",
        )
    if last < 1 or (after is not None and after < 0):
        raise BadSetting("The log is shown from revision 0 on, and at least one change of it.", field="last")
    begin = after if after is not None else max(0, client.status().revision - last)
    found = _events(client, begin)
    if out.json:
        out.document(found)
    out.table(("REVISION", "AT", "WHO", "WHAT", "SUBJECT", "DETAIL"), [_row(event) for event in found])
    if follow:
        _follow(out, client, found[-1].revision if found else begin)
    return 0


def _events(client: AdminClient, after: int) -> list[EventView]:
    """Return every event after a revision."""
    found: list[EventView] = []
    while page := client.events(after=found[-1].revision if found else after, limit=_PAGE):
        found += page
        if len(page) < _PAGE:
            break
    return found


def _follow(out: Output, client: AdminClient, after: int) -> None:
    try:
        while True:
            for event in _events(client, after):
                out.say("  ".join(str(cell) for cell in _row(event)).rstrip())
                after = event.revision
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _row(event: EventView) -> tuple[object, ...]:
    detail = " ".join(f"{name}={value}" for name, value in event.detail.items())
    return (event.revision, f"{event.at:%Y-%m-%d %H:%M:%S}", event.actor, event.verb, event.subject, detail)


def _verify(out: Output, client: AdminClient) -> int:
    broken = client.verify_events()
    if out.json:
        out.document({"intact": not broken, "broken": broken})
    for sentence in broken:
        out.say(sentence)
    if not broken:
        out.say("The audit log is intact.")
    return REFUSED if broken else 0
