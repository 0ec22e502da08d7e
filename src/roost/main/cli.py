"""The command ``roost``: the administrator's commands, and those of the machine that it runs on."""

from __future__ import annotations

import sys

from cyclopts import App

from roost.cli.app import build, run
from roost.main import agent, controller


def main() -> None:
    """Run the command line and end with its status."""
    sys.exit(run(command_line(), sys.argv[1:]))


def command_line() -> App:
    """Return the whole command line: what the reference of the commands is written from, too."""
    app = build()
    app.command(controller.app)
    app.command(agent.app)
    app.command(agent.join)
    app.command(
        "roost.lab.commands:app",
        name="lab",
        help="A whole cluster of real machines on this one, to learn and to test.",
    )
    return app
