"""A line of progress on standard error, and a screen that is drawn anew: what needs rich and a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.text import Text

from roost.cli.safe_text import plain


class _RichBar:
    """One task of rich's, behind the two calls that commands know."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, by: int) -> None:
        self._progress.advance(self._task, by)

    def set(self, done: float, total: float) -> None:
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def bar(label: str, total: float | None, *, bytes: bool = False) -> Iterator[_RichBar]:
    """Show progress while the block runs; it goes away at the end, so only results stay on the screen."""
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    counted = DownloadColumn() if bytes else MofNCompleteColumn()
    name = TextColumn("{task.description}", markup=False)
    with Progress(name, BarColumn(), counted, Elapsed(), console=console, transient=True) as progress:
        yield _RichBar(progress, progress.add_task(label, total=total))


class _RichScreen:
    """Lines of rich's, behind the one call that commands know."""

    seen = True

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, lines: Sequence[str]) -> None:
        self._live.update(Text("\n".join(map(plain, lines)), no_wrap=True, overflow="ellipsis"))


@contextmanager
def screen() -> Iterator[_RichScreen]:
    """Show lines while the block runs; they go away at the end."""
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield _RichScreen(live)
