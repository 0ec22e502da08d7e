"""Mailboxes: add one or a hundred thousand, change, remove. Every act is one field or one row in the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from roost.control import domains, headroom, passwords
from roost.control.kin import Kin
from roost.control.placing import Placer
from roost.control.writing import Done, writing
from roost.domain.cluster import FORMATS, Cluster, Mailbox
from roost.domain.errors import (
    AlreadyExists,
    BadImport,
    BadSetting,
    Finding,
    NotFound,
    Refused,
    RoostError,
    StillInUse,
)
from roost.domain.move import ARRIVING
from roost.domain.names import Address, labels_for
from roost.domain.ties import FREE, Ties
from roost.ports.store import Reader, Store, Writer

_CHUNK = 2000  # mailboxes that are made and written at a time
_FINDINGS_MAX = 100
_FORMATS = f"The formats are: {', '.join(FORMATS)}."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mailbox that somebody wants: as given, not checked yet. ``home`` None lets Roost choose."""

    address: str
    password: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    home: str | None = None
    quota: int = 0
    format: str = ""
    """One of ``FORMATS``; '' as the policy says."""

    ties: Ties = FREE
    """As given, too."""


def find(view: Reader, address: str) -> Mailbox:
    """Return the mailbox of an address; raises ``BadAddress`` or ``NotFound``."""
    parsed = Address.parse(address)
    mailbox = view.mailbox(parsed)
    if mailbox is None:
        raise NotFound(f"There is no mailbox {parsed}.", field="address", remedy="See 'roost user list'.")
    return mailbox


def add(store: Store, actor: str, wanted: Wanted, *, dry_run: bool = False) -> Done:
    """Add one mailbox."""
    hashed = passwords.choose(wanted.password, wanted.password_hash)
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        [mailbox] = next(_made(tx, cluster, [(wanted, hashed)]))
        domain = domains.find(cluster, mailbox.address.domain)
        done.add(
            tx.put_mailboxes([mailbox], "mailbox added"),
            f"Mailbox {mailbox.address} added on {mailbox.home}; its hostname is {mailbox.hostname(domain)}.",
        )
    return done


def add_many(store: Store, actor: str, wanted: Sequence[Wanted], *, dry_run: bool = False) -> Done:
    """Add all mailboxes or none; raises ``BadImport`` with a finding for each that cannot be, by its place (1-based).

    Clear passwords are hashed before the transaction begins, since each takes some ten milliseconds. Mailboxes are
    made and written some at a time, so that memory holds what was asked for, and not what is made of it besides.
    """
    findings: list[Finding] = []
    pairs: list[tuple[Wanted, str]] = []
    for index, want in enumerate(wanted, 1):
        try:
            pairs.append((want, passwords.choose(want.password, want.password_hash)))
        except RoostError as error:
            findings.append(Finding(index, 1, error.field, error.message))
            pairs.append((want, ""))
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        revision = 0
        for made in _made(tx, cluster, pairs, findings):
            # From the first fault on, what remains is only looked at, to find them all.
            if made and not findings:
                revision = tx.put_mailboxes(made, "mailbox added")
        if findings:
            findings.sort(key=lambda finding: finding.line)
            raise BadImport(
                f"{len(findings)} of {len(wanted)} mailboxes cannot be added; nothing was changed.",
                tuple(findings[:_FINDINGS_MAX]),
                remedy="Correct the lines and import the file again.",
            )
        if revision:
            done.add(revision, f"{len(pairs)} mailboxes added.")
    return done


def _made(
    tx: Writer,
    cluster: Cluster,
    pairs: Sequence[tuple[Wanted, str]],
    findings: list[Finding] | None = None,
) -> Iterator[list[Mailbox]]:
    """Yield the mailboxes to write, in chunks; faults are raised, or collected where ``findings`` is given."""
    placer, kin = Placer(cluster, tx.homes(), headroom.known(tx)), Kin(tx, cluster)
    seen: set[Address] = set()
    taken: dict[str, set[str]] = {}
    numbers = iter(tx.new_numbers(len(pairs)))
    remaining = enumerate(pairs, 1)
    by_name = {domain.name for domain in cluster.domains}
    while chunk := list(islice(remaining, _CHUNK)):
        parsed: list[tuple[int, Wanted, str, Address, Ties]] = []
        for index, (want, hashed) in chunk:
            try:
                address = Address.parse_own(want.address)
                if address.domain not in by_name:
                    domains.find(cluster, address.domain, field="address")
                if want.quota < 0:
                    raise BadSetting("A quota cannot be negative.", field="quota")
                if want.format and want.format not in FORMATS:
                    raise BadSetting(f"There is no format {want.format!r}.", field="format", remedy=_FORMATS)
                if address in seen:
                    raise AlreadyExists(f"{address} occurs twice.", field="address")
                ties = FREE.changed(dataclasses.asdict(want.ties)) if want.ties else FREE
                seen.add(address)
                parsed.append((index, want, hashed, address, ties))
            except RoostError as error:
                _collect(findings, index, error)
        made: list[Mailbox] = []
        existing = tx.existing(address for *_, address, _ in parsed)
        _learn_labels(tx, taken, [address for *_, address, _ in parsed])
        kin.learn(ties for *_, ties in parsed)
        for index, want, hashed, address, ties in parsed:
            try:
                if address in existing:
                    raise AlreadyExists(f"{address} exists already.", field="address")
                label = _free_label(tx, address, taken[address.domain])
                kept = want.format or cluster.policy.mailbox_format
                new = Mailbox(next(numbers), address, label, "", hashed, want.quota, format=kept, ties=ties)
                home = _placed(placer, kin, new, want.home) if ties else placer.place(want.home)
            except RoostError as error:
                _collect(findings, index, error)
                continue
            new = dataclasses.replace(new, home=home)
            kin.settle(new)
            made.append(new)
        yield made


