"""A mail program that polls by POP3, leaves mail on the server and knows by UIDL what it has.

In, one line: ``by``, ``hostname``, ``user``, ``password``, ``ca``, ``every`` (seconds). It stops when its input ends.
Out, a line for each event: ``uidl`` (``token``, ``uidl`` of a message that it has now downloaded), ``again`` (the
same of a message that it had under another UIDL), ``polled`` (``seconds``, ``messages``, ``address``),
``unreachable``, ``refused`` and ``ended`` (``said``). What is there at the first poll counts as downloaded long ago.

The head alone is loaded (TOP): RETR would set the flag ``\\Seen``, which is an IMAP client's business here.
"""

import json
import poplib
import re
import ssl
import sys
import threading
import time
from typing import Any

_STOP = threading.Event()


class Poller:
    """One program."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.context = ssl.create_default_context(cafile=asked["ca"])
        self.known: set[str] | None = None
        self.tokens: dict[str, str] = {}
        self.logged_in = False

    def tell(self, what: str, **fields: Any) -> None:
        """Print an event."""
        print(json.dumps({"at": time.time(), "what": what, "by": self.asked["by"], **fields}), flush=True)

    def poll(self) -> None:
        """Look for new mail once."""
        began, self.logged_in = time.time(), False
        pop = poplib.POP3_SSL(self.asked["hostname"], 995, context=self.context, timeout=30)
        try:
            pop.user(self.asked["user"])
            pop.pass_(self.asked["password"])
            self.logged_in = True
            there = dict(line.decode().split() for line in pop.uidl()[1])
            first = self.known is None
            known = self.known or set()
            for number, uidl in there.items():
                if uidl not in known and not first:
                    self.download(pop, number, uidl)
            self.known = known | set(there.values())
            address = pop.sock.getpeername()[0]
            pop.quit()
        finally:
            pop.close()
        self.tell("ready" if first else "polled", seconds=time.time() - began, messages=len(there), address=address)

    def download(self, pop: poplib.POP3_SSL, number: str, uidl: str) -> None:
        """Take note of a message that is new to it."""
        head = b"\n".join(pop.top(int(number), 0)[1])
        found = re.search(rb"<(.*)@lab\.test>", head)
        token = found[1].decode() if found else ""
        self.tell("again" if token in self.tokens else "uidl", token=token, uidl=uidl)
        self.tokens[token] = uidl

    def run(self) -> None:
        """Poll in time until it is over."""
        while not _STOP.is_set():
            began = time.time()
            try:
                self.poll()
            except poplib.error_proto as error:
                # The library takes an end of the connection for an answer, too.
                gone = self.logged_in or "EOF" in str(error)
                self.tell("ended" if gone else "refused", said=str(error))
            except OSError as error:
                self.tell("unreachable", said=f"{type(error).__name__}: {error}")
            _STOP.wait(max(0.0, began + self.asked["every"] - time.time()))


def main() -> None:
    """Poll until the input ends."""
    poplib._MAXLINE = 1 << 16  # type: ignore[attr-defined] # the library's own limit is against hostile servers
    poller = Poller(json.loads(sys.stdin.readline()))
    polling = threading.Thread(target=poller.run)
    polling.start()
    sys.stdin.read()
    _STOP.set()
    polling.join()


main()
