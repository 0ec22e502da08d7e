"""The error tree. Every refusal and failure that a person or a program can meet is one of these.

::

    RoostError
    ├── InvalidInput          what was given is wrong: correct it and call again
    │   ├── BadAddress        an email address that cannot be a mailbox or a target
    │   ├── BadName           a host, domain or node name
    │   ├── BadPassword       a password or a hash that Dovecot could not use
    │   ├── BadSetting        a setting that is unknown or has an impossible value
    │   └── BadImport         a file to import; carries one finding per line and column
    ├── Refused               well formed, but against the state of the cluster
    │   ├── NotFound          it does not exist
    │   ├── AlreadyExists     it exists already
    │   ├── StillInUse        something depends on it
    │   ├── AliasLoop         the alias would lead back to itself
    │   └── TooMuchChange     the brake: more rows at once than the limit allows
    ├── NotAllowed            who asks may not
    │   ├── NotAuthenticated  no key, a wrong key, a wrong or an expired token
    │   └── Forbidden         known, but not for this
    └── Unavailable           temporary: trying again later can help
        ├── ControllerAway    the controller does not answer
        ├── NodeAway          another node does not answer
        ├── StoreBusy         the store is locked or away
        └── DaemonFailed      a daemon or a command on a node did not do what was asked

``code`` is stable: the API returns it, the CLI prints it, scripts may test it. ``remedy`` says what to do in a
sentence; ``field`` names the input that was wrong. Errors of libraries and commands are translated into these in
the room that called them, with the cause kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class RoostError(Exception):
    """The root: something that Roost refuses or could not do.

    ``permanent`` says whether trying again without changing anything is useless; ``status`` is the HTTP status
    with which the API answers it.
    """

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = True
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, remedy: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class InvalidInput(RoostError):
    """What was given is wrong in itself."""

    code = "invalid-input"
    status = 422


class BadAddress(InvalidInput):
    """Not an address that Roost can hold."""

    code = "bad-address"


class BadName(InvalidInput):
    """Not a host name, a domain or a label."""

    code = "bad-name"


class BadPassword(InvalidInput):
    """Empty, too long, or a hash of a scheme that Dovecot does not know."""

    code = "bad-password"


class BadSetting(InvalidInput):
    """A setting is unknown, or its value is impossible."""

    code = "bad-setting"


@dataclass(frozen=True)
class Finding:
    """One fault in an imported file: 1-based line and column, the column's name, and what is wrong."""

    line: int
    column: int
    field: str
    message: str


class BadImport(InvalidInput):
    """A file to import has faults; nothing of it was taken."""

    code = "bad-import"

    def __init__(self, message: str, findings: tuple[Finding, ...], *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.findings = findings


class Refused(RoostError):
    """Well formed, but the state of the cluster forbids it."""

    code = "refused"
    status = 409


class NotFound(Refused):
    """There is no such thing."""

    code = "not-found"
    status = 404


class AlreadyExists(Refused):
    """There is one already."""

    code = "already-exists"


class StillInUse(Refused):
    """Something depends on it."""

    code = "still-in-use"


class AliasLoop(Refused):
    """The alias would lead back to itself."""

    code = "alias-loop"


class TooMuchChange(Refused):
    """More would change at once than the brake allows."""

    code = "too-much-change"


class NotAllowed(RoostError):
    """Who asks may not have it."""

    code = "not-allowed"
    status = 403


class NotAuthenticated(NotAllowed):
    """No proof of identity, or a wrong or expired one."""

    code = "not-authenticated"
    status = 401


class Forbidden(NotAllowed):
    """Known, but not for this."""

    code = "forbidden"


class Unavailable(RoostError):
    """Temporary: the same call may succeed later."""

    code = "unavailable"
    permanent = False
    status = 503


class ControllerAway(Unavailable):
    """The controller could not be reached or did not answer in time."""

    code = "controller-away"


class NodeAway(Unavailable):
    """Another node could not be reached or did not answer in time."""

    code = "node-away"


class StoreBusy(Unavailable):
    """The store is locked or away."""

    code = "store-busy"


class DaemonFailed(Unavailable):
    """A daemon or a command on a node did not do what was asked; the message holds its own words."""

    code = "daemon-failed"


def every_error() -> tuple[type[RoostError], ...]:
    """Return every class of the tree, the root first: for the reference and for the tests of the codes."""
    found: list[type[RoostError]] = [RoostError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return tuple(found)
