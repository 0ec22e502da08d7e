"""Whom domains and users allow and deny."""

from __future__ import annotations

from roost.control import domains
from roost.control.writing import Done, writing
from roost.domain.errors import BadSetting, NotFound
from roost.domain.names import Address
from roost.domain.senders import SenderEntry, Verdict, owner_of, sender_of
from roost.ports.store import Store, Writer

MOST = 10_000
"""Most entries of one owner: a list that is longer belongs into the DNS."""

_SAID = {Verdict.ALLOW: "is allowed to write to", Verdict.DENY: "may not write to"}


def put(store: Store, actor: str, owner: str, sender: str, verdict: Verdict, *, dry_run: bool = False) -> Done:
    """Allow or deny a sender; what was said of him before is replaced."""
    entry = SenderEntry(owner_of(owner), sender_of(sender), verdict)
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        _require_owner(tx, entry)
        if tx.sender(entry.owner, entry.sender) == entry:
            return done
        if tx.count_senders(entry.owner) >= MOST:
            raise BadSetting(
                f"{entry.owner} has {MOST} entries already.", field="owner", remedy="Remove some that are old."
            )
        revision = tx.put_sender(entry, "sender allowed" if verdict is Verdict.ALLOW else "sender denied")
        done.add(revision, f"{entry.sender} {_SAID[verdict]} {entry.owner}.")
    return done


def remove(store: Store, actor: str, owner: str, sender: str, *, dry_run: bool = False) -> Done:
    """Remove an entry: the sender is judged as everybody."""
    of, whom = owner_of(owner), sender_of(sender)
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        if tx.sender(of, whom) is None:
            raise NotFound(
                f"{of} has no entry about {whom}.", field="sender", remedy=f"See 'roost sender list --owner {of}'."
            )
        done.add(tx.remove_sender(of, whom), f"{whom} is judged as everybody by {of}.")
    return done


def _require_owner(tx: Writer, entry: SenderEntry) -> None:
    domains.find(tx.cluster(), entry.domain, field="owner")
    if "@" in entry.owner and not tx.existing([Address.parse(entry.owner, field="owner")]):
        raise NotFound(f"There is no mailbox or alias {entry.owner}.", field="owner", remedy="See 'roost user list'.")
