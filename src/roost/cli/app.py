"""The command line ``roost``: puts the commands together, runs one, prints its errors.

``build`` gives the application, to which ``roost.main`` adds the commands that run on a machine (controller, agent,
join). ``run`` understands the arguments, calls the command and returns the exit status: 0 done, 1 refused or failed,
2 wrong input or usage, 3 temporary (trying later can help), 130 interrupted. It never ends the process itself.

The modules of nouns are loaded only when one of their commands is named, so that help is quick.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cyclopts import App, CycloptsError, Parameter

from roost.cli import backup, completion, drift, log, probe, receipt, simulate, status, trace
from roost.cli.output import exit_status, print_error, wants_json
from roost.cli.session import Session
from roost.domain.errors import InvalidInput, RoostError

if TYPE_CHECKING:
    from roost.wire.client import AdminClient

INTERRUPTED = 130

_NOUNS = {
    "domain": "Mail domains, and the records that the world's DNS should have for them.",
    "user": "Mailboxes: one for each user, at home on one storage node.",
    "move": "Mailboxes on their way to another home; 'roost user move' begins one.",
    "alias": "Addresses that lead to one or more others.",
    "sender": "Senders that domains and users allow or deny.",
    "node": "The machines of the cluster and what they do.",
    "balance": "Spreading the load: which mailboxes should live elsewhere, and why.",
    "policy": "Settings of the whole cluster.",
    "metrics": "Figures for a monitoring system.",
    "key": "Keys with which people and programs use the API.",
}


def build() -> App:
    """Return the application with every command that talks to the API."""
    app = App(
        name="roost",
        help="Scale-out email: every mailbox has a home, every user a hostname of his own.",
        version=_version,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=_default),
        result_action="return_value",
    )
    for noun, sentence in _NOUNS.items():
        app.command(f"roost.cli.{noun}:app", name=noun, help=sentence)
    for command in (
        status.status,
        receipt.receipt,
        drift.drift,
        probe.probe,
        log.log,
        trace.trace,
        simulate.simulate,
        backup.backup,
        backup.restore,
        completion.completion,
    ):
        app.command(command)
    return app


def run(app: App, argv: Sequence[str], *, connect: Callable[[], AdminClient] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit status.

    ``connect`` makes the connection to the API in place of the settings file, for tests.
    """
    session = Session(app, connect)
    try:
        return _call(app, list(argv), session)
    except RoostError as error:
        print_error(error, as_json=wants_json(argv))
        return exit_status(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone ('roost user list | head'). Python would complain once more when it ends and flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        session.close()


def _call(app: App, argv: list[str], session: Session) -> int:
    """Understand the arguments and call the command."""
    for word in argv:
        if not word.isascii() and any("\ud800" <= char <= "\udfff" for char in word):
            raise InvalidInput(
                f"The argument {word!r} is not text in UTF-8.", remedy="Check the terminal's encoding (locale)."
            )
    try:
        command, bound, given = app.parse_args(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InvalidInput(_sentence(error), remedy=f"See '{_help_for(error)}'.") from error
    for name, kind in given.items():
        if kind is Session:
            bound.arguments[name] = session
    result: Any = command(*bound.args, **bound.kwargs)
    if inspect.iscoroutine(result):
        import asyncio  # noqa: PLC0415 (costs help 0.05 s, and only commands that main adds are coroutines)

        result = asyncio.run(result)
    return result if isinstance(result, int) else 0


def _sentence(error: CycloptsError) -> str:
    """Return the argument parser's complaint as one line."""
    return " ".join(str(error).split())


def _help_for(error: CycloptsError) -> str:
    chain = " ".join(error.command_chain or ())
    return f"roost {chain} --help" if chain else "roost --help"


def _default(value: object) -> str | None:
    """Return a default for the help, or None where it says nothing: a switch that is off, an empty filter."""
    return None if value in (False, "", None) else str(value)


def _version() -> str:
    import importlib.metadata  # noqa: PLC0415 (costs help 0.02 s)

    return importlib.metadata.version("mailroost")
