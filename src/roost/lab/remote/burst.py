"""Sends many small messages as several outside mail servers at once would, and says when each was taken.

In: ``tag``, ``recipients`` (message n goes to recipient n modulo their number), ``count``, ``hosts`` (addresses, in
turn), ``connections``, ``size`` (bytes of body), ``per_second`` (0: as fast as possible), ``text`` (the lines of the
body, again and again); out: for each message its number, recipient, when it was taken (seconds since the epoch), or
what was answered instead.
"""

import json
import smtplib
import sys
import threading
import time
from typing import Any


def body(asked: dict[str, Any], number: int, recipient: str) -> bytes:
    """Return a message whose Message-ID holds tag and number."""
    tag, line = asked["tag"], asked["text"]
    head = (
        f"From: Jane <jane@outside.test>\r\nTo: {recipient}\r\nSubject: {tag} {number}\r\n"
        f"Message-ID: <{tag}.{number}.@outside.test>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\n"
    )
    whole: str = head + line * max(1, asked["size"] // len(line))
    return whole.encode()


def work(asked: dict[str, Any], numbers: list[int], done: list[dict[str, Any]], host: str, began: float) -> None:
    """Send these messages over one connection, opening it anew where it breaks."""
    smtp: smtplib.SMTP | None = None
    for number in numbers:
        if asked["per_second"]:
            time.sleep(max(0.0, began + number / asked["per_second"] - time.time()))
        recipient = asked["recipients"][number % len(asked["recipients"])]
        entry = {"number": number, "recipient": recipient, "sent": time.time(), "taken": None, "said": ""}
        try:
            if smtp is None:
                smtp = smtplib.SMTP(host, 25, local_hostname="client.outside.test", timeout=20)
            refused = smtp.sendmail("jane@outside.test", [recipient], body(asked, number, recipient))
            entry["taken"], entry["said"] = time.time(), str(refused or "")
        except (OSError, smtplib.SMTPException) as error:
            entry["said"] = f"{type(error).__name__}: {error}"
            if not isinstance(error, smtplib.SMTPRecipientsRefused):
                smtp = None
        done.append(entry)
    if smtp is not None:
        smtp.close()


def main() -> None:
    """Send them all."""
    asked = json.load(sys.stdin)
    done: list[dict[str, Any]] = []
    began = time.time()
    lanes = asked["connections"]
    threads = [
        threading.Thread(
            target=work,
            args=(
                asked,
                list(range(lane, asked["count"], lanes)),
                done,
                asked["hosts"][lane % len(asked["hosts"])],
                began,
            ),
        )
        for lane in range(lanes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seconds": time.time() - began, "messages": sorted(done, key=lambda entry: entry["number"])}))


main()
