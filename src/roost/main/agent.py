"""The commands of a node: ``roost join``, and ``roost agent`` for its agent."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import cyclopts

from roost.main.settings import AGENT_FILE, AgentSettings, read

app = cyclopts.App(name="agent", help="Run this machine's agent.")


def join(url: str, *, no_start: bool = False) -> None:
    """Join this machine to a cluster, with the token that 'roost node add' printed.

    The machine's keys are made here and never leave it. The controller is
    recognised by the fingerprint in the token. Then roost-agent.service is started:
    it installs what the node's roles need and brings it to its settings.

    The token is asked for, or read from standard input: an argument could be read by
    every user of the machine.

    For example:
      roost join https://192.0.2.1:8443
      ssh control roost node token ms1.example.net | roost join https://192.0.2.1:8443

    Parameters
    ----------
    url:
        The controller's address.
    no_start:
        Leave roost-agent.service off.
    """
    from roost.main import joining

    token = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    joining.join(url, token.strip(), start=not no_start)


@app.command
def run(*, settings: Path = AGENT_FILE) -> None:
    """Run the agent in the foreground, as its systemd unit does.

    For example:
      systemctl start roost-agent

    Parameters
    ----------
    settings:
        The settings file.
    """
    from roost.main import log_lines
    from roost.main.minding import mind

    log_lines.configure()
    mind(read(settings, AgentSettings))
