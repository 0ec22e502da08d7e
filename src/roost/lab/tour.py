"""The tour: a cluster from nothing, users, real mail from outside, read at the personal hostname; every hop shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roost.cli.trace import row_of
from roost.domain.trace import Passage
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.hops import Hop, hops
from roost.lab.lab import Lab
from roost.lab.mail import Found, Sent, message
from roost.lab.topology import Release, default_topology
from roost.wire.trace_messages import TraceView

_PASSWORD = "correct horse battery staple"  # noqa: S105 - of a user who exists for the length of a tour
_TRACE_SECONDS, _TRACE_EVERY = 20.0, 0.3
_USERS = ("mary", "o.neill", "jürgen", "sales-team", "zoë.ångström")
_MIXED: Mapping[str, Release] = {"mx2": "bookworm", "ns2": "bookworm", "ms2": "bookworm", "mx-backup": "bookworm"}

NEXT = f"""\
The cluster runs on. What to try next (every command again with --help):

  scripts/lab status                                    the machines
  scripts/lab shell control                             be the administrator: roost status, roost --help
  scripts/lab run control -- roost user add anna@{DOMAIN} --password-stdin <<< "her secret"
  scripts/lab run control -- roost trace john@{DOMAIN} --full
  scripts/lab run client -- dig john.pop.{DOMAIN}    where john's mailbox is, as the world sees it
  scripts/lab run mx1 -- postmap -q john@{DOMAIN} lmdb:/var/lib/roost/postfix/recipients
  scripts/lab kill ms2                                  a home dies; mail for the others flows on, its own waits
  scripts/lab boot ms2                                  and arrives
  scripts/lab kill control                              nobody notices
  scripts/lab stop                                      put everything away
"""


class _Screen:
    """Says what happens: a moving line on a terminal, plain lines elsewhere; ``step`` times a part of the tour."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
        self._began = time.monotonic()
        self._status: Any = None
        self._last = ""

    def say(self, text: str, fraction: float | None = None) -> None:
        """Show what is being done now."""
        shown = f"{text} ({fraction:.0%})" if fraction else text
        if self._status is not None:
            self._status.update(shown)
        elif text != self._last:
            self.console.print(f"          {text}", style="dim")
        self._last = text

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Do a part of the tour; prints its title and what it took."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(title) as self._status:
                yield
            self._status = None
        else:
            yield
        took = time.monotonic() - began
        self.console.print(
            f"[green]{time.monotonic() - self._began:6.1f} s[/green]  {title} [dim]({took:.1f} s)[/dim]"
        )

    def elapsed(self) -> float:
        """Return the seconds since the start of the tour."""
        return time.monotonic() - self._began


def walk(*, release: Release, mixed: bool, stop: bool, name: str) -> None:
    """Do the whole tour; see ``roost lab tour``."""
    screen = _Screen()
    lab = Lab(name)
    with screen.step("Ten machines booted"):
        lab.stop()
        lab.start(default_topology(release=release, releases=_MIXED if mixed else None), progress=screen.say)
    try:
        _stages(screen, lab)
    finally:
        if stop:
            lab.stop()
    if not stop:
        screen.console.print(NEXT, markup=False)


def _stages(screen: _Screen, lab: Lab) -> None:
    cluster = Cluster(lab)
    with screen.step("Cluster founded, every node joined and ready"):
        cluster.found(screen.say)
    with screen.step(f"john@{DOMAIN} added: alias, CNAME and account on every node"):
        screen.say("roost user add")
        added = cluster.add_user(f"john@{DOMAIN}", _PASSWORD, "--home", lab.machine("ms1").name)
    _show_receipt(screen.console, added)
    with screen.step("First mail sent from outside and read at john's own hostname"):
        sent, reads, message_id = _exchange(cluster, screen)
    first = screen.elapsed()
    _show_hops(screen.console, hops(sent, _machine(lab, sent.last["host"]), lab.machine("ms1"), message_id, reads))
    with screen.step("The same message as the log node tells of it: roost trace"):
        passages = _traced(cluster, message_id)
    _show_trace(screen.console, passages)
    with screen.step(f"{len(_USERS)} more users imported"):
        lines = "\n".join(["address,password", *(f"{user}@{DOMAIN},{_PASSWORD}" for user in _USERS)])
        cluster.control.write("/root/users.csv", f"{lines}\n", 0o600)
        cluster.roost("user", "import", "/root/users.csv")
    _show_users(screen.console, cluster.roost("user", "list"))
    screen.console.print(f"[bold green]First mail read {first:.0f} s after the start.[/bold green]\n")


