"""Does a server answer? Its greeting line is the proof: a frozen server's kernel still completes connections."""

from __future__ import annotations

import contextlib
import socket


def greeting(host: str, port: int, seconds: float = 2.0) -> str:
    """Return the first line that a server says on a new TCP connection, '' where it says none in time."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            line = connection.recv(512).split(b"\r\n")[0].decode("ascii", "replace")
            # Part politely, or the server's log has a lost connection for every probe.
            with contextlib.suppress(OSError):
                connection.sendall(b"QUIT\r\n" if line.startswith(("220", "+OK")) else b"a LOGOUT\r\n")
                connection.recv(512)
            return line
    except OSError:
        return ""


def answers(host: str, port: int) -> bool:
    """Say whether a server greets."""
    return bool(greeting(host, port))


def listens(host: str, port: int, seconds: float = 2.0) -> bool:
    """Say whether somebody takes connections there, of a server that says nothing before it is asked."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError:
        return False
    return True
