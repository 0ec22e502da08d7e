"""Passwords and their hashes, in the form that Dovecot's passdb understands: ``{SCHEME}hash``.

Clear passwords are hashed with Argon2id, t=2, m=19456 KiB, p=1 (OWASP's smaller choice; docs/explanation tells what
it costs a polling user and why the auth cache makes it bearable). Ready hashes are taken in any scheme that is
really a hash and that both Dovecot 2.3 and 2.4 verify.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from argon2 import PasswordHasher

from roost.domain.errors import BadPassword

SCHEMES = frozenset(
    {
        "ARGON2ID", "ARGON2I", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "PBKDF2",
        "SSHA512", "SSHA256", "SSHA", "SHA512", "SHA256", "CRYPT", "MD5-CRYPT", "SCRAM-SHA-256",
    }
)  # fmt: skip
_HASH = re.compile(r"\{([A-Z0-9-]+)\}([\x21-\x7e]{8,500})")
_PASSWORD_MAX = 256
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_password(password: str) -> str:
    """Return the hash to store for a clear password; raises ``BadPassword``."""
    if not password:
        raise BadPassword("The password is empty.", field="password")
    if len(password) > _PASSWORD_MAX:
        raise BadPassword(f"The password is longer than {_PASSWORD_MAX} characters.", field="password")
    if any(ord(char) < 32 or ord(char) == 127 for char in password):
        raise BadPassword("The password holds a control character.", field="password")
    return "{ARGON2ID}" + _hasher.hash(password)


def ready_hash(text: str) -> str:
    """Return a ready hash if Dovecot can use it; raises ``BadPassword`` and never repeats the hash."""
    found = _HASH.fullmatch(text.strip())
    remedy = "Make one with 'doveadm pw -s ARGON2ID'; the schemes are " + ", ".join(sorted(SCHEMES)) + "."
    if not found:
        raise BadPassword("The password hash does not look like {SCHEME}hash.", field="password_hash", remedy=remedy)
    if found.group(1) not in SCHEMES:
        raise BadPassword(f"{{{found.group(1)}}} is not taken.", field="password_hash", remedy=remedy)
    return text.strip()


def choose(password: str | None, password_hash: str | None) -> str:
    """Return the hash from whichever of the two was given; raises ``BadPassword`` on both or neither."""
    if (password is None) == (password_hash is None):
        raise BadPassword("Give either a password or a password hash.", field="password")
    return hash_password(password) if password is not None else ready_hash(password_hash or "")


def new_secret() -> str:
    """Return 32 random bytes as text for keys and tokens."""
    return secrets.token_urlsafe(32)


def new_identity() -> str:
    """Return a new name for a key or token: hexadecimal, so that it is never taken for an option of a command."""
    return secrets.token_hex(5)


def digest_secret(secret: str) -> str:
    """Return what is stored of a random secret: with 256 bits of chance, SHA-256 needs no salt and no slowness."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, digest: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(digest_secret(secret), digest)