def _machine(lab: Lab, name: str) -> Any:
    return next(machine for machine in lab.machines() if machine.name == name)


def _exchange(cluster: Cluster, screen: _Screen) -> tuple[Sent, dict[str, Found], str]:
    subject = f"Welcome to Roost {int(time.time())}"
    body = message(subject, "Dear John,\r\n\r\nthis came through the MX hosts.\r\n", to=f"john@{DOMAIN}")
    message_id = body.decode().partition("Message-ID: <")[2].partition(">")[0]
    screen.say("client looks up the MX hosts and sends")
    sent = cluster.client.send([f"john@{DOMAIN}"], body)
    if not sent.ok:
        raise RuntimeError(f"no MX host took the mail: {[attempt['reply'] for attempt in sent.attempts]}")
    reads = {}
    for title, protocol in (("IMAPS", "imap"), ("POP3S", "pop3")):
        screen.say(f"client reads at john.pop.{DOMAIN} by {title}")
        found = cluster.client.read(
            f"john.pop.{DOMAIN}", f"john@{DOMAIN}", _PASSWORD, protocol=protocol, text=message_id, wait=20
        )
        if not found.ok:
            raise RuntimeError(f"{title} did not show the mail: {found.error or f'{found.count} messages'}")
        reads[title] = found
    return sent, reads, message_id


def _traced(cluster: Cluster, message_id: str) -> tuple[Passage, ...]:
    """Return what is told of a message, once all is told: a line takes a moment from its machine to the log node."""
    end = time.monotonic() + _TRACE_SECONDS
    while True:
        said = cluster.roost("trace", f"john@{DOMAIN}", "--message-id", message_id)
        passages = TraceView.model_validate(said).passages
        if (passages and all(one.folder for one in passages)) or time.monotonic() > end:
            return tuple(passages)
        time.sleep(_TRACE_EVERY)


def _show_receipt(console: Console, added: Mapping[str, Any]) -> None:
    for sentence in added["did"]:
        console.print(f"          {sentence}", markup=False)
    table = Table("Node", "Table", "Applied", box=box.SIMPLE_HEAD)
    for line in (added["receipt"] or {"lines": []})["lines"]:
        table.add_row(line["node"], line["table"], "yes" if line["applied"] else "not yet")
    console.print(table)


def _show_hops(console: Console, found: list[Hop]) -> None:
    table = Table("ms", "Where", "What", box=box.SIMPLE_HEAD, title="The way of one message", title_justify="left")
    start = found[0].at
    for hop in found:
        table.add_row(f"{(hop.at - start) * 1000:.0f}", hop.where, hop.what)
    console.print(table)


def _show_trace(console: Console, passages: tuple[Passage, ...]) -> None:
    table = Table("Arrived", "From", "To", "State", "Detail", box=box.SIMPLE_HEAD)
    for passage in passages:
        table.add_row(*map(escape, row_of(passage)))
    console.print(table)


def _show_users(console: Console, users: list[Mapping[str, Any]]) -> None:
    table = Table("Address", "Personal hostname", "Home", box=box.SIMPLE_HEAD)
    for user in users:
        table.add_row(user["address"], user["hostname"], user["home"])
    console.print(table)
