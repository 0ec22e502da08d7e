"""``roost alias``: addresses that lead to others."""

from __future__ import annotations

from cyclopts import App

from roost.cli.options import COMMON, WRITING, Common, Writing
from roost.cli.pages import PAGE, take
from roost.cli.receipts import settle
from roost.cli.session import Use
from roost.domain.errors import BadAddress
from roost.domain.names import Address, host_name
from roost.wire.resources import AliasView, NewAlias

app = App(name="alias")


@app.command
def add(address: str, /, *targets: str, options: Writing = WRITING, session: Use) -> None:
    """Add an alias: mail for it goes to all its targets, inside or outside.

    For example:
      roost alias add sales@example.test john@example.test
      roost alias add sales@example.test john@example.test desk@elsewhere.test

    Parameters
    ----------
    address
        The alias.
    targets
        The addresses that it leads to.
    """
    settle(session, options, session.client().add_alias(_alias(address, targets), dry_run=options.dry_run))


@app.command(name="set")
def set_(address: str, /, *targets: str, options: Writing = WRITING, session: Use) -> None:
    """Replace all targets of an alias.

    For example:
      roost alias set sales@example.test jane@example.test
      roost alias set sales@example.test jane@example.test --dry-run

    Parameters
    ----------
    address
        The alias.
    targets
        The addresses that it is to lead to.
    """
    settle(session, options, session.client().set_alias(_alias(address, targets), dry_run=options.dry_run))


@app.command(name="list")
def list_(
    *,
    domain: str = "",
    after: str = "",
    limit: int = PAGE,
    all: bool = False,
    options: Common = COMMON,
    session: Use,
) -> None:
    """List aliases, sorted by address.

    For example:
      roost alias list
      roost alias list --domain example.test --all --output json

    Parameters
    ----------
    domain
        Only those of this domain.
    after
        Only those whose address sorts after this one.
    limit
        At most so many.
    all
        Without a limit.
    """
    client, out = session.client(), session.out(options)
    named = host_name(domain, field="domain") if domain else ""

    def ask(last: str, count: int) -> list[AliasView]:
        return client.aliases(domain=named, after=last, limit=count)

    found, more = take(ask, lambda a: a.address, after=after, limit=None if all else limit)
    if out.json:
        out.document(found)
    out.table(("ALIAS", "TARGETS"), [(a.address, ", ".join(a.targets)) for a in found])
    if more:
        out.note(f"There are more: --after {found[-1].address} goes on, --all shows every one.")


@app.command
def show(address: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Show one alias.

    For example:
      roost alias show sales@example.test

    Parameters
    ----------
    address
        The alias.
    """
    out, found = session.out(options), session.client().alias(str(Address.parse_own(address)))
    if out.json:
        out.document(found)
    out.facts([("Alias", found.address), *(("Target", target) for target in found.targets)])


@app.command
def remove(address: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Remove an alias.

    For example:
      roost alias remove sales@example.test

    Parameters
    ----------
    address
        The alias.
    """
    own = str(Address.parse_own(address))
    settle(session, options, session.client().remove_alias(own, dry_run=options.dry_run))


def _alias(address: str, targets: tuple[str, ...]) -> NewAlias:
    if not targets:
        raise BadAddress("An alias needs a target.", field="targets", remedy="Name the addresses after the alias.")
    own = str(Address.parse_own(address))
    return NewAlias(address=own, targets=[str(Address.parse(t, field="targets")) for t in targets])
