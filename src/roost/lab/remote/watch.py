"""Watches for a new mailbox to be there: at every MX host, every DNS server, and its home.

In: address, hostname, mx and dns (IP addresses), password, ca, deadline (seconds); out: when each was so the first
time (seconds since the epoch), None where never. The home is asked once the others have it, since a login that fails
is answered late on purpose.
"""

import imaplib
import json
import smtplib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def has_name(server: str, hostname: str) -> bool:
    """Ask a DNS server for the CNAME."""
    labels = b"".join(bytes([len(part)]) + part for part in hostname.encode().split(b".")) + b"\0"
    query = struct.pack(">HHHHHH", 4711, 0, 1, 0, 0, 0) + labels + struct.pack(">HH", 5, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.sendto(query, (server, 53))
        reply = asking.recv(4096)
    _, flags, _, answers = struct.unpack(">HHHH", reply[:8])
    return bool(flags & 15 == 0 and answers > 0)


def is_taken(mx: str, address: str) -> bool:
    """Ask an MX host whether it takes mail for the address."""
    with smtplib.SMTP(mx, 25, local_hostname="client.outside.test", timeout=5) as smtp:
        smtp.ehlo()
        smtp.mail("jane@outside.test")
        return smtp.rcpt(address)[0] == 250


def _name_asker(server: str, hostname: str) -> Callable[[], bool]:
    return lambda: has_name(server, hostname)


def _mx_asker(mx: str, address: str) -> Callable[[], bool]:
    return lambda: is_taken(mx, address)


def watch(name: str, ask: Callable[[], bool], seen: dict[str, Any], deadline: float) -> None:
    """Ask until the answer is yes."""
    while time.time() < deadline:
        try:
            if ask():
                seen[name] = time.time()
                return
        except (OSError, smtplib.SMTPException):
            pass
        time.sleep(0.01)


def main() -> None:
    """Watch them all."""
    asked = json.load(sys.stdin)
    seen: dict[str, Any] = {}
    deadline = time.time() + asked["deadline"]
    questions: dict[str, Callable[[], bool]] = {
        f"dns {server}": _name_asker(server, asked["hostname"]) for server in asked["dns"]
    }
    questions |= {f"mx {server}": _mx_asker(server, asked["address"]) for server in asked["mx"]}
    threads = [threading.Thread(target=watch, args=(name, ask, seen, deadline)) for name, ask in questions.items()]
    print("watching", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context = ssl.create_default_context(cafile=asked["ca"])
    while "home" not in seen and time.time() < deadline:
        try:
            with imaplib.IMAP4_SSL(asked["hostname"], 993, ssl_context=context, timeout=20) as imap:
                imap.login(asked["address"], asked["password"])
                seen["home"] = time.time()
        except (OSError, imaplib.IMAP4.error) as error:
            seen["home error"] = str(error)
    print(
        json.dumps(
            {"seen": {name: seen.get(name) for name in [*questions, "home"]}, "error": seen.get("home error", "")}
        )
    )


main()
