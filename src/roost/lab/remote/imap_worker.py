"""A mail program that works: it appends, flags, copies and expunges, and remembers what was acknowledged.

In, one line: ``by`` (its name in the journal, and the first part of its tokens), ``hostname``, ``address`` (an IP
address that it keeps to whatever DNS says; '' to ask DNS), ``user``, ``password``, ``ca``, ``per_second`` (steps),
``folder`` (where it appends), ``copies`` (where it copies to), ``old`` (how many messages of INBOX that are there at
the start it works on). It stops when its input ends.

Out, a line for each event, see ``roost.lab.accounting``; and how its connections went: ``served`` (``seconds`` since
it lost the last, ``address``), ``ended``, ``unreachable``, ``refused``, ``no``. A command during which the connection
breaks is ``unsure``, and its message is let alone from then on.
"""

import contextlib
import imaplib
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_STOP = threading.Event()
_FLAGS = [r"\Seen", r"\Flagged", r"\Answered", "$Forwarded", "Lab-Keyword"]
_ROUND = ("append", "append", "flag", "copy", "append", "flag", "flag", "expunge")


class Imap(imaplib.IMAP4_SSL):
    """A connection to a name, or to an address under that name."""

    def __init__(self, asked: dict[str, Any], context: ssl.SSLContext) -> None:
        self._where = asked["address"] or asked["hostname"]
        super().__init__(asked["hostname"], 993, ssl_context=context, timeout=30)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        plain = socket.create_connection((self._where, self.port), timeout)
        secure: ssl.SSLSocket = self.ssl_context.wrap_socket(plain, server_hostname=self.host)
        return secure


class Refused(Exception):
    """The server answered NO."""


class Stopped(Exception):
    """It is time to end, and there is no connection."""


def stop_at_end() -> None:
    """Stop when the input ends."""
    sys.stdin.read()
    _STOP.set()


