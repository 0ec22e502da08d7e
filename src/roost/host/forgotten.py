"""Connections of other programs to a server that may have forgotten them: the kernel is told to ask.

A machine that loses power says no goodbye. A program that waits for its answer and has nothing to send learns of it
late: where it wants the kernel to ask, as Postfix does, that begins after two hours (tcp(7), tcp_keepalive_time). Its
lmtp(8) waits ten minutes for the answer to the end of a message (RFC 5321, 4.5.3.2.6), and such a delivery holds up
all others to the same server. So the kernel is told to ask at once. A connection that is alive acknowledges the
question, and is not harmed; one that nobody knows any more is refused, and the program goes on. In a container whose
rules forbid pidfd_getfd(2) nothing happens but a warning.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
import subprocess

import structlog

_log = structlog.get_logger()
_PIDFD_GETFD = 438
_LIBC = ctypes.CDLL(None, use_errno=True)
_USER = re.compile(r"pid=(\d+),fd=(\d+)")
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 12),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
)


def ask_after(address: str, port: int) -> None:
    """Have the kernel ask whether connections from here to a server's address are still known there."""
    argv = ["ss", "-H", "-t", "-n", "-p", "state", "established", "dst", f"[{address}]", "dport", "=", f":{port}"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        found = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
        for process, descriptor in _USER.findall(found.stdout):
            try:
                _ask(int(process), int(descriptor), (address, port))
            except PermissionError:
                _log.warning(
                    "connections cannot be asked after", to=address, remedy="allow pidfd_getfd in this container"
                )
                return
            except OSError:
                pass  # closed since, and its number is nobody's or another's


def _ask(process: int, descriptor: int, server: tuple[str, int]) -> None:
    with _borrowed(process, descriptor) as connection:
        if connection.getpeername()[:2] == server:
            for option in _OPTIONS:
                connection.setsockopt(*option)


def _borrowed(process: int, descriptor: int) -> socket.socket:
    """Return another process's socket (pidfd_getfd(2), which Python has not); closing it here closes nothing."""
    handle = os.pidfd_open(process)
    try:
        found = _LIBC.syscall(_PIDFD_GETFD, handle, descriptor, 0)
        if found < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return socket.socket(fileno=found)
    finally:
        os.close(handle)
