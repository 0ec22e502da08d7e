"""``roost user``: mailboxes. The import from a file is in ``user_import.py``."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from roost.cli import load, trace, user_access, user_move
from roost.cli.ask import HashFile, new_password, sure
from roost.cli.options import COMMON, TIES, WRITING, Common, TieOptions, Writing
from roost.cli.pages import PAGE, take
from roost.cli.receipts import settle
from roost.cli.safe_text import show_size, size
from roost.cli.session import Use
from roost.cli.user_import import import_
from roost.domain.errors import BadSetting
from roost.domain.names import Address, host_name
from roost.domain.ties import FREE
from roost.wire.resources import MailboxChange, MailboxView, NewMailbox

app = App(name="user")


@app.command
def add(
    address: str,
    /,
    *,
    home: str | None = None,
    quota: str = "0",
    format: Literal["", "mdbox", "sdbox", "maildir"] = "",
    password_stdin: bool = False,
    password_hash: HashFile = None,
    ties: TieOptions = TIES,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Add a mailbox.

    Asks for the password on the terminal, twice, unless an option says where it
    comes from. Waits until every node that must know the mailbox does, and shows
    which has it.

    For example:
      roost user add john@example.test
      roost user add john@example.test --home ms1.cluster.test --quota 2G
      roost user add jane@example.test --together smith --class gold
      pass show john | roost user add john@example.test --password-stdin
      doveadm pw -s ARGON2ID | roost user add john@example.test --password-hash -

    Parameters
    ----------
    address
        The address, which is also the login name.
    home
        The storage node that holds the mailbox; chosen by the controller where not given.
    quota
        Its space: 2G, 500M or bytes; 0 for the domain's default.
    format
        Format in which Dovecot keeps it; as the policy says where not given.
    password_stdin
        Read the password from standard input (one line).
    password_hash
        File that holds a hash with Dovecot's scheme prefix, such as {ARGON2ID}...; - for standard input.
    """
    own, node = str(Address.parse_own(address)), host_name(home, field="home") if home else None
    space = size(quota)
    password, hashed = new_password(from_stdin=password_stdin, hash_file=password_hash)
    new = NewMailbox(
        address=own,
        password=password,
        password_hash=hashed,
        home=node,
        quota=space,
        format=format or None,
        **ties.given(),
    )
    settle(session, options, session.client().add_mailbox(new, dry_run=options.dry_run))


@app.command(name="list")
def list_(
    *,
    domain: str = "",
    home: str = "",
    ties: TieOptions = TIES,
    after: str = "",
    limit: int = PAGE,
    all: bool = False,
    options: Common = COMMON,
    session: Use,
) -> None:
    """List mailboxes, sorted by address.

    For example:
      roost user list
      roost user list --domain example.test --all
      roost user list --home ms1.cluster.test --output json
      roost user list --together smith

    Of a group, a pin or a class: only those that have it.

    Parameters
    ----------
    domain
        Only those of this domain.
    home
        Only those at home on this node.
    after
        Only those whose address sorts after this one.
    limit
        At most so many.
    all
        Without a limit.
    """
    client, out = session.client(), session.out(options)
    named = host_name(domain, field="domain") if domain else ""
    node = host_name(home, field="home") if home else ""
    tied = FREE.changed(ties.given())

    def ask(last: str, count: int) -> list[MailboxView]:
        return client.mailboxes(domain=named, home=node, ties=tied, after=last, limit=count)

    found, more = take(ask, lambda m: m.address, after=after, limit=None if all else limit)
    if out.json:
        out.document(found)
    rows = [(m.address, m.hostname, m.home, _quota(m), "suspended" if m.suspended else "active") for m in found]
    out.table(("ADDRESS", "HOSTNAME", "HOME", "QUOTA", "STATE"), rows)
    if more:
        out.note(f"There are more: --after {found[-1].address} goes on, --all shows every one.")


@app.command
def show(address: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Show one mailbox: its personal hostname, its home and where mail for it leads.

    For example:
      roost user show john@example.test
      roost user show john@example.test --output json

    Parameters
    ----------
    address
        The mailbox.
    """
    out, found = session.out(options), session.client().mailbox(str(Address.parse_own(address)))
    if out.json:
        out.document(found)
    out.facts(
        [
            ("Address", found.address),
            ("Hostname", found.hostname),
            ("Mail leads to", found.target),
            ("Home", found.home),
            *([("Moving to", found.moving_to)] if found.moving_to else []),
            ("Quota", _quota(found)),
            ("State", "suspended" if found.suspended else "active"),
            ("Format", found.format),
            *((words, tie) for words, tie in _ties(found) if tie),
            ("Number", found.number),
        ]
    )


@app.command(name="set")
def set_(
    address: str,
    /,
    *,
    quota: str | None = None,
    ties: TieOptions = TIES,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Change a mailbox; what is not named stays.

    An empty group, pin or class takes it away: --pin ''. Nobody moves by that; where the
    mailbox should live elsewhere from now on, the answer says so, and 'roost user move'
    or the next plan of 'roost balance' brings it there.

    For example:
      roost user set john@example.test --quota 5G
      roost user set john@example.test --quota 0
      roost user set john@example.test --together smith
      roost user set postmaster@example.test --apart postmasters --pin ''

    Parameters
    ----------
    address
        The mailbox.
    quota
        Its space: 2G, 500M or bytes; 0 for the domain's default.
    """
    own, given = str(Address.parse_own(address)), ties.given()
    if quota is None and not given:
        raise BadSetting(
            "Nothing to set was given.", field="quota", remedy="Give --quota, --together, --apart, --pin or --class."
        )
    change = MailboxChange.model_validate({**given, **({} if quota is None else {"quota": size(quota)})})
    settle(session, options, session.client().change_mailbox(own, change, dry_run=options.dry_run))


@app.command
def remove(address: str, /, *, yes: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Remove a mailbox. Its mail stays on its home for the policy's keep_days.

    For example:
      roost user remove john@example.test
      roost user remove john@example.test --yes --no-wait

    Parameters
    ----------
    address
        The mailbox.
    yes
        Do not ask.
    """
    own = str(Address.parse_own(address))
    if not sure(f"Remove the mailbox {own}?", yes=yes or options.dry_run):
        session.out(options).note("Nothing was done.")
        return
    settle(session, options, session.client().remove_mailbox(own, dry_run=options.dry_run))


def _quota(mailbox: MailboxView) -> str:
    return show_size(mailbox.quota) if mailbox.quota else "none"


def _ties(mailbox: MailboxView) -> list[tuple[str, str]]:
    return [
        ("Kept together", mailbox.together),
        ("Kept apart", mailbox.apart),
        ("Pinned to", mailbox.pin),
        ("Class", mailbox.service_class),
    ]


app.command(user_access.password)
app.command(user_access.suspend)
app.command(user_access.resume)
app.command(user_move.move)
app.command(load.of_user, name="load")
app.command(trace.timeline)
app.command(import_, name="import")
