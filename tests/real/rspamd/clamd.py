"""A clamd, as far as a filter needs one: INSTREAM (clamd(8)); every content that holds a word is infected."""

from __future__ import annotations

import socketserver
import struct
import threading
from pathlib import Path
from types import TracebackType

INFECTED = b"roost-test-virus"


class Clamd:
    """Listens at a UNIX socket while it is entered. One that ``hangs`` takes contents and says nothing of them."""

    def __init__(self, path: str, *, hangs: bool = False) -> None:
        self.path, self.hangs = path, hangs
        self.scanned: list[bytes] = []
        self.released = threading.Event()

    def __enter__(self) -> Clamd:
        self._server = _Server(self.path, _Conversation)
        self._server.clamd = self
        Path(self.path).chmod(0o777)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        Path(self.path).unlink()


class _Server(socketserver.ThreadingUnixStreamServer):
    clamd: Clamd
    daemon_threads = True


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        content = b""
        while size := struct.unpack(">I", self.rfile.read(4))[0]:
            content += self.rfile.read(size)
        clamd = self.server.clamd
        clamd.scanned.append(content)
        if clamd.hangs:
            clamd.released.wait(60)
            return
        self.wfile.write(b"stream: Roost.Test FOUND\0" if INFECTED in content else b"stream: OK\0")
