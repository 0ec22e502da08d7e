"""The cluster at a glance, drawn by rich: coloured on a terminal, once or in its place again and again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from roost.cli.safe_text import plain

_STYLES = {"bad": "red", "warn": "yellow", "good": ""}


@dataclass(frozen=True)
class Picture:
    """Lines, a table with a mark for each row (``good``, ``warn`` or ``bad``), and warnings."""

    lines: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    marks: Sequence[str]
    warnings: Sequence[str]


class Drawing:
    """A place on the terminal that is drawn anew."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last: RenderableType = Text()

    def show(self, picture: Picture) -> None:
        """Draw a picture; the warnings first, since the table may be longer than the screen."""
        head, table, warnings = _parts(picture)
        self._last = Group(head, warnings, table)
        self._live.update(self._last, refresh=True)

    def lost(self, words: str) -> None:
        """Say above the last picture why there is no newer one."""
        self._live.update(Group(Text(plain(words), style=_STYLES["bad"]), self._last), refresh=True)


def draw(picture: Picture) -> None:
    """Print a picture."""
    _console().print(Group(*_parts(picture)))


@contextmanager
def drawing() -> Iterator[Drawing]:
    """Give a place that is drawn anew while the block runs; the last picture stays."""
    with Live(console=_console(), auto_refresh=False) as live:
        yield Drawing(live)


def _console() -> Console:
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def _parts(picture: Picture) -> tuple[Text, RenderableType, Text]:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(picture.columns):
        # On a narrow terminal names stay whole; what comes last, the daemons' words, is folded first.
        table.add_column(Text(name), overflow="fold", no_wrap=place < len(picture.columns) - 1 and place != 1)
    for row, mark in zip(picture.rows, picture.marks, strict=True):
        table.add_row(*(Text(plain(str(cell))) for cell in row), style=_STYLES[mark])
    warnings = Text("\n".join(f"! {plain(words)}" for words in picture.warnings), style=_STYLES["warn"])
    return Text("\n".join(map(plain, picture.lines))), table if picture.rows else Text(), warnings
