"""Questions to whoever sits at the terminal: a new password, and whether he is sure.

A password never comes as an argument, because every user of the machine can read those (``ps``), and shells keep
them in their history. It is typed twice without being shown, or read from standard input, or given as a hash.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from roost.domain.errors import BadPassword, BadSetting

HashFile = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
"""The value of ``--password-hash``: a file's name, or ``-`` for standard input."""

_LONGEST = 4096
_REMEDY = "Give --password-stdin and write the password to standard input, or --password-hash FILE."


def new_password(*, from_stdin: bool, hash_file: str | None) -> tuple[str | None, str | None]:
    """Return (password, None) or (None, hash), from where the options say; asks where they say nothing.

    Raises ``BadPassword`` where there is none, ``BadSetting`` where the options contradict each other or the
    file cannot be read.
    """
    if from_stdin and hash_file is not None:
        raise BadSetting("Give either --password-stdin or --password-hash, not both.", field="password")
    if hash_file is not None:
        return None, _hash(hash_file)
    if from_stdin:
        return _line_of_stdin(), None
    if not sys.stdin.isatty():
        raise BadPassword("There is no terminal to ask for a password.", field="password", remedy=_REMEDY)
    return _typed_twice(), None


def sure(question: str, *, yes: bool) -> bool:
    """Ask a yes-or-no question where a person can answer; a program, or ``--yes``, means yes."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _typed_twice() -> str:
    try:
        first = getpass.getpass("Password: ")
        again = getpass.getpass("Again: ")
    except EOFError as error:
        raise BadPassword("No password was typed.", field="password") from error
    except UnicodeDecodeError:
        # The error's text would hold what was typed.
        raise BadPassword("The password is not text in UTF-8.", field="password") from None
    if first != again:
        raise BadPassword("The two passwords differ.", field="password", remedy="Type the same one twice.")
    return _checked(first)


def _line_of_stdin() -> str:
    line = sys.stdin.buffer.readline(_LONGEST + 2)
    return _checked(_text(line.rstrip(b"\n").removesuffix(b"\r")))


def _hash(name: str) -> str:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(_LONGEST + 1)
    except OSError as error:
        raise BadSetting(f"{name} cannot be read: {error.strerror}.", field="password_hash") from error
    return _checked(_text(content.strip()))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadPassword("The password is not text in UTF-8.", field="password") from None


def _checked(text: str) -> str:
    if not text:
        raise BadPassword("The password is empty.", field="password")
    if len(text) > _LONGEST:
        raise BadPassword(f"The password is longer than {_LONGEST} characters.", field="password")
    return text
