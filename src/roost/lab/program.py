"""A script of ``roost.lab.remote`` that runs in a machine for a while and prints a journal, a line for each event."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from roost.lab.accounting import Event
from roost.lab.errors import CommandFailed
from roost.lab.machine import Machine
from roost.lab.mail import script


class Program:
    """A script that runs in a machine, and the journal that it prints."""

    def __init__(self, machine: Machine, name: str, asked: dict[str, Any]) -> None:
        self.name = name
        self._machine = machine
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._process = machine.popen(["python3", "-c", script(name)], stdin=subprocess.PIPE)
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        self._said: list[bytes] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            with self._news:
                self._events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        self._said += self._process.stderr.readlines()

    @property
    def events(self) -> list[Event]:
        """What it has printed until now."""
        with self._news:
            return list(self._events)

    def wait_for(self, wanted: Callable[[Event], bool], seconds: float = 60) -> Event:
        """Wait for an event, which may have come already; raises ``TimeoutError``, or why the program ended."""
        deadline, looked = time.monotonic() + seconds, 0
        with self._news:
            while True:
                for event in self._events[looked:]:
                    if wanted(event):
                        return event
                looked = len(self._events)
                left = deadline - time.monotonic()
                if self._process.poll() is not None and not self._readers[0].is_alive():
                    raise self._failure()
                if left <= 0:
                    raise TimeoutError(f"{self.name} has not said it after {seconds:.0f} s: {self._events[-3:]}")
                self._news.wait(min(left, 0.5))

    def say(self, word: str) -> None:
        """Write a line to its input."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()

    def stop(self, seconds: float = 60) -> list[Event]:
        """Let it end and return its whole journal; raises where it failed."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None  # noqa: S101
            stream.close()
        if self._process.returncode != 0:
            raise self._failure()
        return self.events

    def end(self) -> None:
        """End it without asking how it was: its machine may have gone."""
        with contextlib.suppress(CommandFailed, BrokenPipeError):
            self.stop(2)

    def _failure(self) -> CommandFailed:
        said = b"".join(self._said[-20:]).decode(errors="replace")
        return CommandFailed(self._machine.name, [self.name], self._process.returncode, stderr=said)
