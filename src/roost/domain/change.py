"""What a plan holds, and the brake on it.

A plan is a list of changes that can be printed, refused or applied; nothing is applied that is not in one. The
brake holds back what looks like an accident: a node that would have to delete a large share of a table's rows has
more probably met a wrong store than a wrong table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from roost.domain.errors import TooMuchChange

BRAKE_SHARE = 0.3
"""Largest share of a table's rows that a repair may delete."""

BRAKE_FLOOR = 50
"""So many deletions are always allowed: shares of small tables mean nothing."""


class Kind(StrEnum):
    """What happens to a thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


FOUND = {Kind.CREATE: "missing", Kind.UPDATE: "changed", Kind.DELETE: "foreign"}
"""The words in which a drift report says what was found, for the change that repairs it."""


@dataclass(frozen=True)
class Change:
    """One thing that is not as it should be: a file's path, or a row's key."""

    kind: Kind
    what: str


def brake(changes: list[Change], rows: int) -> None:
    """Raise ``TooMuchChange`` where a repair would delete too large a share of the ``rows`` that are there."""
    deletions = sum(1 for change in changes if change.kind is Kind.DELETE)
    if deletions > max(BRAKE_FLOOR, rows * BRAKE_SHARE):
        raise TooMuchChange(
            f"A repair would delete {deletions} of {rows} rows, more than {BRAKE_SHARE:.0%}.",
            remedy="If that is right: 'roost drift --check --lift-brake NODE'.",
        )
