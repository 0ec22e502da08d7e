"""``Services`` (``roost.ports.host``) for daemons that are not systemd's but the test's own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .machines import Rooted
from .waiting import wait_until


class PrivateServices:
    """One daemon. Units of another name (timers and the like) need systemd and count as running."""

    def __init__(self, host: Rooted, unit: str) -> None:
        self.host, self.unit = host, unit
        self.calls: list[str] = []

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        if unit == self.unit:
            self.calls.append("enable")
            if not self.is_active(unit):
                self.start()

    def disable(self, unit: str) -> None:
        if unit == self.unit:
            self.calls.append("disable")
            self.stop()

    def reload(self, unit: str) -> None:
        self.calls.append("reload")
        self.hang_up()

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        return unit != self.unit or self.runs()

    def start(self) -> None:
        """Start the daemon, which does not run."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the daemon, if it runs."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Have the daemon read its files again."""
        raise NotImplementedError

    def runs(self) -> bool:
        """Say whether the daemon runs."""
        raise NotImplementedError


class Process(PrivateServices):
    """A daemon that is one process in the foreground, with those that it starts itself."""

    def __init__(self, host: Rooted, unit: str, argv: Sequence[str], output: Path) -> None:
        super().__init__(host, unit)
        self._argv, self._output, self._before = argv, output, 0
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """The process; with another root, too: chroot becomes what it runs."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._before = output.tell()
            self.process = subprocess.Popen(self.host.argv(self._argv), stdout=output, stderr=output)
        self.starts += 1

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.thaw()
            self.process.wait(60)
            self.process = None

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def freeze(self) -> None:
        """Let the process hang: its kernel still takes packets for it, and it answers none."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # Each thread stops in its own time, and one that has not may still answer.
        wait_until(self._stopped, "all threads are stopped", 10)

    def _stopped(self) -> bool:
        assert self.process is not None
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return all((thread / "stat").read_text("ascii").rpartition(")")[2].split()[0] == "T" for thread in threads)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def output(self) -> str:
        """Return what it has written since it was started last."""
        return self._output.read_bytes()[self._before :].decode(errors="replace")
