"""The options that commands have in common, so that they read and mean the same everywhere.

They stand together in this file because cyclopts reads an inherited field's type in the module of the class that
inherits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from roost.domain.ties import FREE


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every command takes."""

    output: Annotated[Literal["table", "json"], Parameter(alias="-o")] = "table"
    """Print a table for people, or one JSON document for programs."""


@Parameter(name="*")
@dataclass(frozen=True)
class Writing(Common):
    """What every writing command takes."""

    dry_run: bool = False
    """Show what would be done, and change nothing."""

    no_wait: bool = False
    """Return when the change is stored, without waiting for the nodes."""

    timeout: Annotated[float, Parameter(name="--timeout")] = 15.0
    """Seconds to wait for the nodes."""


@Parameter(name="*")
@dataclass(frozen=True)
class BulkWriting(Writing):
    """The same for commands that change very much at once."""

    timeout: Annotated[float, Parameter(name="--timeout")] = 600.0
    """Seconds to wait for the nodes."""


@Parameter(name="*")
@dataclass(frozen=True)
class MoveWriting(Writing):
    """The same for commands that begin moves."""

    no_wait: bool = False
    """Return when the moves are asked for, without waiting for them."""

    timeout: Annotated[float, Parameter(name="--timeout")] = 86400.0
    """Seconds to wait for the moves."""


@Parameter(name="*")
@dataclass(frozen=True)
class TieOptions:
    """What ties a mailbox; None where nothing is said."""

    together: str | None = None
    """Group whose mailboxes live on one node: a family, a team, those who share folders."""

    apart: str | None = None
    """Group of whose mailboxes no two live on one node: two postmasters, a user and his copy."""

    pin: str | None = None
    """The one storage node on which it may live."""

    service_class: Annotated[str | None, Parameter(name="--class")] = None
    """Class of service, which its node must offer."""

    def given(self) -> dict[str, str]:
        """Return what was given, checked, by field; raises ``BadSetting`` or ``BadName``."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        ties = FREE.changed(said)
        return {name: getattr(ties, name) for name in said}


COMMON = Common()
TIES = TieOptions()
WRITING = Writing()
BULK_WRITING = BulkWriting()
MOVE_WRITING = MoveWriting()
