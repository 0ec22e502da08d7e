"""Carrying a stream: from a command's output to the other node, from the other node to the command's input.

One thread does both ways, because a TLS connection must not be read and written by two at once. Whoever falls behind
makes the other wait: at most ``_WAITING_MAX`` bytes are kept in between.
"""

from __future__ import annotations

import os
import select
import ssl
import threading
import time

from roost.agent.moving.throttle import Throttle
from roost.domain.errors import NodeAway
from roost.wire.peer import Line

_PIECE = 262_144
_WAITING_MAX = 1_048_576
_QUIET_SECONDS = 300.0
"""After so long without a byte in either direction the pass is given up. A slow machine that makes thousands of
folders says nothing meanwhile; that the other one is dead is seen by TCP."""


class Stream:
    """One stream; ``octets`` counts what came from the other node, for whoever shows progress."""

    def __init__(self, line: Line, reads: int, writes: int, throttle: Throttle) -> None:
        self._line = line
        self._reads = reads
        self._writes = writes
        self._throttle = throttle
        self._ended = threading.Event()
        self.octets = 0

    def end(self) -> None:
        """Give up soon, from any thread."""
        self._ended.set()

    def carry(self) -> None:
        """Carry until the command has ended; closes the two file descriptors. Raises ``NodeAway`` where it is cut."""
        sock = self._line.sock
        sock.settimeout(0.0)
        for descriptor in (self._reads, self._writes):
            os.set_blocking(descriptor, False)
        to_command, to_node = bytearray(self._line.rest), bytearray()
        from_command = from_node = True
        heard = time.monotonic()
        try:
            while from_command or to_node:
                if self._ended.is_set() or time.monotonic() - heard > _QUIET_SECONDS:
                    raise NodeAway("The stream was given up.")
                came = went = None
                if from_node and len(to_command) < _WAITING_MAX and (came := _from_node(sock)) is not None:
                    from_node = bool(came)
                    to_command += came
                    self.octets += len(came)
                if from_command and len(to_node) < _WAITING_MAX and (went := _from_command(self._reads)) is not None:
                    from_command = bool(went)
                    to_node += went
                given = self._give(to_command) + _send(sock, to_node)
                if not from_node and not to_command and self._writes >= 0:
                    # The command sees the end of its input, says its last words and ends.
                    os.close(self._writes)
                    self._writes = -1
                if came is None and went is None and not given:
                    self._wait(
                        sock,
                        select.POLLIN * (from_node and len(to_command) < _WAITING_MAX)
                        | select.POLLOUT * bool(to_node),
                        wants_command=from_command and len(to_node) < _WAITING_MAX,
                        gives=bool(to_command),
                    )
                    continue
                heard = time.monotonic()
                if rest := self._throttle.passed(len(came or b"") + len(went or b"")):
                    time.sleep(rest)
        except OSError as error:
            raise NodeAway(f"The stream was cut: {error}.") from error
        finally:
            os.close(self._reads)
            if self._writes >= 0:
                os.close(self._writes)

    def _give(self, waiting: bytearray) -> int:
        """Write to the command; what it does not take because it has ended is dropped."""
        if not waiting or self._writes < 0:
            return 0
        try:
            count = os.write(self._writes, memoryview(waiting)[:_PIECE])
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            count = len(waiting)
        del waiting[:count]
        return count

    def _wait(self, sock: ssl.SSLSocket, node: int, *, wants_command: bool, gives: bool) -> None:
        """Wait until something can go on, at most half a second."""
        poll = select.poll()
        if node:
            poll.register(sock, node)
        if wants_command:
            poll.register(self._reads, select.POLLIN)
        if gives and self._writes >= 0:
            poll.register(self._writes, select.POLLOUT)
        poll.poll(500)


def _from_node(sock: ssl.SSLSocket) -> bytes | None:
    """Return what has come, b'' at the end, None where there is nothing now."""
    try:
        return sock.recv(_PIECE)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except (ssl.SSLEOFError, ConnectionResetError):
        return b""


def _from_command(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None


def _send(sock: ssl.SSLSocket, waiting: bytearray) -> int:
    if not waiting:
        return 0
    try:
        count = sock.send(memoryview(waiting)[:_PIECE])
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0
    del waiting[:count]
    return count
