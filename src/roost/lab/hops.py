"""The way of one message through the cluster, told by the machines' own journals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from roost.lab.machine import Machine
from roost.lab.mail import Found, Sent

_QUEUED = re.compile(r"queued as (\w+)")
_DELIVERED = re.compile(
    r"^(?P<id>\w+): to=<(?P<to>[^>]*)>, orig_to=<(?P<orig>[^>]*)>, relay=(?P<relay>[^,]*), .*"
    r"status=(?P<status>\w+) \((?P<said>.*)\)$"
)
_TLS = re.compile(r"^(?P<how>\w+) TLS connection established to (?P<relay>[^:]*): (?P<what>.*)$")


@dataclass(frozen=True)
class Hop:
    """Something that happened to the message: when (seconds since the epoch), on which machine, in words."""

    at: float
    where: str
    what: str


def hops(sent: Sent, mx: Machine, home: Machine, message_id: str, reads: dict[str, Found]) -> list[Hop]:
    """Return the hops in the order of time. ``reads`` maps a protocol's name to what was read with it."""
    door = sent.last
    began = float(door["began"])
    found = [
        Hop(began - sent.looked_up_in, "client", f"asks DNS where mail for the domain goes: {', '.join(sent.mx)}"),
        Hop(began, "client", f"connects to {door['host']} ({door['address']})"),
        Hop(began + float(door["seconds"]), "client", f"is told: {door['reply']}"),
    ]
    queued = _QUEUED.search(door["reply"])
    if queued:
        found += _of_mx(mx, queued[1], began)
    found += _of_home(home, message_id, began)
    for protocol, read in reads.items():
        opened = read.read_at - read.seconds
        found.append(Hop(opened, "client", f"asks DNS for the personal hostname: CNAME {read.canonical}"))
        found.append(Hop(read.read_at, "client", f"reads it by {protocol} at {read.address}, certificate verified"))
    return sorted(found, key=lambda hop: hop.at)


def _of_mx(mx: Machine, queue_id: str, since: float) -> Iterator[Hop]:
    for at, _, text in journal(mx, since):
        if text.startswith(f"{queue_id}: client="):
            yield Hop(at, mx.short, f"takes it from {text.partition('client=')[2]} as {queue_id}")
        elif match := _TLS.match(text):
            yield Hop(at, mx.short, f"{match['how']} TLS to {match['relay']}: {match['what'].partition(' with ')[0]}")
        elif (match := _DELIVERED.match(text)) and match["id"] == queue_id:
            yield Hop(at, mx.short, f"alias {match['orig']} → {match['to']}")
            yield Hop(at, mx.short, f"next hop by LMTP {match['relay']}: {match['status']} ({match['said']})")


def _of_home(home: Machine, message_id: str, since: float) -> Iterator[Hop]:
    for at, program, text in journal(home, since):
        if message_id in text:
            yield Hop(at, home.short, f"{program}: {text}")


def journal(machine: Machine, since: float) -> list[tuple[float, str, str]]:
    """Return a machine's journal from a moment on: (time, program, text)."""
    ran = machine.run(
        ["journalctl", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", f"--since=@{since - 1:.0f}"]
    )
    entries = []
    for line in ran.stdout.splitlines():
        entry = json.loads(line)
        text = entry.get("MESSAGE")
        if isinstance(text, str):
            entries.append((int(entry["__REALTIME_TIMESTAMP"]) / 1e6, entry.get("SYSLOG_IDENTIFIER") or "", text))
    return entries
