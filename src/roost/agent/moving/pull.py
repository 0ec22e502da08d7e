"""One pass of a copy on the target: doveadm here, the source's stream, and the carrier between them.

A pass can be made ready before the source is asked for its stream: doveadm starts, finds its carrier and waits. In a
hold that saves the time of a process start.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from roost.agent.moving import carrier
from roost.agent.moving.stream import Stream
from roost.agent.moving.throttle import Throttle
from roost.domain.errors import DaemonFailed, NodeAway, RoostError
from roost.domain.move import Order
from roost.ports.host import Host
from roost.ports.mailstore import Mailstore, Pulled
from roost.wire.peer import Line, PeerReply, PeerRequest

FOLDER = "/run/roost/moves"
POLITELY = ("nice", "-n", "10", "ionice", "-c", "2", "-n", "7")
"""Before the commands of a pass while the user works: reading and getting mail comes first (nice(1), ionice(1))."""

_START_SECONDS = 10.0
_OUTPUT_MAX = 8_000_000


@dataclass(frozen=True)
class Pass:
    """How a pass went: bytes that came from the source, and seconds."""

    pulled: Pulled
    octets: int
    seconds: float


class Pull:
    """One pass, made ready by ``__init__``: raises ``DaemonFailed`` where doveadm does not come so far."""

    def __init__(
        self,
        store: Mailstore,
        host: Host,
        order: Order,
        only: Collection[str] | None,
        *,
        patient: bool = True,
        folder: str = FOLDER,
    ) -> None:
        self._store, self._order, self._patient = store, order, patient
        self._stream: Stream | None = None
        self.octets = 0
        host.make_folder(folder, 0o700)
        path = Path(folder, f"{order.move}.socket")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(str(path))
            server.listen(1)
            brought = (sys.executable, "-I", "-S", str(carrier.__file__), str(path))
            argv = store.pull_argv(order, store.state(order.move), brought, only)
            self._command = host.start((*(POLITELY if patient else ()), *argv))
            os.close(self._command.stdin)
            self._output = bytearray()
            self._reader = threading.Thread(target=self._read, name=f"pass of move {order.move}", daemon=True)
            self._reader.start()
            try:
                self._carrier, self._reads, self._writes = _descriptors(server)
            except OSError as error:
                self._command.kill()
                _, words = self._command.wait(_START_SECONDS)
                raise DaemonFailed(f"The pass did not begin: {words or error}.") from error
            finally:
                path.unlink(missing_ok=True)

    def _read(self) -> None:
        """Read what doveadm says: its state for the next pass. The pipe must never be full."""
        with os.fdopen(self._command.stdout, "rb") as output:
            while piece := output.read(65536):
                if len(self._output) < _OUTPUT_MAX:
                    self._output += piece

    def run(self, line: Line, *, seconds: float = 7 * 86_400.0) -> Pass:
        """Ask for the stream over this connection and carry it to the end; raises ``NodeAway``, ``DaemonFailed``."""
        began = time.monotonic()
        try:
            reply = line.ask(PeerRequest(do="sync", move=self._order.move), _START_SECONDS)
            _require(reply)
            stream = self._stream = Stream(
                line, self._reads, self._writes, Throttle(self._order.bandwidth, patient=self._patient)
            )
            self._reads = self._writes = -1
            watch = threading.Timer(seconds, stream.end)
            watch.daemon = True
            watch.start()
            try:
                stream.carry()
            finally:
                watch.cancel()
                self.octets = stream.octets
                self._carrier.close()
            code, words = self._command.wait(_START_SECONDS)
            self._reader.join(_START_SECONDS)
        except RoostError:
            self.cancel()
            raise
        pulled = self._store.pulled(code, self._output.decode("utf-8", "replace"), words)
        return Pass(pulled, self.octets, time.monotonic() - began)

    @property
    def so_far(self) -> int:
        """Return the bytes that have come, while it runs."""
        return self._stream.octets if self._stream else 0

    def cancel(self) -> None:
        """Give it up, from any thread; what has been copied stays."""
        if self._stream is not None:
            self._stream.end()
        self._command.kill()
        self._carrier.close()
        for descriptor in (self._reads, self._writes):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._reads = self._writes = -1
        with contextlib.suppress(RoostError):
            self._command.wait(_START_SECONDS)


def _descriptors(server: socket.socket) -> tuple[socket.socket, int, int]:
    """Wait for the carrier and return its connection, the pipe to read from and the one to write to."""
    server.settimeout(_START_SECONDS)
    connection, _ = server.accept()
    connection.settimeout(_START_SECONDS)
    word, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
    if not word or len(descriptors) != 2:
        connection.close()
        raise OSError("the carrier brought nothing")
    return connection, descriptors[0], descriptors[1]


def _require(reply: PeerReply) -> None:
    if not reply.ok:
        raise NodeAway(f"The source says: {reply.words}")
