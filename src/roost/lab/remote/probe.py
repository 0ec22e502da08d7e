"""Measures from outside how long a login takes: a new one every so often, on a connection of its own, many at once.

In, one line: ``hostname``, ``address`` (an IP address to keep to; '' to ask DNS), ``user``, ``password``, ``ca``,
``every`` (seconds), ``at_once`` (logins under way at most), ``limit`` (seconds after which a login counts as failed),
``protocol`` (``imap``, ``pop3``). It stops when its input ends.

Out, a line for each: ``tried`` with ``began``, ``seconds`` until the server had served it (IMAP: answered STATUS;
POP3: answered STAT), ``ok``, ``said`` where it was not, ``logged_in`` (whether it was let in before that), and the
server's ``address``.
"""

import json
import socket
import ssl
import sys
import threading
import time
from typing import Any

_STOP = threading.Event()
_PRINTING = threading.Lock()

# What is said, and how the good answer to it begins.
_IMAP = [("", b"* OK"), ('a LOGIN "{user}" "{password}"', b"a OK"), ("b STATUS INBOX (MESSAGES)", b"b OK")]
_POP3 = [("", b"+OK"), ("USER {user}", b"+OK"), ("PASS {password}", b"+OK"), ("STAT", b"+OK")]


def tell(what: str, **fields: Any) -> None:
    """Print an event."""
    with _PRINTING:
        print(json.dumps({"at": time.time(), "what": what, "by": "probe", **fields}), flush=True)


def login(asked: dict[str, Any], context: ssl.SSLContext, fields: dict[str, Any]) -> str:
    """Log in once; return what was wrong, '' for nothing. ``fields`` are filled as far as it comes."""
    imap = asked["protocol"] == "imap"
    where = (asked["address"] or asked["hostname"], 993 if imap else 995)
    with (
        socket.create_connection(where, asked["limit"]) as plain,
        context.wrap_socket(plain, server_hostname=asked["hostname"]) as tls,
        tls.makefile("rb") as lines,
    ):
        fields["address"] = str(tls.getpeername()[0])
        for words, wanted in _IMAP if imap else _POP3:
            if words:
                tls.sendall(words.format(**asked).encode() + b"\r\n")
            text = lines.readline()
            while imap and text.startswith(b"* ") and not text.startswith((wanted, b"* BYE")):
                text = lines.readline()
            if not text.startswith(wanted):
                return text.decode(errors="replace").strip() or "the connection was closed"
            if words.startswith(("a LOGIN", "PASS")):
                fields["logged_in"] = True
        tls.sendall(b"c LOGOUT\r\n" if imap else b"QUIT\r\n")
        return ""


def attempt(asked: dict[str, Any], context: ssl.SSLContext, free: threading.Semaphore) -> None:
    """Try once and say how it was."""
    began, clock = time.time(), time.monotonic()
    fields: dict[str, Any] = {"address": "", "logged_in": False}
    try:
        said = login(asked, context, fields)
    except OSError as error:
        said = f"{type(error).__name__}: {error}"
    finally:
        free.release()
    tell("tried", began=began, seconds=time.monotonic() - clock, ok=not said, said=said, **fields)


def schedule(asked: dict[str, Any]) -> None:
    """Begin one after the other, in time."""
    context = ssl.create_default_context(cafile=asked["ca"])
    free = threading.Semaphore(asked["at_once"])
    threads: list[threading.Thread] = []
    due = time.monotonic()
    while not _STOP.wait(max(0.0, due - time.monotonic())):
        # Late is late: what could not begin in time is not made up for by a burst.
        due = max(due + asked["every"], time.monotonic())
        if free.acquire(timeout=asked["every"]):
            threads = [thread for thread in threads if thread.is_alive()]
            threads.append(threading.Thread(target=attempt, args=(asked, context, free)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Try until the input ends."""
    asked = json.loads(sys.stdin.readline())
    trying = threading.Thread(target=schedule, args=(asked,))
    tell("ready")
    trying.start()
    sys.stdin.read()
    _STOP.set()
    trying.join()


main()
