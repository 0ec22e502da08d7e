"""A connection held open to a server, so that it cannot go away and come back unseen.

Asking now and then misses a short outage, and the mail that was put off in it then waits for its next turn. A held
connection does not survive a restart or a reboot, and one over which no answer comes in time is given up, so its end
is the proof.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from roost.host.forgotten import ask_after

_ANSWER_SECONDS = 3.0


def hold(host: str, port: int, quiet: float, answered: Callable[[], None], leave: threading.Event) -> None:
    """Connect to an SMTP or LMTP server and stay; return when it is gone, or soon after ``leave`` was set.

    ``answered`` is called once the server has greeted with 220; a frozen server's kernel still completes connections.
    Then others' connections there are asked after, which it may have forgotten while it was away.
    After ``quiet`` seconds it is asked whether it is still there. So nothing that lasts for 3 s more is missed.
    """
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_ANSWER_SECONDS) as line:
        if not line.recv(512).startswith(b"220"):
            return
        answered()
        ask_after(*line.getpeername()[:2])
        while not leave.is_set():
            line.settimeout(quiet)
            try:
                # A word that nobody asked for is a farewell (421), nothing at all an end.
                line.recv(512)
                return
            except TimeoutError:
                pass
            line.settimeout(_ANSWER_SECONDS)
            line.sendall(b"NOOP\r\n")
            if not line.recv(512).startswith(b"2"):
                return
        # Part politely, or the server's log has a lost connection.
        line.sendall(b"QUIT\r\n")
        line.recv(512)
