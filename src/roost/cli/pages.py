"""Long lists, fetched page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from roost.domain.errors import BadSetting

T = TypeVar("T")

PAGE = 1000
"""Most things in one answer of the API, and what a list shows where no limit is given."""


def take(
    ask: Callable[[str, int], list[T]], name: Callable[[T], str], *, after: str, limit: int | None
) -> tuple[list[T], bool]:
    """Return up to ``limit`` things after a name (None: all), and whether there are more.

    ``ask`` fetches one page: those after a name, and at most how many.
    """
    if limit is not None and limit < 1:
        raise BadSetting(f"A list of {limit} cannot be shown.", field="limit", remedy="Give 1 or more, or --all.")
    found: list[T] = []
    while limit is None or len(found) <= limit:
        # One more than wanted tells whether there are more.
        wanted = PAGE if limit is None else min(PAGE, limit + 1 - len(found))
        page = ask(after, wanted)
        found += page
        if len(page) < wanted:
            break
        after = name(page[-1])
    if limit is None:
        return found, False
    return found[:limit], len(found) > limit
