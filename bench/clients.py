"""Programs that poll: log in, ask whether there is mail, log out, over a new verified TLS connection each time.

They run in processes of their own, kept to the processors that the servers leave, and speak the two protocols
line by line, so that a session costs the generator little.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Whom to poll: a server, the name under which it is verified, the users and their one password."""

    protocol: str
    address: str
    port: int
    name: str
    ca: str
    users: tuple[str, ...]
    password: str


@dataclass(frozen=True)
class Load:
    """What the generator did: sessions that ended well, seconds, and its own processor seconds."""

    sessions: int
    seconds: float
    cpu: float


def _imap(say: Callable[[bytes, bytes], None], user: str, password: str) -> None:
    say(b"", b"* OK")
    say(b'a LOGIN "%s" "%s"\r\n' % (user.encode(), password.encode()), b"a OK")
    say(b"b STATUS INBOX (MESSAGES UNSEEN UIDNEXT)\r\n", b"b OK")
    say(b"c LOGOUT\r\n", b"c OK")


def _pop3(say: Callable[[bytes, bytes], None], user: str, password: str) -> None:
    say(b"", b"+OK")
    say(b"USER %s\r\n" % user.encode(), b"+OK")
    say(b"PASS %s\r\n" % password.encode(), b"+OK")
    say(b"STAT\r\n", b"+OK")
    say(b"QUIT\r\n", b"+OK")


_SESSIONS = {"imap": _imap, "pop3": _pop3}


def session(target: Target, context: ssl.SSLContext, user: str) -> None:
    """Do one session; raises ``OSError`` or ``AssertionError`` where the server does not do its part."""
    with (
        socket.create_connection((target.address, target.port), 60) as plain,
        context.wrap_socket(plain, server_hostname=target.name) as tls,
        tls.makefile("rb") as lines,
    ):

        def say(words: bytes, wanted: bytes) -> None:
            if words:
                tls.sendall(words)
            while True:
                line = lines.readline()
                assert line, f"connection lost before {wanted!r}"
                if line.startswith(wanted):
                    return
                assert line.startswith(b"* "), line

        _SESSIONS[target.protocol](say, user, target.password)


def visit(target: Target) -> None:
    """Let every user poll once."""
    context = ssl.create_default_context(cafile=target.ca)
    for user in target.users:
        session(target, context, user)


def _work(
    target: Target, users: tuple[str, ...], threads: int, seconds: float, processors: set[int]
) -> tuple[int, float, float]:
    os.sched_setaffinity(0, processors)
    began = time.monotonic()

    def one(number: int) -> int:
        # A context of its own and no session tickets: every connection is a full handshake.
        context = ssl.create_default_context(cafile=target.ca)
        mine, count = users[number::threads] or users, 0
        while time.monotonic() < began + seconds:
            session(target, context, mine[count % len(mine)])
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        sessions = sum(pool.map(one, range(threads)))
    return sessions, time.monotonic() - began, time.process_time()


def poll(target: Target, seconds: float, processors: set[int], processes: int = 2, threads: int = 8) -> Load:
    """Poll as fast as the server answers, by ``processes * threads`` clients at once."""
    # Fresh interpreters: what this process has open and running is none of theirs.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        running = [
            pool.submit(_work, target, target.users[n::processes], threads, seconds, processors)
            for n in range(processes)
        ]
        found = [each.result() for each in running]
    return Load(sum(f[0] for f in found), max(f[1] for f in found), sum(f[2] for f in found))
