"""Delivers mail as outside servers do, through every MX host of the best preference, until it is told to stop.

In, one line: ``tag``, ``recipients`` (message n goes to recipient n modulo their number), ``per_second``, ``size``
(bytes of body). It stops when its input ends. Out, a line for each message: ``taken`` (answered 250), ``refused`` or
``unsure`` (the connection broke), with ``token``, ``recipient``, ``host``; see ``roost.lab.accounting``.
"""

import json
import smtplib
import subprocess
import sys
import threading
import time
from typing import Any

_STOP = threading.Event()
_PRINTING = threading.Lock()


def tell(what: str, **fields: Any) -> None:
    """Print an event."""
    with _PRINTING:
        print(json.dumps({"at": time.time(), "what": what, "by": "deliver", **fields}), flush=True)


def mx_hosts(domain: str) -> list[str]:
    """Return the MX hosts of the best preference."""
    out = subprocess.run(
        ["dig", "+short", "+timeout=2", "+tries=3", "MX", domain], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split() for line in out.splitlines() if len(line.split()) == 2 and line[0].isdigit()]
    best = min(int(preference) for preference, _ in pairs)
    return sorted(host.rstrip(".") for preference, host in pairs if int(preference) == best)


def message(token: str, recipient: str, size: int) -> bytes:
    """Return a message that bears its token twice."""
    head = (
        f"From: Jane <jane@outside.test>\r\nTo: {recipient}\r\nSubject: {token}\r\nMessage-ID: <{token}@lab.test>\r\n"
        f"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\ntoken {token} .\r\n"
    )
    return (head + "All work and no play makes a dull mail server.\r\n" * (size // 48)).encode()


def work(asked: dict[str, Any], host: str, lane: int, lanes: int) -> None:
    """Send every so manieth message through one host, in its time, over a connection that is kept."""
    smtp: smtplib.SMTP | None = None
    began, number = time.time(), lane
    while not _STOP.wait(max(0.0, began + number / asked["per_second"] - time.time())):
        recipient = asked["recipients"][number % len(asked["recipients"])]
        token = f"{asked['tag']}.{number}"
        about = {"op": "take", "token": token, "recipient": recipient, "host": host}
        try:
            if smtp is None:
                smtp = smtplib.SMTP(host, 25, local_hostname="client.outside.test", timeout=20)
            smtp.sendmail("jane@outside.test", [recipient], message(token, recipient, asked["size"]))
            tell("taken", **about)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            tell("refused", said=str(error), **about)
            # Postfix hangs up on those who were refused often.
            smtp = None
        except OSError as error:
            tell("unsure", said=f"{type(error).__name__}: {error}", **about)
            smtp = None
        number += lanes
    if smtp is not None:
        smtp.close()


def main() -> None:
    """Deliver until the input ends."""
    asked = json.loads(sys.stdin.readline())
    hosts = mx_hosts(asked["recipients"][0].rpartition("@")[2])
    tell("ready", hosts=hosts)
    lanes = [threading.Thread(target=work, args=(asked, host, lane, len(hosts))) for lane, host in enumerate(hosts)]
    for lane in lanes:
        lane.start()
    sys.stdin.read()
    _STOP.set()
    for lane in lanes:
        lane.join()


main()
