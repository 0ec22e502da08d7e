"""Outside mail servers: several sessions at once, each with some messages, commands pipelined (RFC 2920).

They run in a process of their own, kept to the processors that the servers leave.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

_LINE = b"All work and no play makes a dull mail server.\r\n"


@dataclass(frozen=True)
class Sending:
    """What is sent: ``messages`` of ``size`` bytes to the recipients in turn, by ``sessions`` connections at once."""

    server: tuple[str, int]
    source: str
    recipients: tuple[str, ...]
    messages: int
    size: int = 2000
    sessions: int = 10
    each: int = 20
    """Messages in one session."""


@dataclass(frozen=True)
class Sent:
    """Seconds from the first connection to the last acknowledgement, and the generator's own processor seconds."""

    seconds: float
    cpu: float


def content(to: bytes, number: int, size: int) -> bytes:
    """Return one of the messages: about so many bytes."""
    head = (
        b"From: Jane <jane@outside.test>\r\nTo: <%s>\r\nSubject: Work %d\r\nMessage-ID: <%d@outside.test>\r\n"
        b"Date: Thu, 26 Nov 2026 12:00:00 +0000\r\n\r\n"
    ) % (to, number, number)
    return head + _LINE * max(1, (size - len(head)) // len(_LINE))


def _session(sending: Sending, numbers: Sequence[int]) -> None:
    with (
        socket.create_connection(sending.server, 60, (sending.source, 0)) as smtp,
        smtp.makefile("rb") as lines,
    ):

        def wanted(*codes: bytes) -> None:
            for code in codes:
                while True:
                    line = lines.readline()
                    assert line.startswith(code), line
                    if line[3:4] == b" ":
                        break

        wanted(b"220")
        smtp.sendall(b"EHLO client.cluster.test\r\n")
        wanted(b"250")
        for number in numbers:
            to = sending.recipients[number % len(sending.recipients)].encode()
            smtp.sendall(b"MAIL FROM:<jane@outside.test>\r\nRCPT TO:<%s>\r\nDATA\r\n" % to)
            wanted(b"250", b"250", b"354")
            smtp.sendall(content(to, number, sending.size) + b".\r\n")
            wanted(b"250")
        smtp.sendall(b"QUIT\r\n")
        wanted(b"221")


def _work(sending: Sending, processors: set[int]) -> Sent:
    os.sched_setaffinity(0, processors)
    failed: list[BaseException] = []

    def lane(first: int) -> None:
        try:
            numbers = range(first, sending.messages, sending.sessions)
            for start in range(0, len(numbers), sending.each):
                _session(sending, numbers[start : start + sending.each])
        except (OSError, AssertionError) as error:
            failed.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=lane, args=(number,)) for number in range(sending.sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return Sent(time.monotonic() - began, time.process_time())


def send(sending: Sending, processors: set[int]) -> Sent:
    """Send everything; raises where a server does not take a message."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_work, sending, processors).result()
