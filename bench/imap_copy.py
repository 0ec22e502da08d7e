"""Runs in the client machine: copies a mailbox by IMAP from one server to another, as imapsync and its like do.

In, JSON: ``source`` and ``target``, each with ``hostname``, ``user``, ``password``; ``ca``. Out: ``seconds``,
``messages``, ``octets``, ``again`` (messages that a mail program
with a cache loads a second time, since their folder has another UIDVALIDITY).

Folder by folder, messages are fetched fifty at a time and appended one by one with their flags and dates.
"""

import imaplib
import json
import re
import ssl
import sys
import time
from typing import Any

_EACH = 50
_NAME = re.compile(rb'\([^)]*\) "[^"]*" (.*)')


def connect(whom: dict[str, Any], context: ssl.SSLContext) -> imaplib.IMAP4_SSL:
    """Log in."""
    imap = imaplib.IMAP4_SSL(whom["hostname"], 993, ssl_context=context, timeout=600)
    imap.login(whom["user"], whom["password"])
    return imap


def copy_folder(source: imaplib.IMAP4_SSL, target: imaplib.IMAP4_SSL, name: str) -> tuple[int, int, int]:
    """Copy one folder; return messages, bytes, and how many a mail program loads again."""
    _, found = source.select(name, readonly=True)
    target.create(name)
    target.select(name, readonly=True)
    same = source.response("UIDVALIDITY")[1] == target.response("UIDVALIDITY")[1]
    count, octets = int(found[0] or 0), 0
    for first in range(1, count + 1, _EACH):
        _, data = source.fetch(f"{first}:{min(count, first + _EACH - 1)}", "(FLAGS INTERNALDATE BODY.PEEK[])")
        for part in data:
            if not isinstance(part, tuple):
                continue
            head, text = part
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)
            date = re.search(rb'INTERNALDATE ("[^"]*")', head)
            assert flags and date, head  # noqa: PT018
            kept = flags[1].replace(rb"\Recent", b"").decode().strip()
            typ, said = target.append(name, f"({kept})", date[1].decode(), text)
            assert typ == "OK", said
            octets += len(text)
    return count, octets, 0 if same else count


def main() -> None:
    """Copy it all."""
    imaplib._MAXLINE = 1 << 24  # type: ignore[attr-defined]
    asked = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=asked["ca"])
    source, target = (connect(asked[side], context) for side in ("source", "target"))
    began = time.monotonic()
    done = [0, 0, 0]
    for line in source.list()[1]:
        match = _NAME.match(line) if isinstance(line, bytes) else None
        assert match, line
        for place, more in enumerate(copy_folder(source, target, match[1].decode())):
            done[place] += more
    seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "messages": done[0], "octets": done[1], "again": done[2]}))


main()
