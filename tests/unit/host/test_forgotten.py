"""Connections that a server has forgotten, as after a loss of power, and such that it knows."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from roost.host import forgotten
from roost.host.forgotten import ask_after

_WAITS = """
import socket, sys
line = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("connected", flush=True)
try:
    print("heard", line.recv(10))
except ConnectionResetError:
    print("reset")
"""
_TCP_REPAIR = 19  # linux/tcp.h


@contextmanager
def _waiting(address: str) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """Another program that waits for a server's word, and the server's side of its connection."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        argv = [sys.executable, "-c", _WAITS, address, str(server.getsockname()[1])]
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


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_waits_for_a_server_that_has_forgotten_him_learns_it(address: str) -> None:
    with _waiting(address) as (program, here):
        port = here.getsockname()[1]
        _forget(here)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(2)
        ask_after(address, port)
        assert program.communicate(timeout=30)[0] == "reset\n"


def test_where_it_is_forbidden_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(forgotten, "_borrowed", forbidden)
    with _waiting("127.0.0.1") as (_, here), structlog.testing.capture_logs() as said:
        ask_after(*here.getsockname())
    assert [(line["log_level"], line["event"]) for line in said] == [("warning", "connections cannot be asked after")]


def test_who_is_known_is_not_disturbed() -> None:
    with _waiting("127.0.0.1") as (program, here):
        ask_after(*here.getsockname())
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(3)
        here.sendall(b"250")
        assert program.communicate(timeout=30)[0] == "heard b'250'\n"
