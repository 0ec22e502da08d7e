"""Mail through the cluster, from the client machine: sent by MX lookup, read at the personal hostname."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from roost.lab.machine import Machine

CA_FILE = "/etc/ssl/roost-lab-ca.crt"


@dataclass(frozen=True)
class Sent:
    """What happened to a message at the door: ``attempts`` in order, each with host, reply, refused recipients."""

    ok: bool
    mx: tuple[str, ...]
    looked_up_in: float
    attempts: tuple[dict[str, Any], ...]

    @property
    def last(self) -> dict[str, Any]:
        """Return the attempt that decided."""
        return self.attempts[-1]

    @property
    def refused(self) -> dict[str, str]:
        """Return the recipients that the last host refused, with its replies."""
        return dict(self.last["refused"]) if self.attempts else {}


@dataclass(frozen=True)
class Found:
    """What was in a mailbox. ``messages`` are those that hold the wanted text."""

    ok: bool
    error: str
    address: str
    canonical: str
    count: int = 0
    messages: tuple[bytes, ...] = ()
    seconds: float = 0.0
    read_at: float = 0.0
    matching: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


class Client:
    """The client machine as a mail server and as a mail program."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def send(
        self,
        recipients: Sequence[str],
        body: bytes,
        *,
        sender: str = "jane@outside.test",
        options: str = "",
        hosts: Sequence[str] = (),
        seconds: float = 10,
    ) -> Sent:
        """Send a message to recipients of one domain; ``hosts`` instead of the MX lookup only to test one host."""
        asked = {
            "recipients": list(recipients),
            "sender": sender,
            "body": base64.b64encode(body).decode(),
            "options": options,
            "hosts": list(hosts),
            "timeout": seconds,
        }
        answer = self._script("send.py", asked, seconds * 5 + 30)
        return Sent(answer["ok"], tuple(answer["mx"]), answer["looked_up_in"], tuple(answer["attempts"]))

    def read(
        self,
        hostname: str,
        user: str,
        password: str,
        *,
        protocol: str = "imap",
        text: str = "",
        wait: float = 0,
        bodies: bool = True,
        seconds: float = 10,
    ) -> Found:
        """Read a mailbox, waiting until a message holds the text."""
        asked = {
            "protocol": protocol,
            "hostname": hostname,
            "user": user,
            "password": password,
            "ca": CA_FILE,
            "text": text,
            "wait": wait,
            "bodies": bodies,
            "timeout": seconds,
        }
        answer = self._script("read.py", asked, wait + seconds * 2 + 30)
        return Found(
            answer["ok"],
            answer["error"],
            answer["address"],
            answer["canonical"],
            answer.get("count", 0),
            tuple(base64.b64decode(message) for message in answer["messages"]),
            answer.get("seconds", 0.0),
            answer.get("read_at", 0.0),
            answer.get("matching", 0),
        )

    def burst(
        self,
        tag: str,
        recipients: Sequence[str],
        count: int,
        *,
        hosts: Sequence[str],
        connections: int = 4,
        size: int = 2000,
        per_second: float = 0,
        text: str = "All work and no play makes a dull mail server.\r\n",
        seconds: float = 600,
    ) -> dict[str, Any]:
        """Send many messages to MX hosts (addresses); see ``remote/burst.py`` for what comes back."""
        asked = {
            "tag": tag,
            "recipients": list(recipients),
            "count": count,
            "hosts": list(hosts),
            "connections": connections,
            "size": size,
            "per_second": per_second,
            "text": text,
        }
        return self._script("burst.py", asked, seconds)

    def watch(self, asked: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start watching for a new mailbox (``remote/watch.py``); returns when the watch has begun."""
        process = self.machine.popen(["python3", "-c", script("watch.py")], stdin=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        process.stdin.write(json.dumps({"ca": CA_FILE, **asked}).encode())
        process.stdin.close()
        process.stdin = None  # or communicate() would flush it
        process.stdout.readline()
        return process

    def _script(self, name: str, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Run one of the scripts in the client; its question on standard input, the script as its text."""
        ran = self.machine.run(["python3", "-c", script(name)], input=json.dumps(asked), timeout=seconds)
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer


def script(name: str) -> str:
    """Return the text of a script of ``roost.lab.remote``: the client machine has no Roost, only Python."""
    return resources.files("roost.lab.remote").joinpath(name).read_text()


def message(subject: str, body: str = "Hello.\r\n", *, to: str = "john@example.test") -> bytes:
    """Return a small message with a Message-ID that holds the subject's words."""
    identity = "".join(char if char.isalnum() else "-" for char in subject)
    return (
        f"From: Jane <jane@outside.test>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{identity}@outside.test>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\n{body}"
    ).encode()