def _placed(placer: Placer, kin: Kin, new: Mailbox, wanted: str | None) -> str:
    """Return the home of a mailbox with ties: what is wanted, or where they bind it, or what they allow."""
    kin.check(new)
    only = kin.only(new)
    if only and not wanted and placer.is_full(only.node):
        raise Refused(
            f"{only.sentence} There is no disk space left.",
            field=only.tie,
            remedy="Make room there, or move the group: 'roost user move --together NAME'.",
        )
    return placer.place(wanted or (only.node if only else None), may=lambda name: kin.hindrance(new, name))


def _collect(findings: list[Finding] | None, index: int, error: RoostError) -> None:
    if findings is None:
        raise error
    findings.append(Finding(index, 1, error.field, error.message))


def _learn_labels(tx: Writer, taken: dict[str, set[str]], addresses: Iterable[Address]) -> None:
    """Ask once for a chunk which of the preferred labels are taken."""
    wanted: dict[str, set[str]] = {}
    for address in addresses:
        wanted.setdefault(address.domain, set()).add(next(labels_for(address.local)))
    for domain, labels in wanted.items():
        taken.setdefault(domain, set()).update(tx.labels(domain, labels))


def _free_label(tx: Writer, address: Address, taken: set[str]) -> str:
    """Return the first candidate that is free, and take it."""
    for attempt, label in enumerate(labels_for(address.local)):
        # The preferred label was asked for with the chunk; the others are rare.
        if label in taken or (attempt and tx.labels(address.domain, [label])):
            continue
        taken.add(label)
        return label
    raise AlreadyExists(f"No label is free for {address}.", field="address", remedy="Choose another address.")


def change(
    store: Store,
    actor: str,
    address: str,
    *,
    password: str | None = None,
    password_hash: str | None = None,
    quota: int | None = None,
    suspended: bool | None = None,
    ties: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Done:
    """Change what is given; of ``ties``, '' takes one away. Nobody moves by that."""
    hashed = passwords.choose(password, password_hash) if password is not None or password_hash is not None else None
    if quota is not None and quota < 0:
        raise BadSetting("A quota cannot be negative.", field="quota", remedy="0 means the domain's default.")
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        old = find(tx, address)
        new = dataclasses.replace(
            old,
            password=hashed if hashed is not None else old.password,
            quota=quota if quota is not None else old.quota,
            suspended=suspended if suspended is not None else old.suspended,
            ties=old.ties.changed(ties or {}),
        )
        if new == old:
            return done
        said = []
        if hashed is not None:
            said.append("password changed")
        if new.quota != old.quota:
            said.append(f"quota {new.quota or 'as the domain'}")
        if new.suspended != old.suspended:
            said.append("suspended" if new.suspended else "resumed")
        said += _said_of_ties(old.ties, new.ties)
        follows = _check_ties(tx, old.ties, new) if new.ties != old.ties else []
        done.add(tx.put_mailboxes([new], "mailbox changed"), f"Mailbox {new.address}: {', '.join(said)}.")
        done.did += follows
    return done


_TIES = {
    "together": ("kept together as", "not kept together"),
    "apart": ("kept apart as", "not kept apart"),
    "pin": ("pinned to", "not pinned"),
    "service_class": ("of the class", "of no class"),
}
"""What is said of a tie that is there, and of one that is not."""


def _said_of_ties(old: Ties, new: Ties) -> Iterator[str]:
    for name, (tied, free) in _TIES.items():
        value = getattr(new, name)
        if value != getattr(old, name):
            yield f"{tied} {value}" if value else free


def _check_ties(tx: Writer, old: Ties, new: Mailbox) -> list[str]:
    """Refuse new ties that no node could fulfil; returns what is to be done where the mailbox's own node does not.

    To take ties away is not refused, whatever remains.
    """
    kin, moves = Kin(tx, tx.cluster()), tx.open_moves([new.number])
    kin.learn([new.ties])
    if any(getattr(new.ties, name) not in {"", getattr(old, name)} for name in _TIES):
        kin.check(new)
    move = moves.get(new.number)
    home = move.target if move and move.state in ARRIVING else new.home
    why = kin.hindrance(new, home)
    if why is None:
        return []
    return [
        why.sentence,
        f"It stays on {home} until somebody moves it: 'roost user move {new.address}', or a plan of 'roost balance'.",
    ]


def remove(store: Store, actor: str, address: str, *, dry_run: bool = False) -> Done:
    """Remove a mailbox; its mail stays on its last home for ``keep_days``. Refused while an alias leads to it."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        mailbox = find(tx, address)
        users = tx.aliases_to(mailbox.address)
        if users:
            raise StillInUse(
                f"The alias {users[0]} leads to {mailbox.address}.",
                field="address",
                remedy=f"Change it first: 'roost alias show {users[0]}'.",
            )
        days = tx.cluster().policy.keep_days
        done.add(
            tx.remove_mailbox(mailbox.address),
            f"Mailbox {mailbox.address} removed; its mail stays on {mailbox.home} for {days} days.",
        )
    return done
