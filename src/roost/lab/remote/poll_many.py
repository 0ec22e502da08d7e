"""Mail programs of many users that look for new mail again and again, each in its own time, by POP3 or IMAP.

In, one line: ``users`` (each ``hostname``, ``user``, ``protocol``, ``every`` in seconds), ``password``, ``ca``,
``at_once`` (logins under way at most), ``limit`` (seconds after which a login counts as failed). It stops when its
input ends.

Out, a line for each login: ``polled`` with ``user``, ``began``, ``seconds`` until it was served, ``ok``, ``said``
where it was not, and the server's ``address``. Whoever is late is not made up for: he polls next when his time
has passed once more.
"""

import heapq
import json
import random
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
        print(json.dumps({"at": time.time(), "what": what, "by": "poller", **fields}), flush=True)


def login(user: dict[str, Any], asked: dict[str, Any], context: ssl.SSLContext, fields: dict[str, Any]) -> str:
    """Look for mail once; return what was wrong, '' for nothing."""
    imap = user["protocol"] == "imap"
    words_of = {"user": user["user"], "password": asked["password"]}
    where = (user["hostname"], 993 if imap else 995)
    with (
        socket.create_connection(where, asked["limit"]) as plain,
        context.wrap_socket(plain, server_hostname=user["hostname"]) as tls,
        tls.makefile("rb") as lines,
    ):
        fields["address"] = str(tls.getpeername()[0])
        for words, wanted in _IMAP if imap else _POP3:
            if words:
                tls.sendall(words.format(**words_of).encode() + b"\r\n")
            text = lines.readline()
            while imap and text.startswith(b"* ") and not text.startswith((wanted, b"* BYE")):
                text = lines.readline()
            if not text.startswith(wanted):
                return text.decode(errors="replace").strip() or "the connection was closed"
        tls.sendall(b"c LOGOUT\r\n" if imap else b"QUIT\r\n")
        return ""


def work(asked: dict[str, Any], due: list[tuple[float, int]], lock: threading.Lock, context: ssl.SSLContext) -> None:
    """Poll for whoever is due next, again and again."""
    while not _STOP.is_set():
        with lock:
            at, number = due[0]
            wait = at - time.monotonic()
            if wait <= 0:
                user = asked["users"][number]
                heapq.heapreplace(due, (max(at, time.monotonic() - user["every"]) + user["every"], number))
        if wait > 0:
            _STOP.wait(min(wait, 0.2))
            continue
        began, clock = time.time(), time.monotonic()
        fields: dict[str, Any] = {"address": ""}
        try:
            said = login(user, asked, context, fields)
        except OSError as error:
            said = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - clock
        tell("polled", user=user["user"], began=began, seconds=seconds, ok=not said, said=said, **fields)


def main() -> None:
    """Poll until the input ends."""
    asked = json.loads(sys.stdin.readline())
    chance, now = random.Random(1), time.monotonic()
    due = [(now + chance.uniform(0, user["every"]), number) for number, user in enumerate(asked["users"])]
    heapq.heapify(due)
    lock, context = threading.Lock(), ssl.create_default_context(cafile=asked["ca"])
    workers = [threading.Thread(target=work, args=(asked, due, lock, context)) for _ in range(asked["at_once"])]
    tell("ready")
    for worker in workers:
        worker.start()
    sys.stdin.read()
    _STOP.set()
    for worker in workers:
        worker.join()


main()
