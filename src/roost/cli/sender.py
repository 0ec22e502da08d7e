"""``roost sender``: whom domains and users allow and deny."""

from __future__ import annotations

from cyclopts import App

from roost.cli.options import COMMON, WRITING, Common, Writing
from roost.cli.pages import PAGE, take
from roost.cli.receipts import settle
from roost.cli.session import Use
from roost.domain.names import host_name
from roost.domain.senders import Verdict, owner_of, sender_of
from roost.wire.resources import SenderView

app = App(name="sender")


@app.command
def allow(owner: str, sender: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Let mail from a sender in, however it looks, unless he is found to be forged.

    For example:
      roost sender allow john@example.test jane@elsewhere.test
      roost sender allow example.test elsewhere.test
      roost sender allow example.test 192.0.2.7

    Parameters
    ----------
    owner
        Whose list: a domain of ours, or an address.
    sender
        An address, a domain, or the IP address of a mail server.
    """
    _put(owner, sender, Verdict.ALLOW, options, session)


@app.command
def deny(owner: str, sender: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Refuse mail from a sender.

    For example:
      roost sender deny john@example.test bad@spam.test
      roost sender deny example.test spam.test

    Parameters
    ----------
    owner
        Whose list: a domain of ours, or an address.
    sender
        An address, a domain, or the IP address of a mail server.
    """
    _put(owner, sender, Verdict.DENY, options, session)


@app.command
def remove(owner: str, sender: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Remove an entry: the sender is judged as everybody.

    For example:
      roost sender remove john@example.test bad@spam.test

    Parameters
    ----------
    owner
        Whose list: a domain of ours, or an address.
    sender
        The address, domain or IP address.
    """
    done = session.client().remove_sender(owner_of(owner), sender_of(sender), dry_run=options.dry_run)
    settle(session, options, done)


@app.command(name="list")
def list_(
    *,
    owner: str = "",
    domain: str = "",
    after: str = "",
    limit: int = PAGE,
    all: bool = False,
    options: Common = COMMON,
    session: Use,
) -> None:
    """List who is allowed and denied, sorted by owner and sender.

    For example:
      roost sender list --domain example.test
      roost sender list --owner john@example.test --output json

    Parameters
    ----------
    owner
        Only the list of this domain or address.
    domain
        Only the lists of this domain and of the addresses in it.
    after
        Only what sorts after this owner and sender, a blank between them.
    limit
        At most so many.
    all
        Without a limit.
    """
    client, out = session.client(), session.out(options)
    of = owner_of(owner) if owner else ""
    named = host_name(domain, field="domain") if domain else ""

    def ask(last: str, count: int) -> list[SenderView]:
        return client.senders(owner=of, domain=named, after=last, limit=count)

    found, more = take(ask, _place, after=after, limit=None if all else limit)
    if out.json:
        out.document(found)
    out.table(("OWNER", "SENDER", "VERDICT"), [(e.owner, e.sender, e.verdict) for e in found])
    if more:
        out.note(f"There are more: --after '{_place(found[-1])}' goes on, --all shows every one.")


def _place(entry: SenderView) -> str:
    return f"{entry.owner} {entry.sender}"


def _put(owner: str, sender: str, verdict: Verdict, options: Writing, session: Use) -> None:
    entry = SenderView(owner=owner_of(owner), sender=sender_of(sender), verdict=verdict)
    settle(session, options, session.client().put_sender(entry, dry_run=options.dry_run))
