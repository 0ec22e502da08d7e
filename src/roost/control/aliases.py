"""Aliases and group addresses: they lead somewhere, and never back to themselves."""

from __future__ import annotations

from collections.abc import Sequence

from roost.control import domains
from roost.control.writing import Done, writing
from roost.domain.cluster import Alias
from roost.domain.errors import AliasLoop, AlreadyExists, BadAddress, NotFound, StillInUse
from roost.domain.names import Address
from roost.ports.store import Reader, Store

_EXPANSION_MAX = 1000  # Postfix's virtual_alias_expansion_limit, see postconf(5)
_DEPTH_MAX = 20  # aliases of aliases of aliases: nobody needs more, and the walk stays short


def find(view: Reader, address: str) -> Alias:
    """Return the alias of an address; raises ``NotFound``."""
    parsed = Address.parse(address)
    alias = view.alias(parsed)
    if alias is None:
        raise NotFound(f"There is no alias {parsed}.", field="address", remedy="See 'roost alias list'.")
    return alias


def put(
    store: Store, actor: str, address: str, targets: Sequence[str], *, exists: bool, dry_run: bool = False
) -> Done:
    """Add an alias (``exists`` False) or set the targets of one that exists."""
    own = Address.parse_own(address)
    parsed = tuple(dict.fromkeys(Address.parse(target, field="targets") for target in targets))
    if not parsed:
        raise BadAddress("An alias needs at least one target.", field="targets")
    alias = Alias(own, parsed)
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        domains.find(cluster, own.domain, field="address")
        if exists:
            if find(tx, address) == alias:
                return done
        elif own in tx.existing([own]):
            raise AlreadyExists(f"{own} exists already.", field="address")
        own_domains = {domain.name for domain in cluster.domains}
        for target in parsed:
            plain = _plain(target)
            if plain.domain in own_domains and plain != own and plain not in tx.existing([plain]):
                raise NotFound(
                    f"{target} would get nothing: there is no such mailbox or alias.",
                    field="targets",
                    remedy="Add it first, or correct the target.",
                )
        _refuse_loops(tx, alias)
        verb = "alias changed" if exists else "alias added"
        arrow = ", ".join(str(target) for target in parsed)
        done.add(tx.put_alias(alias, verb), f"Alias {own} {'changed' if exists else 'added'}: leads to {arrow}.")
    return done


def _plain(address: Address) -> Address:
    """Return the address without its subaddress: mail to ``john+news@`` reaches john."""
    return Address(address.local.split("+", 1)[0], address.domain)


def _refuse_loops(view: Reader, alias: Alias) -> None:
    """Follow every target through the aliases that exist; raises ``AliasLoop`` naming the way back."""
    seen: set[Address] = set()
    waiting: list[tuple[Address, tuple[Address, ...]]] = [(t, (alias.address,)) for t in reversed(alias.targets)]
    while waiting:
        target, way = waiting.pop()
        plain = _plain(target)
        if plain in way or len(way) > _DEPTH_MAX:
            path = " leads to ".join(str(step) for step in (*way, plain))
            what = "leads back to itself" if plain in way else "is too deep"
            raise AliasLoop(
                f"The alias {what}: {path}.", field="targets", remedy="Leave out the target in the circle."
            )
        if plain in seen:
            continue
        seen.add(plain)
        if len(seen) > _EXPANSION_MAX:
            raise AliasLoop(
                f"The alias would reach more than {_EXPANSION_MAX} addresses.",
                field="targets",
                remedy="A mailing list manager is the tool for this.",
            )
        following = view.alias(plain)
        if following:
            waiting.extend((t, (*way, plain)) for t in reversed(following.targets))


def remove(store: Store, actor: str, address: str, *, dry_run: bool = False) -> Done:
    """Remove an alias to which no other alias leads."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        alias = find(tx, address)
        users = tx.aliases_to(alias.address)
        if users:
            raise StillInUse(f"The alias {users[0]} leads to {alias.address}.", field="address")
        done.add(tx.remove_alias(alias.address), f"Alias {alias.address} removed.")
    return done
