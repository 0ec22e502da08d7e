"""Programs that work on a mailbox from the client machine, all at once, while something happens to it.

Each is a script of ``roost.lab.remote`` that prints a journal, a line of JSON for each event, until its input is
closed. :class:`Traffic` starts and stops them and keeps their journals; ``roost.lab.accounting`` and
``roost.lab.pauses`` say what follows from these.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from roost.lab.accounting import Event, Snapshot
from roost.lab.errors import CommandFailed
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, script


@dataclass(frozen=True)
class User:
    """Whose mailbox it is, and where it is found."""

    address: str
    hostname: str
    password: str

    def asked(self) -> dict[str, Any]:
        """Return what every script asks about him."""
        return {"hostname": self.hostname, "user": self.address, "password": self.password, "ca": CA_FILE}


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

    def stop(self, seconds: float = 60) -> list[Event]:
        """Let it end and return its whole journal; raises where it failed."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None  # noqa: S101
            stream.close()
        if self._process.returncode != 0:
            raise self._failure()
        return self.events

    def _failure(self) -> CommandFailed:
        said = b"".join(self._said[-20:]).decode(errors="replace")
        return CommandFailed(self._machine.name, [self.name], self._process.returncode, stderr=said)


class Traffic:
    """The programs of one scenario. As a context: those that still run are stopped in the end."""

    def __init__(self, client: Machine, user: User) -> None:
        self.client = client
        self.user = user
        self._running: list[Program] = []
        self._ended: list[Event] = []

    def __enter__(self) -> Traffic:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except CommandFailed:
            # What a scenario itself has found is the better reason.
            if kind is None:
                raise

    def _start(self, name: str, **asked: Any) -> Program:
        program = Program(self.client, name, {**self.user.asked(), **asked})
        self._running.append(program)
        program.wait_for(lambda event: event["what"] == "ready")
        return program

    def deliver(
        self, tag: str, *, per_second: float = 20, size: int = 2000, recipients: Sequence[str] = ()
    ) -> Program:
        """Let mail come in through the MX hosts, to the user or to others."""
        to = list(recipients) or [self.user.address]
        return self._start("deliver.py", tag=tag, recipients=to, per_second=per_second, size=size)

    def work(self, by: str = "worker", *, address: str = "", old: int = 200, per_second: float = 20) -> Program:
        """Let an IMAP program change things; with ``address`` it keeps to that server, as a cache of DNS would."""
        folders = {"folder": f"Work of {by}", "copies": f"Kept by {by}"}
        return self._start("imap_worker.py", by=by, address=address, old=old, per_second=per_second, **folders)

    def idle(self) -> Program:
        """Let an IMAP program wait for mail."""
        return self._start("idle.py", by="idle")

    def poll(self, every: float = 1) -> Program:
        """Let a POP3 program poll."""
        return self._start("pop3_poller.py", by="pop3", every=every)

    def probe(
        self, *, every: float = 0.02, at_once: int = 64, limit: float = 30, address: str = "", protocol: str = "imap"
    ) -> Program:
        """Measure logins."""
        return self._start("probe.py", every=every, at_once=at_once, limit=limit, address=address, protocol=protocol)

    def everything(self, tag: str, *, old_address: str) -> None:
        """Start all of them: deliveries, a worker, one in IDLE, a poller, and a worker pinned to the old address."""
        self.deliver(tag)
        self.work()
        self.idle()
        self.poll()
        self.work("pinned", address=old_address, old=0, per_second=5)

    def stop(self) -> list[Event]:
        """Stop all; return all journals of all programs, those that were stopped before included."""
        running, self._running = self._running, []
        failed: list[CommandFailed] = []
        for program in running:
            try:
                self._ended += program.stop()
            except CommandFailed as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return list(self._ended)

    @property
    def events(self) -> list[Event]:
        """All journals until now, those of programs that still run included."""
        return [*self._ended, *(event for program in self._running for event in program.events)]


def account(client: Machine, user: User, *, bodies: bool = True, pop3: bool = True, seconds: float = 900) -> Snapshot:
    """Read a whole mailbox at its home."""
    asked = {**user.asked(), "bodies": bodies, "pop3": pop3}
    ran = client.run(["python3", "-c", script("account.py")], input=json.dumps(asked), timeout=seconds)
    return Snapshot.of_answer(json.loads(ran.stdout))


def fill(
    home: Machine,
    addresses: Sequence[str],
    folders: dict[str, int],
    *,
    size: int = 5000,
    tag: str = "old",
    at_once: int = 2,
    seconds: float = 1800,
) -> float:
    """Fill mailboxes on their home with so many messages in each folder; return the seconds that it took."""
    asked = {"mailboxes": list(addresses), "folders": folders, "size": size, "tag": tag, "at_once": at_once}
    ran = home.run(["python3", "-c", script("fill.py")], input=json.dumps(asked), timeout=seconds)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return float(answer["seconds"])
