"""Runs in a storage machine: fills mailboxes quickly, by Dovecot's own IMAP on standard input and output.

In: ``mailboxes`` (users), ``folders`` (name to the number of messages), ``size`` (bytes of a message's body), ``tag``
(the first part of the tokens), ``at_once`` (mailboxes at a time). Out: ``seconds``, ``messages``.

Every third message is ``\\Seen``, every tenth ``\\Flagged``, every fiftieth has a keyword, and each has a date of its
own. Hundreds of messages are one command (RFC 3502), which Dovecot saves in one transaction. The session is begun
without a password, as ``doveadm exec`` allows root.
"""

import base64
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_EACH = 500
_LINE = b"All work and no play makes a dull mail server.\r\n"


def encoded(name: str) -> bytes:
    """Return a folder's name as IMAP writes it: modified UTF-7 (RFC 3501 section 5.1.3), quoted."""
    out, foreign = b"", ""

    def flush() -> bytes:
        text = base64.b64encode(foreign.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return b"&" + text + b"-" if foreign else b""

    for char in name:
        if " " <= char <= "~":
            out += flush() + (b"&-" if char == "&" else char.encode())
            foreign = ""
        else:
            foreign += char
    return b'"' + (out + flush()).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def text(token: str, user: str, size: int) -> bytes:
    """Return a message."""
    head = (
        f"From: Jane <jane@outside.test>\r\nTo: {user}\r\nSubject: {token}\r\nMessage-ID: <{token}@lab.test>\r\n"
        f"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\ntoken {token} .\r\n"
    )
    return head.encode() + _LINE * (size // len(_LINE))


def flags(number: int) -> str:
    """Return the flags of a message."""
    every = {3: r"\Seen", 10: r"\Flagged", 50: "$Lab"}
    return " ".join(flag for step, flag in every.items() if number % step == 0)


def date(number: int) -> bytes:
    """Return a date of its own for each of a hundred thousand."""
    moment = time.gmtime(1_700_000_000 + 600 * number)
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', moment).encode()


def fill(asked: dict[str, Any], user: str) -> int:
    """Fill one mailbox; return the number of messages."""
    process = subprocess.Popen(["doveadm", "exec", "imap", "-u", user], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018

    def done() -> None:
        assert process.stdout is not None  # noqa: S101
        line = process.stdout.readline()
        while not line.startswith(b"a "):
            assert line, "Dovecot's imap has ended"  # noqa: S101
            line = process.stdout.readline()
        assert line.startswith((b"a OK", b"a NO [ALREADYEXISTS]")), line  # noqa: S101

    total = 0
    for place, (folder, count) in enumerate(asked["folders"].items()):
        name = encoded(folder)
        if folder != "INBOX":
            for word in (b"CREATE", b"SUBSCRIBE"):
                process.stdin.write(b"a " + word + b" " + name + b"\r\n")
                process.stdin.flush()
                done()
        for first in range(0, count, _EACH):
            process.stdin.write(b"a APPEND " + name)
            for number in range(first, min(first + _EACH, count)):
                body = text(f"{asked['tag']}.{place}.{number}", user, asked["size"])
                process.stdin.write(b" (%s) %s {%d+}\r\n" % (flags(number).encode(), date(number), len(body)) + body)
            process.stdin.write(b"\r\n")
            process.stdin.flush()
            done()
        total += count
    process.stdin.write(b"a LOGOUT\r\n")
    process.communicate()
    return total


def main() -> None:
    """Fill them all."""
    asked = json.load(sys.stdin)
    began = time.monotonic()
    with ThreadPoolExecutor(asked["at_once"]) as pool:
        total = sum(pool.map(lambda user: fill(asked, user), asked["mailboxes"]))
    print(json.dumps({"seconds": time.monotonic() - began, "messages": total}))


main()
