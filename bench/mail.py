"""Mail: what the way through an MX of Roost to a home costs, against a bare Postfix with one fixed next hop.

    scripts/bench mail [--release trixie] [--messages 2000] [--rounds 5] [--quick]

*roost*: a Postfix with the driver's files. Its tables are LMDB files with a row for each of 100,000 mailboxes: it
looks up refusals, rewrites the recipient to his personal address, and looks up the next hop of his hostname.

*bare*: the same Postfix with its defaults, one ``relay_domains``, one ``relay_transport``; it asks no table.

The same on both sides: the binary, ``master.cf``, queue on the same file system, the generator and its messages (2
kB, 10 sessions of 20 messages), a log file, LMTP to the same Dovecot (the driver's files) and the same mailboxes,
over TLS that verifies the certificate under the home's name, with connections that are kept. ``bare, no reuse`` is
the same without ``lmtp_tls_connection_reuse``, which is off by default: it shows what that one setting is worth.

Not in it: the spam filter, and STARTTLS at the door (offered by both, not used by the generator).

Servers have one processor, the generator the others. A round is over when the queue is empty; every message must
then have been delivered. Beside the rate stands the processor time that the kernel charged to Postfix, and to
Postfix and Dovecot together, which other work on the machine disturbs less. Set-ups take turns; medians count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import cpu, debian, setups
from bench.senders import Sending, send
from real.common.machines import short_folder
from real.dovecot.instance import Instance as DovecotInstance
from real.dovecot.instance import TestCa, account, private_dovecot, remove_mail_user
from real.postfix.instance import Instance, node, row, stop_leftovers
from roost.domain.cluster import Domain, Role
from roost.domain.desired import NodeSettings
from roost.drivers.postfix import Postfix
from roost.host.line import hold
from roost.host.probe import greeting
from roost.ports.driver import Batch
from roost.ports.host import Facts, File, Host

_GOAL = 0.95
_DOMAIN = "example.test"
_MX, _HOME = "mx1.cluster.test", "ms1.cluster.test"
_SETUPS = ("bare", "roost", "bare, no reuse")


class Bare(Postfix):
    """Postfix as it comes."""

    reuse = True

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the least that it has to be told."""
        files = super().render(settings, facts)
        return setups.bare_postfix(files, self._layout, _DOMAIN, _HOME, reuse=self.reuse)

    def _try_door(self, host: Host) -> None:
        """With its defaults an SMTP server by itself waits for a proxymap(8) that does not run yet."""


class BareNoReuse(Bare):
    """The same, each delivery over a connection of its own."""

    reuse = False


@dataclass(frozen=True)
class Figure:
    """One round of one set-up: messages a second, and milliseconds of processor for each message."""

    rate: float
    postfix_ms: float
    all_ms: float
    generator: float


@contextmanager
def running(root: str, ca: TestCa, rows: int, users: int) -> Iterator[tuple[DovecotInstance, dict[str, Instance]]]:
    """Run the Dovecot and the three Postfixes."""
    subnet = f"127.{100 + os.getpid() % 100}.9"
    kinds = dict(zip(_SETUPS, (Bare, Postfix, BareNoReuse), strict=True))
    with ExitStack() as stack:
        home = stack.enter_context(private_dovecot(root, ca))
        home.put(*[account(address, number) for number, address in enumerate(addresses(users), 1)])
        made = {}
        for last, (name, kind) in enumerate(kinds.items(), 1):
            # Names that are asked for are in /etc/hosts: no DNS is in it.
            nodes = (
                node(_MX, Role.MX, f"{subnet}.{last}"),
                node(_HOME, Role.STORAGE, home.address),
                node("client.cluster.test", Role.CONTROL, f"{subnet}.99"),
            )
            folder = stack.enter_context(short_folder(root, "rp-"))
            instance = Instance(root, folder, nodes, _MX, ca)
            instance.cluster = replace(instance.cluster, domains=(Domain.parse(_DOMAIN),))
            instance.layout = replace(instance.layout, lmtp=home.layout.lmtp)
            instance.driver = kind(greeting, hold, instance.layout)
            stack.callback(stop_leftovers, folder)
            stack.callback(instance.stop)
            instance.install("127.0.0.1")
            if name == "roost":
                table = instance.table
                table.apply(Batch([row(address) for address in addresses(rows)], 1, table.position()))
            made[name] = instance
        yield home, made


def addresses(count: int) -> list[str]:
    """Return the first users' addresses."""
    return [f"user{number:06d}@{_DOMAIN}" for number in range(count)]


