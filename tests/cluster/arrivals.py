"""The mail server of the outside world, on the client machine: what has arrived there."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from roost.lab.mail import Client, script


@dataclass(frozen=True)
class Arrival:
    """One message."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def head(self) -> str:
        """Return its header."""
        return self.content.partition(b"\r\n\r\n")[0].decode(errors="replace")


class Arrivals:
    """Everything that has come since the server was started."""

    def __init__(self) -> None:
        self._all: list[Arrival] = []

    def note(self, line: bytes) -> None:
        """Take a line of the server's."""
        told = json.loads(line)
        self._all.append(Arrival(told["sender"], tuple(told["recipients"]), base64.b64decode(told["content"])))

    def to(self, recipient: str, words: str = "") -> list[Arrival]:
        """Return what has come for a recipient and has these words in it."""
        return [one for one in list(self._all) if recipient in one.recipients and words.encode() in one.content]

    def wait(self, said: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Wait until a fact is true."""
        end = time.monotonic() + seconds
        while not said():
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}; there are {len(self._all)} messages"
            time.sleep(0.1)


@contextlib.contextmanager
def arrivals(client: Client) -> Iterator[Arrivals]:
    """Run the server."""
    found = Arrivals()
    process = client.machine.popen(["python3", "-c", script("take.py")], stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    stream = process.stdout
    reader: threading.Thread | None = None
    try:
        assert json.loads(stream.readline()) == {"ready": True}

        def read() -> None:
            for line in stream:
                found.note(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        yield found
    finally:
        with process:
            process.stdin.close()
            process.wait(20)
            if reader is not None:
                reader.join(20)
