"""Programs that work on a mailbox from the client machine, all at once, while something happens to it.

Each is a script of ``roost.lab.remote`` that prints a journal, a line of JSON for each event, until its input is
closed. :class:`Traffic` starts and stops them and keeps their journals; ``roost.lab.accounting`` and
``roost.lab.pauses`` say what follows from these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from roost.lab.accounting import Event, Snapshot
from roost.lab.errors import CommandFailed
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, script
from roost.lab.program import Program


@dataclass(frozen=True)
class User:
    """Whose mailbox it is, and where it is found."""

    address: str
    hostname: str
    password: str

    def asked(self) -> dict[str, Any]:
        """Return what every script asks about him."""
        return {"hostname": self.hostname, "user": self.address, "password": self.password, "ca": CA_FILE}


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
        self, *, every: float = 0.02, at_once: int = 20, limit: float = 30, address: str = "", protocol: str = "imap"
    ) -> Program:
        """Measure logins. No more at once than Dovecot allows a user from one address, beside his other programs."""
        return self._start("probe.py", every=every, at_once=at_once, limit=limit, address=address, protocol=protocol)

    def pin(self, address: str, by: str = "pinned") -> Program:
        """Let a program work at its leisure that found the mailbox at this address once, and looks no more."""
        return self.work(by, address=address, old=0, per_second=5)

    def everything(self, tag: str, *, per_second: float = 20) -> None:
        """Start deliveries, a worker, one in IDLE and a POP3 poller."""
        self.deliver(tag, per_second=per_second)
        self.work(per_second=per_second)
        self.idle()
        self.poll()

    def end(self, program: Program) -> list[Event]:
        """Stop one of them; return its journal."""
        self._running.remove(program)
        events = program.stop()
        self._ended += events
        return events

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
