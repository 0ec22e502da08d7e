"""Names: addresses, host names, labels, personal hostnames. Parsed once, at the border; ASCII and lower case inside.

An address is ``local@domain`` (RFC 5321 section 4.1.2, with RFC 6531 for letters beyond ASCII). Roost takes
dot-atoms only: quoted local parts are legal and useless, and ``+`` begins a subaddress (RFC 5233), so it cannot
stand in a mailbox's own name; nor can the signs of old source routes. Local parts are compared without regard to
case, in Unicode normal form C. Domains are kept as A-labels (RFC 5890).

A *label* makes the personal hostname: ``john`` in ``john.pop.example.com``. It is always one host label
(RFC 1123 section 2.1), so that one wildcard certificate fits (RFC 6125 section 6.4.3). ``labels_for`` gives the
candidates for a local part in order; who creates a mailbox takes the first that is free in the domain:

* the local part itself where it is a legal host label;
* its IDNA form where it is one Unicode label: nothing is lost, so two addresses cannot meet;
* otherwise a readable form (what a label cannot hold becomes a hyphen) and a short hash of the local part, since
  two local parts may look alike after that; longer hashes follow in case a label is taken after all.

The first candidate depends on nothing but the local part, so a mailbox that is removed and added again gets the
same hostname.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import idna
from email_validator import EmailNotValidError, validate_email

from roost.domain.errors import BadAddress, BadName

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAGGED = re.compile(r"..--")  # RFC 5891 section 4.2.3.1: hyphens at the third and fourth place are reserved
_HASH_LENGTHS = (6, 10, 16, 26)
_LABEL_MAX = 63
_NAME_MAX = 253
_ROUTES = frozenset("%!/|")  # old signs of source routes, pipes and files: other mail servers refuse them
_LOCAL_MAX = 64  # octets, RFC 5321 section 4.5.3.1.1
_ORDINARY = re.compile(r"([a-z0-9]+(?:[._-][a-z0-9]+)*)@([a-z0-9.-]{1,189})")
"""An address that needs no more than a look, once its domain is known to be good: nearly all of an import."""


def host_name(text: str, *, field: str = "name") -> str:
    """Return a host or domain name in canonical form: A-labels, lower case, no final dot.

    Raises ``BadName`` where it is not one; a single label is refused, because mail needs a full name.
    """
    name = unicodedata.normalize("NFC", text.strip()).rstrip(".").lower()
    remedy = "Give a full host name such as ms1.example.net."
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise BadName(f"{text!r} is not a host name: {error}.", field=field, remedy=remedy) from error
    labels = name.split(".")
    if len(name) > _NAME_MAX or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadName(f"{text!r} is not a host name.", field=field, remedy=remedy)
    if labels[-1].isdigit():
        raise BadName(f"{text!r} looks like an IP address.", field=field, remedy=remedy)
    for label in labels:
        if label.startswith("xn--"):
            try:
                idna.decode(label)
            except (idna.IDNAError, UnicodeError) as error:
                raise BadName(f"{label!r} is not a valid A-label.", field=field, remedy=remedy) from error
    return name


def lies_in(name: str, zone: str) -> bool:
    """Say whether a canonical name is the zone's own or one below it."""
    return name == zone or name.endswith(f".{zone}")


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """An email address in canonical form: ``local`` in NFC and folded case, ``domain`` in A-labels."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @classmethod
    def parse(cls, text: str, *, field: str = "address") -> Address:
        """Read any address that mail can be sent to; raises ``BadAddress``."""
        ordinary = _ORDINARY.fullmatch(text)
        if ordinary is not None and len(ordinary[1]) <= _LOCAL_MAX:
            domain = _known_domain(ordinary[2])
            if domain is not None:
                return cls(ordinary[1], domain)
        stripped = text.strip()
        try:
            # The library knows the grammar; deliverability is not its business, and .test is legal in a lab.
            valid = validate_email(stripped, check_deliverability=False, test_environment=True)
        except EmailNotValidError as error:
            raise BadAddress(
                f"{stripped!r} is not an email address: {error}",
                field=field,
                remedy="Give it as local@domain, for example john@example.com.",
            ) from error
        local = unicodedata.normalize("NFC", valid.local_part).casefold()
        local = unicodedata.normalize("NFC", local)
        if len(local.encode()) > _LOCAL_MAX:
            raise BadAddress(f"The part before @ of {stripped!r} is longer than 64 octets.", field=field)
        try:
            domain = host_name(valid.ascii_domain or valid.domain, field=field)
        except BadName as error:
            raise BadAddress(f"{stripped!r} has no usable domain: {error.message}", field=field) from error
        return cls(local, domain)

    @classmethod
    def parse_own(cls, text: str, *, field: str = "address") -> Address:
        """Read an address that a mailbox or an alias of this cluster may have: no subaddress, no old source route."""
        address = cls.parse(text, field=field)
        if "+" in address.local:
            raise BadAddress(
                f"{address} holds a '+', which begins a subaddress.",
                field=field,
                remedy="Create the mailbox without it: mail to john+anything@ reaches john@ by itself.",
            )
        if found := sorted(_ROUTES.intersection(address.local)):
            raise BadAddress(
                f"{address} holds {' '.join(found)}, which many mail servers refuse.",
                field=field,
                remedy="Choose a name without it.",
            )
        return address


@functools.lru_cache(maxsize=1024)
def _known_domain(text: str) -> str | None:
    """Return the domain of an address in canonical form as the whole grammar has it; None where it is not one."""
    try:
        return Address.parse(f"X@{text}").domain
    except BadAddress:
        return None


def is_label(text: str) -> bool:
    """Say whether the text is a host label that nobody can mistake for an encoded one."""
    return _LABEL.fullmatch(text) is not None and _TAGGED.match(text) is None


def labels_for(local: str) -> Iterator[str]:
    """Yield the labels that a local part (canonical) may have, the preferred one first; never ends empty-handed."""
    if is_label(local):
        yield local
    else:
        whole = _encoded(local)
        if whole is not None and idna.decode(whole) == local:
            yield whole
    digest = base64.b32encode(hashlib.sha256(local.encode()).digest()).decode("ascii").lower()
    for length in _HASH_LENGTHS:
        yield _readable(local, digest[:length])


def _encoded(text: str) -> str | None:
    """Return the A-label of a Unicode label, or None where it has none."""
    if text.isascii():
        return None
    try:
        return idna.alabel(text).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def _readable(local: str, suffix: str) -> str:
    """Return a host label that still shows the local part, ended by the suffix; shorter until it fits."""
    kept = "".join(char if char.isalnum() else "-" for char in local)
    kept = re.sub("-+", "-", kept).strip("-")
    while kept:
        candidate = f"{kept}-{suffix}"
        if candidate.isascii():
            if len(candidate) <= _LABEL_MAX and is_label(candidate):
                return candidate
        else:
            encoded = _encoded(candidate)
            if encoded is not None and len(encoded) <= _LABEL_MAX:
                return encoded
        kept = kept[:-1].rstrip("-")
    return f"m-{suffix}"


def personal_hostname(label: str, access_zone: str) -> str:
    """Return the personal hostname: exactly one label below the domain's access zone."""
    return f"{label}.{access_zone}"


def personal_address(address: Address, label: str, access_zone: str) -> str:
    """Return where the literal alias leads: ``john@john.pop.example.com``.

    The local part stays what it is where it is ASCII; otherwise the label stands for it, because LMTP servers
    that lack SMTPUTF8 (RFC 6531) could not be given it.
    """
    local = address.local if address.local.isascii() else label
    return f"{local}@{personal_hostname(label, access_zone)}"