class Worker:
    """One program with one connection."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.context = ssl.create_default_context(cafile=asked["ca"])
        self.imap: Imap | None = None
        self.lost = time.time()
        self.selected = ""
        self.number = 0
        # (folder, token) of those that it works on, to UID and flags.
        self.mine: dict[tuple[str, str], tuple[int, set[str]]] = {}
        self.copied: set[str] = set()

    def tell(self, what: str, **fields: Any) -> None:
        """Print an event."""
        print(json.dumps({"at": time.time(), "what": what, "by": self.asked["by"], **fields}), flush=True)

    def connect(self) -> Imap:
        """Return a connection; a new one as often as it takes."""
        while self.imap is None and not _STOP.is_set():
            try:
                imap = Imap(self.asked, self.context)
                try:
                    imap.login(self.asked["user"], self.asked["password"])
                except imaplib.IMAP4.abort:
                    raise
                except imaplib.IMAP4.error as error:
                    self.tell("refused", said=str(error))
                    imap.shutdown()
                    _STOP.wait(0.2)
                    continue
                self.imap, self.selected = imap, ""
                self.tell("served", seconds=time.time() - self.lost, address=imap.sock.getpeername()[0])
            except (OSError, imaplib.IMAP4.abort) as error:
                self.tell("unreachable", said=f"{type(error).__name__}: {error}")
                _STOP.wait(0.1)
        if self.imap is None:
            raise Stopped
        return self.imap

    def lose(self, error: BaseException) -> None:
        """Take note that the connection is gone."""
        self.tell("ended", said=f"{type(error).__name__}: {error}")
        if self.imap is not None:
            self.imap.shutdown()
        self.imap, self.lost = None, time.time()

    def select(self, folder: str) -> Imap:
        """Return a connection that has this folder open."""
        imap = self.connect()
        if self.selected != folder:
            self.want(imap.select(f'"{folder}"'))
            self.selected = folder
        return imap

    @staticmethod
    def want(answer: tuple[str, Any]) -> Any:
        """Return the answer's data if it is OK."""
        typ, data = answer
        if typ != "OK":
            raise Refused(str(data))
        return data

    def begin(self) -> None:
        """Make its folders and take up the oldest messages of INBOX."""
        imap = self.connect()
        for folder in (self.asked["folder"], self.asked["copies"]):
            imap.create(f'"{folder}"')
        imap = self.select("INBOX")
        if not self.asked["old"]:
            return
        _, data = imap.fetch(f"1:{self.asked['old']}", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        for part in data:
            if isinstance(part, tuple):
                head, token = part[0], re.search(rb"<(.*)@lab\.test>", part[1])
                uid, flags = re.search(rb"UID (\d+)", head), re.search(rb"FLAGS \(([^)]*)\)", head)
                if token and uid and flags:
                    known = set(flags[1].decode().split()) - {r"\Recent"}
                    self.mine["INBOX", token[1].decode()] = (int(uid[1]), known)

    def run(self) -> None:
        """Do one step after another."""
        began, step = time.time(), 0
        while not _STOP.wait(max(0.0, began + step / self.asked["per_second"] - time.time())):
            op = _ROUND[step % len(_ROUND)]
            step += 1
            if op == "append":
                self.number += 1
                key = (self.asked["folder"], f"{self.asked['by']}.{self.number}")
            else:
                free = [key for key in self.mine if op != "copy" or self._may_copy(key)]
                if not free:
                    continue
                key = free[step * 7919 % len(free)]
            doing: Callable[[str, str], None] = getattr(self, op)
            try:
                self.select(self.asked["folder"] if op == "append" else key[0])
            except Refused as error:
                self.tell("no", said=f"select: {error}")
                continue
            except (OSError, imaplib.IMAP4.error) as error:
                self.lose(error)
                continue
            try:
                doing(*key)
            except Refused as error:
                self.tell("no", said=f"{op}: {error}")
            except (OSError, imaplib.IMAP4.error) as error:
                # A copy is in doubt in the folder that it goes to.
                folder = self.asked["copies"] if op == "copy" else key[0]
                self.tell("unsure", op=op, folder=folder, token=key[1])
                if op != "copy":
                    self.mine.pop(key, None)
                self.copied.add(key[1])
                self.lose(error)

    def _may_copy(self, key: tuple[str, str]) -> bool:
        return key[0] != self.asked["copies"] and key[1] not in self.copied

    def append(self, folder: str, token: str) -> None:
        """Append a message."""
        assert self.imap is not None  # noqa: S101 - a folder was selected
        text = (
            f"From: {self.asked['user']}\r\nSubject: {token}\r\nMessage-ID: <{token}@lab.test>\r\n"
            f"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\ntoken {token} .\r\n" + "A draft.\r\n" * 20
        )
        flags = {r"\Seen", r"\Draft"} if self.number % 2 else set()
        date = imaplib.Time2Internaldate(time.time() - 86400)
        self.want(self.imap.append(f'"{folder}"', f"({' '.join(sorted(flags))})", date, text.encode()))
        uid = int(self.imap.response("APPENDUID")[1][-1].split()[1])
        self.mine[folder, token] = (uid, flags)
        self.tell("appended", folder=folder, token=token, uid=uid, flags=sorted(flags))

    def flag(self, folder: str, token: str) -> None:
        """Give it a flag that it lacks, or take all of them away."""
        assert self.imap is not None  # noqa: S101 - a folder was selected
        uid, flags = self.mine[folder, token]
        missing = [flag for flag in _FLAGS if flag not in flags]
        new = {*flags, missing[uid % len(missing)]} if missing else set()
        self.want(self.imap.uid("STORE", str(uid), "FLAGS.SILENT", f"({' '.join(sorted(new))})"))
        self.mine[folder, token] = (uid, new)
        self.tell("flagged", folder=folder, token=token, flags=sorted(new))

    def copy(self, folder: str, token: str) -> None:
        """Copy it."""
        assert self.imap is not None  # noqa: S101 - a folder was selected
        uid, flags = self.mine[folder, token]
        to = self.asked["copies"]
        self.want(self.imap.uid("COPY", str(uid), f'"{to}"'))
        new = int(self.imap.response("COPYUID")[1][-1].split()[2])
        self.copied.add(token)
        self.mine[to, token] = (new, set(flags))
        self.tell("copied", folder=to, token=token, uid=new, flags=sorted(flags))

    def expunge(self, folder: str, token: str) -> None:
        """Remove it for good (RFC 4315)."""
        assert self.imap is not None  # noqa: S101 - a folder was selected
        uid, _ = self.mine[folder, token]
        self.want(self.imap.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)"))
        self.want(self.imap.uid("EXPUNGE", str(uid)))
        del self.mine[folder, token]
        self.tell("expunged", folder=folder, token=token)


def main() -> None:
    """Work until the input ends."""
    imaplib._MAXLINE = 1 << 24  # type: ignore[attr-defined] # the library's own limit is against hostile servers
    worker = Worker(json.loads(sys.stdin.readline()))
    worker.begin()
    worker.tell("ready")
    threading.Thread(target=stop_at_end, daemon=True).start()
    with contextlib.suppress(Stopped):
        worker.run()


main()
