"""Talking to Dovecot's doveadm server: the same commands as doveadm(1), without starting a process for each.

Protocol: https://doc.dovecot.org/2.3/developer_manual/design/doveadm_protocol/, version 1.0. A command is one line
of fields with tabs between: flags, user, name, arguments. Its answer is two lines, the values and then ``+`` or ``-``
with a reason. In values tabs and newlines are escaped, so an answer can be told from its end by counting lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.layout import Layout
from roost.ports.host import Host

_HELLO = "VERSION\tdoveadm-server\t1\t0\n"
_ESCAPED = re.compile(r"\x01(.)", re.DOTALL)
_MEANING = {"0": "\0", "1": "\x01", "t": "\t", "r": "\r", "n": "\n", "l": "\n"}
_WRITTEN = str.maketrans({"\x01": "\x011", "\t": "\x01t", "\r": "\x01r", "\n": "\x01n", "\0": "\x010"})


class Refused(DaemonFailed):
    """Dovecot did what it was told as far as it could and says so; ``reason`` is its word, as ``NOTFOUND``."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"'doveadm {command}' was refused: {reason or 'no reason given'}.")
        self.reason = reason


class Doveadm:
    """The doveadm server of this node's Dovecot."""

    def __init__(self, layout: Layout, host: Host) -> None:
        self._path = layout.doveadm
        self._host = host

    def run(self, *command: str, user: str = "", seconds: float = 60.0) -> bytes:
        """Run one command and return its values as they came; raises ``Refused`` or ``DaemonFailed``."""
        return self.run_all([command], user=user, seconds=seconds)[0]

    def run_all(self, commands: Sequence[tuple[str, ...]], *, user: str = "", seconds: float = 60.0) -> list[bytes]:
        """Run commands one after the other over one connection; see ``run``.

        The server's process becomes the mail user with the first command that has a user, and stays it.
        """
        said = "".join(
            "\t".join(["", *(word.translate(_WRITTEN) for word in (user, *command))]) + "\n" for command in commands
        )
        lines = 1 + 2 * len(commands)
        answer = self._host.ask(
            self._path,
            f"{_HELLO}{said}",
            lambda all_: all_.endswith(b"\n") and all_.count(b"\n") >= lines,
            seconds=seconds,
        ).split(b"\n")
        if answer[0] != b"+":
            raise DaemonFailed(f"The doveadm server greets with {answer[0]!r}.")
        for command, verdict in zip(commands, answer[2::2], strict=False):
            if not verdict.startswith(b"+"):
                raise Refused(command[0], verdict[1:].decode("utf-8", "replace"))
        return answer[1 : lines - 1 : 2]


def fields(values: bytes) -> list[str]:
    """Return the single values of an answer, in the order in which the command has its columns."""
    return [plain(value) for value in values.split(b"\t")[:-1]]


def plain(value: bytes) -> str:
    """Return one value without escapes."""
    return _ESCAPED.sub(lambda found: _MEANING.get(found[1], found[1]), value.decode("utf-8", "surrogateescape"))