def _queued(instance: Instance) -> bool:
    """Say whether any message is in the queue; looks at its folders only."""
    for name in ("incoming", "active", "deferred", "maildrop"):
        for _, _, files in os.walk(Path(instance.layout.queue) / name):
            if files:
                return True
    return False


def _master(instance: Instance) -> int:
    return int((Path(instance.layout.queue) / "pid/master.pid").read_text())


def measure(instance: Instance, home: DovecotInstance, users: int, messages: int, processors: set[int]) -> Figure:
    """Send messages and wait until the last is delivered."""
    sending = Sending(
        (instance.address, instance.layout.smtp),
        instance.address.rpartition(".")[0] + ".99",
        tuple(addresses(users)),
        messages,
    )
    log = Path(instance.layout.log)
    size = log.stat().st_size
    postfix, dovecot = cpu.seconds(_master(instance)), cpu.seconds(home.services.pid)
    sent = send(sending, processors)
    rest = time.monotonic()
    while _queued(instance):
        assert time.monotonic() - rest < 120, instance.reasons()[:3]
        time.sleep(0.01)
    seconds = sent.seconds + time.monotonic() - rest
    postfix = cpu.seconds(_master(instance)) - postfix
    dovecot = cpu.seconds(home.services.pid) - dovecot
    with log.open() as lines:
        lines.seek(size)
        delivered = sum("/lmtp[" in line and "status=sent" in line for line in lines)
    assert delivered == messages, f"{delivered} of {messages} messages were delivered"
    return Figure(
        messages / seconds,
        postfix * 1000 / messages,
        (postfix + dovecot) * 1000 / messages,
        sent.cpu / sent.seconds / len(processors),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    debian.add_option(parser)
    parser.add_argument("--messages", type=int, default=2000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds of 100 messages, 1,000 mailboxes")
    options = parser.parse_args()
    messages, rounds, rows, users = options.messages, options.rounds, 100_000, 500
    if options.quick:
        messages, rounds, rows, users = 100, 2, 1000, 20
    processors = cpu.share()
    found: dict[str, list[Figure]] = {name: [] for name in _SETUPS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = stack.enter_context(debian.root_of(options.release))
        stack.callback(remove_mail_user, root)
        ca = TestCa(Path(folder))
        home, made = stack.enter_context(running(root, ca, rows, users))
        versions = f"Postfix {made['roost'].facts.versions['postfix']}, Dovecot {home.facts.versions['dovecot']}"
        print(f"{versions}, {rows} mailboxes, median of {rounds} rounds of {messages} messages", flush=True)
        once = partial(measure, home=home, users=users, processors=processors)
        for address in addresses(users):
            # Two first deliveries at once would both make the mailbox, and Dovecot would answer one of them by 451.
            assert home.deliver(address)[0] == 250
        for name in _SETUPS:
            once(made[name], messages=users)  # caches are warm
        for turn in range(rounds):
            # Mailboxes grow from round to round, and so what a delivery costs: who is first changes.
            for name in _SETUPS if turn % 2 == 0 else reversed(_SETUPS):
                found[name].append(once(made[name], messages=messages))
    report(found)


def report(found: dict[str, list[Figure]]) -> None:
    """Print a table and the ratios."""
    print(f"\n{'':16} messages/s   CPU ms a message: Postfix  with Dovecot   generator busy")
    median = {}
    for name, figures in found.items():
        of = median[name] = Figure(
            statistics.median(f.rate for f in figures),
            statistics.median(f.postfix_ms for f in figures),
            statistics.median(f.all_ms for f in figures),
            statistics.median(f.generator for f in figures),
        )
        print(f"{name:16} {of.rate:10.0f} {of.postfix_ms:26.2f} {of.all_ms:13.2f} {of.generator:16.0%}")
    bare, roost, apart = (median[name] for name in _SETUPS)
    pairs = [r.rate / b.rate for r, b in zip(found["roost"], found["bare"], strict=True)]
    print(f"\nratio of rates in each round, roost / bare: {', '.join(f'{pair:.2f}' for pair in pairs)}")
    print(f"against bare without reuse: messages/s {roost.rate / apart.rate:.2f}, ", end="")
    print(f"messages per CPU second {apart.all_ms / roost.all_ms:.2f}")
    print(f"messages per CPU second of Postfix alone, roost / bare: {bare.postfix_ms / roost.postfix_ms:.2f}")
    for what, ratio in (
        ("messages per CPU second of Postfix and Dovecot", bare.all_ms / roost.all_ms),
        ("messages/s", roost.rate / bare.rate),
    ):
        print(f"{what}, roost / bare: {ratio:.2f} (goal at least {_GOAL}: {'met' if ratio >= _GOAL else 'missed'})")


if __name__ == "__main__":
    main()
