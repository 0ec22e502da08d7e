"""As much of ManageSieve (RFC 5804) as the tests need."""

from __future__ import annotations

import base64
import socket
import ssl

from .instance import PASSWORD, Instance, connection


class Sieve:
    """A session of one user, over TLS, verified under a personal hostname."""

    def __init__(
        self, instance: Instance, user: str = "john@example.test", name: str = "john.pop.example.test"
    ) -> None:
        self._line: socket.socket = connection((instance.address, instance.layout.sieve), 30)
        self._stream = self._line.makefile("rb")
        self._answer()
        self._line.sendall(b"STARTTLS\r\n")
        self._answer()
        context: ssl.SSLContext = instance.ca.context()
        self._line = context.wrap_socket(self._line, server_hostname=name)
        self._stream = self._line.makefile("rb")
        self._answer()
        token = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
        self.say(f'AUTHENTICATE "PLAIN" "{token}"')

    def __enter__(self) -> Sieve:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def say(self, command: str) -> list[bytes]:
        """Say one command and return the lines of its answer; fails where it is refused."""
        self._line.sendall(f"{command}\r\n".encode())
        return self._answer()

    def put(self, name: str, script: str) -> None:
        """Store a script."""
        self.say(f'PUTSCRIPT "{name}" {{{len(script)}+}}\r\n{script}')

    def _answer(self) -> list[bytes]:
        lines = []
        while line := self._stream.readline():
            lines.append(line)
            if line.startswith(b"OK"):
                return lines
            assert not line.startswith((b"NO", b"BYE")), line
        raise AssertionError(f"the server hung up after {lines}")
