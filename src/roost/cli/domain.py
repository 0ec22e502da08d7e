"""``roost domain``: mail domains."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from roost.cli.ask import sure
from roost.cli.options import COMMON, WRITING, Common, Writing
from roost.cli.receipts import settle
from roost.cli.safe_text import show_size, size
from roost.cli.session import Use
from roost.domain.cluster import Suspended
from roost.domain.errors import BadSetting
from roost.domain.names import host_name
from roost.wire.resources import DomainChange, DomainView, NewDomain

app = App(name="domain")

SuspendedWord = Literal["accept", "defer", "refuse"]


@app.command
def add(
    name: str,
    /,
    *,
    access_zone: str | None = None,
    quota: str = "0",
    suspended: SuspendedWord = "accept",
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Add a mail domain.

    Its users' personal hostnames lie in the access zone: john.pop.example.test.
    Afterwards give the world's DNS the records that 'roost domain records' shows.

    For example:
      roost domain add example.test
      roost domain add example.test --quota 2G
      roost domain add example.test --access-zone in.example.test

    Parameters
    ----------
    name
        The domain, such as example.test.
    access_zone
        Zone of the personal hostnames; pop.NAME where not given.
    quota
        Space of a mailbox that has no quota of its own: 2G, 500M or bytes; 0 for no limit.
    suspended
        What happens to mail for suspended mailboxes: accept it, defer it (it waits), or refuse it.
    """
    zone = host_name(access_zone, field="access_zone") if access_zone else None
    new = NewDomain(
        name=host_name(name, field="domain"), access_zone=zone, quota=size(quota), suspended=Suspended(suspended)
    )
    settle(session, options, session.client().add_domain(new, dry_run=options.dry_run))


@app.command(name="list")
def list_(*, options: Common = COMMON, session: Use) -> None:
    """List the mail domains.

    For example:
      roost domain list
      roost domain list --output json
    """
    out, found = session.out(options), session.client().domains()
    if out.json:
        out.document(found)
    rows = [(d.name, d.access_zone, d.mailboxes, _quota(d), d.suspended) for d in found]
    out.table(("DOMAIN", "ACCESS ZONE", "MAILBOXES", "QUOTA", "SUSPENDED"), rows)


@app.command
def show(name: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Show one domain.

    For example:
      roost domain show example.test

    Parameters
    ----------
    name
        The domain.
    """
    out, found = session.out(options), session.client().domain(host_name(name, field="domain"))
    if out.json:
        out.document(found)
    out.facts(
        [
            ("Domain", found.name),
            ("Access zone", found.access_zone),
            ("Mailboxes", found.mailboxes),
            ("Quota", _quota(found)),
            ("Mail for suspended", found.suspended),
        ]
    )


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    quota: str | None = None,
    suspended: SuspendedWord | None = None,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Change a domain; what is not named stays.

    For example:
      roost domain set example.test --quota 5G
      roost domain set example.test --suspended refuse --dry-run

    Parameters
    ----------
    name
        The domain.
    quota
        Space of a mailbox that has no quota of its own: 2G, 500M or bytes; 0 for no limit.
    suspended
        What happens to mail for suspended mailboxes: accept it, defer it (it waits), or refuse it.
    """
    if quota is None and suspended is None:
        raise BadSetting("Nothing to set was given.", remedy="Give --quota or --suspended.")
    change = DomainChange(
        quota=None if quota is None else size(quota), suspended=Suspended(suspended) if suspended else None
    )
    domain = host_name(name, field="domain")
    settle(session, options, session.client().change_domain(domain, change, dry_run=options.dry_run))


@app.command
def remove(name: str, /, *, yes: bool = False, options: Writing = WRITING, session: Use) -> None:
    """Remove a domain that has no mailboxes and aliases left.

    For example:
      roost domain remove example.test
      roost domain remove example.test --yes --output json

    Parameters
    ----------
    name
        The domain.
    yes
        Do not ask.
    """
    domain = host_name(name, field="domain")
    if not sure(f"Remove the domain {domain}?", yes=yes or options.dry_run):
        session.out(options).note("Nothing was done.")
        return
    settle(session, options, session.client().remove_domain(domain, dry_run=options.dry_run))


@app.command
def records(name: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Print the records that the world's DNS should have for a domain.

    For example:
      roost domain records example.test
      roost domain records example.test --output json

    Parameters
    ----------
    name
        The domain.
    """
    out, found = session.out(options), session.client().domain(host_name(name, field="domain"))
    if out.json:
        out.document(found.records)
    for record in found.records:
        out.say(record)
    if not found.records:
        out.say("No record yet: add nodes in the roles mx and dns first.")


def _quota(domain: DomainView) -> str:
    return show_size(domain.quota) if domain.quota else "none"
