"""Connections that a server has forgotten, as after a loss of power, and such that it knows."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from roost.host.forgotten import ask_after

_WAITS = """
import socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
try:
    print("heard", line.recv(10))
except ConnectionResetError:
    print("reset")
"""
_TCP_REPAIR = 19  # linux/tcp.h


@contextmanager
def _waiting() -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """Another program that waits for a server's word, and the server's side of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        argv = [sys.executable, "-c", _WAITS, str(port)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
            try:
                here, _ = server.accept()
                assert program.stdout is not None
                assert program.stdout.readline() == "connected\n"
                with here:
                    yield program, here
            finally:
                program.kill()


def _forget(here: socket.socket) -> None:
    """Close a connection as a loss of power does: the other side is told nothing (CRIU's repair mode)."""
    here.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    here.close()


def test_who_waits_for_a_server_that_has_forgotten_him_learns_it() -> None:
    with _waiting() as (program, here):
        address, port = here.getsockname()
        _forget(here)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(2)
        ask_after(address, port)
        assert program.communicate(timeout=30)[0] == "reset\n"


def test_who_is_known_is_not_disturbed() -> None:
    with _waiting() as (program, here):
        ask_after(*here.getsockname())
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(3)
        here.sendall(b"250")
        assert program.communicate(timeout=30)[0] == "heard b'250'\n"
