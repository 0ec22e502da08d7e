"""Reads a mailbox as a mail program would: finds the personal hostname by DNS, verifies the certificate, logs in.

In: protocol (imap or pop3), hostname, user, password, CA file, a text that the wanted message holds (or none), how
long to wait for it; out: what was found with times, the messages in base64.
"""

import base64
import imaplib
import json
import poplib
import socket
import ssl
import sys
import time
from typing import Any


def by_imap(asked: dict[str, Any], context: ssl.SSLContext) -> list[bytes]:
    """Return the messages of INBOX that hold the text."""
    with imaplib.IMAP4_SSL(asked["hostname"], 993, ssl_context=context, timeout=asked["timeout"]) as imap:
        # LOGIN has no room for letters beyond ASCII (RFC 3501 section 6.2.3); SASL PLAIN has (RFC 4616).
        imap.authenticate("PLAIN", lambda _: f"\0{asked['user']}\0{asked['password']}".encode())
        imap.select(asked.get("folder", "INBOX"), readonly=True)
        _, data = imap.search(None, "ALL")
        found: list[bytes] = []
        for number in data[0].split():
            _, parts = imap.fetch(number, "(BODY.PEEK[])")
            found += [part[1] for part in parts if isinstance(part, tuple)]
        return found


def by_pop3(asked: dict[str, Any], context: ssl.SSLContext) -> list[bytes]:
    """Return the messages of the maildrop."""
    pop = poplib.POP3_SSL(asked["hostname"], 995, context=context, timeout=asked["timeout"])
    poplib._MAXLINE = 1 << 20  # type: ignore[attr-defined] # the library's own limit is against hostile servers; long lines are what we test
    try:
        pop.user(asked["user"])
        pop.pass_(asked["password"])
        count, _ = pop.stat()
        return [b"\r\n".join(pop.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
    finally:
        pop.quit()


def main() -> None:
    """Read, until the text is found or the time is over."""
    asked = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=asked["ca"])
    wanted = asked.get("text", "").encode()
    deadline = time.time() + asked.get("wait", 0)
    answer = {"ok": False, "error": "", "messages": [], "address": "", "canonical": ""}
    while True:
        began = time.time()
        try:
            canonical, _, addresses = socket.gethostbyname_ex(asked["hostname"])
            answer.update(canonical=canonical, address=addresses[0])
            found = (by_imap if asked["protocol"] == "imap" else by_pop3)(asked, context)
            matching = [message for message in found if wanted in message]
            answer.update(
                error="",
                count=len(found),
                began=began,
                seconds=round(time.time() - began, 4),
                read_at=time.time(),
                messages=[base64.b64encode(message).decode() for message in matching]
                if asked.get("bodies", True)
                else [],
                matching=len(matching),
                ok=bool(matching) or not wanted,
            )
        except (OSError, imaplib.IMAP4.error, poplib.error_proto) as error:
            answer.update(error=f"{type(error).__name__}: {error}", ok=False)
        if answer["ok"] or time.time() >= deadline:
            break
        time.sleep(0.05)
    print(json.dumps(answer))


main()
