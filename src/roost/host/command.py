"""A command that runs while its output is read: ``roost.ports.host.Running``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence

from roost.domain.errors import DaemonFailed

# Daemons' tools must speak English whatever the administrator's locale is: their words go into reports.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
_WORDS_MAX = 4000


class Command:
    """One running command. What it says on standard error goes to a file, so that it never has to wait for us."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._name = argv[0]
        self._said: str | None = None
        self._reading = threading.Lock()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the command
        here_in, self.stdin = os.pipe()
        self.stdout, here_out = os.pipe()
        try:
            self._process = subprocess.Popen(
                list(argv), stdin=here_in, stdout=here_out, stderr=self._words, env=ENVIRONMENT
            )
        except OSError as error:
            os.close(self.stdin)
            os.close(self.stdout)
            self._words.close()
            raise DaemonFailed(f"'{argv[0]}' could not be run: {error.strerror}.") from error
        finally:
            os.close(here_in)
            os.close(here_out)

    def wait(self, seconds: float) -> tuple[int, str]:
        """Wait for the end; see the port."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise DaemonFailed(f"'{self._name}' did not end within {seconds:.0f} s.") from error
        with self._reading:
            if self._said is None:
                self._words.seek(0)
                self._said = self._words.read().decode("utf-8", "replace").strip()[-_WORDS_MAX:]
                self._words.close()
            return code, self._said

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
