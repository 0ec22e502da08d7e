"""Administrators' keys: ``roost.ID.SECRET``. Shown once; the store has a digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from roost.control import passwords
from roost.domain.errors import NotAuthenticated, NotFound, StillInUse
from roost.ports.store import Key, Store

_PREFIX = "roost"


@dataclass(frozen=True)
class Made:
    """A key that was made, with its text, which nobody can show again."""

    key: Key
    text: str


def make(store: Store, actor: str, name: str, now: datetime, days: int | None) -> Made:
    """Make a key; ``days`` None means that it does not expire."""
    identity, secret = passwords.new_identity(), passwords.new_secret()
    expires = None if days is None else now + timedelta(days=days)
    key = Key(identity, name, passwords.digest_secret(secret), now, expires)
    store.put_key(key, actor)
    return Made(key, f"{_PREFIX}.{identity}.{secret}")


def verify(store: Store, text: str, now: datetime) -> Key:
    """Return the key that a request shows; raises ``NotAuthenticated``."""
    remedy = "Give a key that 'roost key add' made."
    prefix, _, rest = text.strip().partition(".")
    identity, _, secret = rest.partition(".")
    if prefix != _PREFIX or not secret:
        raise NotAuthenticated("The request has no usable key.", remedy=remedy)
    with store.read() as view:
        key = view.key(identity)
    if key is None or not passwords.matches(secret, key.secret_hash):
        raise NotAuthenticated("The key is wrong.", remedy=remedy)
    if key.expires is not None and key.expires <= now:
        raise NotAuthenticated("The key has expired.", remedy=remedy)
    return key


def remove(store: Store, actor: str, identity: str) -> None:
    """Remove a key, but never the last: nobody could get in any more."""
    with store.read() as view:
        held = view.keys()
    ids = {key.id for key in held}
    if identity not in ids:
        raise NotFound(f"There is no key {identity}.", field="id", remedy="See 'roost key list'.")
    if len(ids) == 1:
        raise StillInUse("This is the last key.", field="id", remedy="Make another with 'roost key add' first.")
    store.remove_key(identity, actor)
