"""Sends one message as an outside mail server would: asks DNS for the MX hosts, tries them in order of preference.

In: sender, recipients (of one domain), body (base64), esmtp options; out: for each attempt the host, the address and
what it answered, with times. Greets every MX host with its own name and uses STARTTLS where it is offered.
"""

import base64
import json
import random
import smtplib
import socket
import subprocess
import sys
import time
from typing import Any


def mx_hosts(domain: str) -> list[str]:
    """Return the domain's MX hosts, the best first, equal ones in random order (RFC 5321 section 5.1)."""
    out = subprocess.run(
        ["dig", "+short", "+timeout=2", "+tries=3", "MX", domain], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split() for line in out.splitlines() if len(line.split()) == 2 and line[0].isdigit()]
    return [host.rstrip(".") for _, _, host in sorted((int(p), random.random(), host) for p, host in pairs)]


def attempt(host: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Try one host; return what happened."""
    began = time.time()
    tried: dict[str, Any] = {"host": host, "address": "", "refused": {}, "reply": "", "ok": False}
    try:
        tried["address"] = socket.gethostbyname(host)
        with smtplib.SMTP(
            tried["address"], 25, local_hostname="client.outside.test", timeout=asked["timeout"]
        ) as smtp:
            smtp.ehlo()
            if asked.get("starttls", True) and smtp.has_extn("starttls"):
                smtp.starttls()
                smtp.ehlo()
            code, text = (
                smtp.docmd("MAIL", f"FROM:<{asked['sender']}> {asked.get('options', '')}".rstrip())
                if asked["sender"].isascii()
                else raw(smtp, f"MAIL FROM:<{asked['sender']}> {asked.get('options', '')}")
            )
            if code != 250:
                raise smtplib.SMTPResponseException(code, text)
            accepted = 0
            for recipient in asked["recipients"]:
                code, text = raw(smtp, f"RCPT TO:<{recipient}>")
                if code in (250, 251):
                    accepted += 1
                else:
                    tried["refused"][recipient] = f"{code} {text.decode(errors='replace')}"
            if accepted:
                code, text = smtp.data(base64.b64decode(asked["body"]))
                tried["reply"] = f"{code} {text.decode(errors='replace')}"
                tried["ok"] = code == 250
            else:
                tried["reply"] = "no recipient was accepted"
                tried["ok"] = False
                tried["final"] = all(reply.startswith("5") for reply in tried["refused"].values())
    except smtplib.SMTPResponseException as error:
        tried["reply"] = f"{error.smtp_code} {error.smtp_error!r}"
        tried["final"] = error.smtp_code >= 500
    except (OSError, smtplib.SMTPException) as error:
        tried["reply"] = f"{type(error).__name__}: {error}"
    tried["began"], tried["seconds"] = began, round(time.time() - began, 4)
    return tried


def raw(smtp: smtplib.SMTP, line: str) -> tuple[int, bytes]:
    """Send one command in UTF-8 (RFC 6531) and return the reply."""
    assert smtp.sock is not None  # noqa: S101 - it is connected
    smtp.sock.sendall(line.rstrip().encode() + b"\r\n")
    return smtp.getreply()


def main() -> None:
    """Send."""
    asked = json.load(sys.stdin)
    began = time.time()
    hosts = asked.get("hosts") or mx_hosts(asked["recipients"][0].rsplit("@", 1)[1])
    looked = round(time.time() - began, 4)
    attempts = []
    for host in hosts:
        attempts.append(attempt(host, asked))
        if attempts[-1]["ok"] or attempts[-1].get("final"):
            break
    print(
        json.dumps(
            {"mx": hosts, "looked_up_in": looked, "attempts": attempts, "ok": bool(attempts) and attempts[-1]["ok"]}
        )
    )


main()
