"""What every command prints, in two forms: tables for people, one JSON document for programs.

* ``--output table``: on a terminal, tables and colour; otherwise plain aligned columns, never cut or wrapped, so
  that ``grep`` and ``awk`` see whole values. Progress and warnings go to standard error, so they never mix with it.
* ``--output json``: exactly one document on standard output, the API's own models; errors are one document on
  standard error.

Guarantee: nothing that came from a server or a file can command the terminal (``safe_text``), and it is never read
as markup. Relies on rich for tables and progress, which is loaded only where a terminal is there to show them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from roost.cli.safe_text import plain, plain_json
from roost.domain.errors import BadImport, InvalidInput, RoostError, Unavailable

REFUSED, WRONG_INPUT, UNAVAILABLE = 1, 2, 3
"""Exit statuses: refused or failed; wrong input or usage; temporary, so that trying later can help."""


class Document(Protocol):
    """What can be printed as JSON: the models of ``roost.wire.resources``."""

    def model_dump(self, *, mode: str) -> dict[str, object]: ...


class Bar(Protocol):
    """A line of progress: ``advance`` by what was done, or ``set`` it."""

    def advance(self, by: int) -> None: ...
    def set(self, done: float, total: float) -> None: ...


class Screen(Protocol):
    """Lines that are drawn anew in their place. ``seen`` says whether anybody sees them."""

    seen: bool

    def show(self, lines: Sequence[str]) -> None: ...


class _NoScreen:
    """Stands in where nobody watches."""

    seen = False

    def show(self, lines: Sequence[str]) -> None:
        pass


class _NoBar:
    """Stands in where nobody watches."""

    def advance(self, by: int) -> None:
        pass

    def set(self, done: float, total: float) -> None:
        pass


class Output:
    """Prints for one command, in the form that was asked for."""

    def __init__(self, form: str) -> None:
        self.json = form == "json"
        self.terminal = sys.stdout.isatty() and not self.json

    def document(self, value: object) -> None:
        """Print the one JSON document; models and lists of them are welcome. For the json form only."""
        _print(sys.stdout, _as_json(value))

    def say(self, sentence: str) -> None:
        """Print a sentence for people; nothing in the json form."""
        if not self.json:
            _print(sys.stdout, plain(sentence))

    def warn(self, sentence: str) -> None:
        """Print a warning on standard error, for people; the json form has it in its document."""
        if not self.json:
            _print(sys.stderr, _coloured(sys.stderr, "33", plain(f"Warning: {sentence}")))

    def note(self, sentence: str) -> None:
        """Print a remark on standard error, for people only."""
        if not self.json:
            _print(sys.stderr, plain(sentence))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows under a header; in the json form nothing."""
        if self.json:
            return
        cells = [[plain(str(cell)) for cell in row] for row in rows]
        if self.terminal:
            _rich_table(columns, cells)
        else:
            _print(sys.stdout, "\n".join(columns_of([columns, *cells])))

    def facts(self, facts: Sequence[tuple[str, object]]) -> None:
        """Print names and values of one thing, a line each; in the json form nothing."""
        if not self.json:
            lines = columns_of([[f"{name}:", plain(str(value))] for name, value in facts])
            _print(sys.stdout, "\n".join(lines))

    @contextmanager
    def progress(self, label: str, total: float | None = None, *, bytes: bool = False) -> Iterator[Bar]:
        """Show a line of progress on standard error while the block runs, where that is a terminal."""
        if self.json or not sys.stderr.isatty():
            yield _NoBar()
            return
        from roost.cli import progress  # noqa: PLC0415 (rich costs 0.1 s, and most runs show no progress)

        with progress.bar(label, total, bytes=bytes) as bar:
            yield bar

    @contextmanager
    def screen(self) -> Iterator[Screen]:
        """Show lines on standard error that are drawn anew, while the block runs, where that is a terminal."""
        if self.json or not sys.stderr.isatty():
            yield _NoScreen()
            return
        from roost.cli import progress  # noqa: PLC0415 (as above)

        with progress.screen() as lines:
            yield lines


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns, two spaces apart."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def wants_json(argv: Sequence[str]) -> bool:
    """Say whether a command line asks for JSON; for errors that come before it is understood."""
    words = list(argv)
    given = words[: words.index("--")] if "--" in words else words
    pairs = list(zip(given, [*given[1:], ""], strict=True))
    return any(w in ("--output=json", "-o=json", "-ojson") for w in given) or any(
        first in ("--output", "-o") and second == "json" for first, second in pairs
    )


def print_error(error: RoostError, *, as_json: bool) -> None:
    """Print an error on standard error: a sentence with its remedy and field, or a problem document."""
    if as_json:
        problem = {
            "type": "about:blank",
            "title": error.code.replace("-", " ").capitalize(),
            "status": error.status,
            "code": error.code,
            "detail": error.message,
            "remedy": error.remedy,
            "field": error.field,
            "findings": [vars(f) for f in error.findings] if isinstance(error, BadImport) else [],
        }
        _print(sys.stderr, _as_json(problem))
        return
    field = f" (field: {error.field})" if error.field else ""
    _print(sys.stderr, _coloured(sys.stderr, "31", f"roost: {plain(error.message)}{plain(field)}"))
    if error.remedy:
        _print(sys.stderr, f"       {plain(error.remedy)}")


def exit_status(error: RoostError) -> int:
    """Return the exit status that tells what kind of error it was."""
    if isinstance(error, InvalidInput):
        return WRONG_INPUT
    return UNAVAILABLE if isinstance(error, Unavailable) else REFUSED


def _as_json(value: object) -> str:
    def convert(item: object) -> object:
        if hasattr(item, "model_dump"):
            return item.model_dump(mode="json")
        raise TypeError(f"{type(item).__name__} is not for JSON")

    return plain_json(json.dumps(value, default=convert, ensure_ascii=False, indent=2))


def _coloured(stream: TextIO, code: str, text: str) -> str:
    """Return the text in a colour where the stream is a terminal that wants one (https://no-color.org)."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{code}m{text}\x1b[0m" if wanted else text


def _print(stream: TextIO, text: str) -> None:
    """Print text; what the stream's encoding lacks is shown as escapes instead of ending the program."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich is loaded here and not above: most of the time of 'roost --help' would be its import.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout, markup=False, highlight=False, emoji=False).print(table)
