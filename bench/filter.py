"""Filter: mail through an MX whose filter judges it, against what rspamd does when it is asked itself.

    scripts/bench filter [--release trixie] [--messages 1000] [--rounds 5] [--quick]

*through Postfix*: a Postfix, an rspamd, a Redis and a Dovecot with the drivers' files; every message is taken at the
door, judged by the milter, and delivered by LMTP over TLS. *unjudged*: the same with the policy ``filter = off``.

*asked directly*: the same rspamd, with one more worker of its ordinary kind, is asked over HTTP (``/checkv2``) about
the same messages, as many at a time as there are SMTP sessions. It has the processor for itself, which the other side
shares with Postfix and Dovecot: the ratio says how much of rspamd's speed is left when it does mail.

Messages are of 2 kB, 10 sessions at once. DNS is answered at once by a server in this process, which says of nearly
everything that it does not exist. Servers have one processor, the generator the others. Set-ups take turns; medians
count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import cpu, debian
from bench.mail import addresses
from bench.mail import measure as through_postfix
from bench.senders import content
from real.common.machines import short_folder
from real.dovecot.instance import Instance as DovecotInstance
from real.dovecot.instance import TestCa, account, private_dovecot, remove_mail_user
from real.postfix.instance import Instance, node, row, stop_leftovers
from real.postfix.sinks import resolver
from real.rspamd.instance import MILTER, Filter
from roost.domain.cluster import Domain, Policy, Role
from roost.domain.desired import NodeSettings
from roost.drivers.postfix import Postfix
from roost.drivers.rspamd import Rspamd
from roost.host.line import hold
from roost.host.probe import greeting, listens
from roost.ports.driver import Batch
from roost.ports.host import Facts, File

_DOMAIN = "example.test"
_MX, _HOME = "mx1.cluster.test", "ms1.cluster.test"
_SESSIONS = 10
_WARM = 40
"""Messages after a change of policy that are not counted: Postfix's processes are new."""

_PORT = MILTER + 1


class Askable(Rspamd):
    """The driver's rspamd, with a worker that is asked over HTTP."""

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Add the worker."""
        main, *others = super().render(settings, facts)
        address = self._layout.milter.rpartition(":")[0]
        worker = f'worker "normal" {{\n  bind_socket = "{address}:{_PORT}";\n  count = 1;\n}}\n'
        return (replace(main, content=main.content + worker), *others)


@dataclass(frozen=True)
class Figure:
    """One round: messages a second, and milliseconds of rspamd's processor for each message."""

    rate: float
    rspamd_ms: float


@contextmanager
def running(root: str, ca: TestCa, users: int) -> Iterator[tuple[DovecotInstance, Instance, Filter]]:
    """Run them all."""
    subnet = f"127.{100 + os.getpid() % 100}.11"
    with ExitStack() as stack:
        home = stack.enter_context(private_dovecot(root, ca))
        home.put(*[account(address, number) for number, address in enumerate(addresses(users), 1)])
        nodes = (
            node(_MX, Role.MX, f"{subnet}.1"),
            node(_HOME, Role.STORAGE, home.address),
            node("client.cluster.test", Role.CONTROL, f"{subnet}.99"),
        )
        stack.enter_context(resolver(f"{subnet}.53", {"outside.test": f"{subnet}.99"}))
        judge = Filter(root, stack.enter_context(short_folder(root, "rf-")), nodes, _MX, f"{subnet}.53")
        judge.facts = replace(judge.facts, processors=1)
        judge.driver = Askable(listens, judge.layout)
        stack.callback(judge.memory.stop)
        stack.callback(judge.stop)
        judge.memory.bring()
        judge.bring()
        folder = stack.enter_context(short_folder(root, "rp-"))
        mx = Instance(root, folder, nodes, _MX, ca, judge.layout.milter)
        mx.cluster = replace(mx.cluster, domains=(Domain.parse(_DOMAIN),), policy=Policy())
        mx.layout = replace(mx.layout, lmtp=home.layout.lmtp)
        mx.driver = Postfix(greeting, hold, mx.layout)
        stack.callback(stop_leftovers, folder)
        stack.callback(mx.stop)
        mx.install(f"{subnet}.53")
        table = mx.table
        table.apply(Batch([row(address) for address in addresses(users)], 1, table.position()))
        yield home, mx, judge


def _ask(server: tuple[str, int], address: str, number: int) -> None:
    """Ask about one message, as Postfix would bring it."""
    to = address.encode()
    body = content(to, number, 2000)
    with socket.create_connection(server, 60) as line, line.makefile("rb") as lines:
        head = (
            b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nIP: 127.0.0.1\r\n"
            b"Helo: client.cluster.test\r\nFrom: jane@outside.test\r\nRcpt: %s\r\nQueue-Id: 4jZ%08X\r\n"
            b"Connection: close\r\n\r\n"
        ) % (len(body), to, number)
        line.sendall(head + body)
        assert b" 200 " in lines.readline(), "rspamd does not answer"
        assert b'"action"' in lines.read(), "rspamd says no action"


def _work(server: tuple[str, int], users: tuple[str, ...], messages: int, processors: set[int]) -> float:
    os.sched_setaffinity(0, processors)
    failed: list[BaseException] = []

    def lane(first: int) -> None:
        try:
            for number in range(first, messages, _SESSIONS):
                _ask(server, users[number % len(users)], number)
        except (OSError, AssertionError) as error:
            failed.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=lane, args=(number,)) for number in range(_SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return time.monotonic() - began


def asked_directly(judge: Filter, users: int, messages: int, processors: set[int]) -> Figure:
    """Ask rspamd about messages."""
    server = (judge.layout.milter.rpartition(":")[0], _PORT)
    before = cpu.seconds(judge.services.pid)  # type: ignore[attr-defined]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        seconds = pool.submit(_work, server, tuple(addresses(users)), messages, processors).result()
    spent = cpu.seconds(judge.services.pid) - before  # type: ignore[attr-defined]
    return Figure(messages / seconds, spent * 1000 / messages)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    debian.add_option(parser)
    parser.add_argument("--messages", type=int, default=1000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds of 60 messages")
    options = parser.parse_args()
    messages, rounds, users = options.messages, options.rounds, 500
    if options.quick:
        messages, rounds, users = 60, 2, 20
    processors = cpu.share()
    found: dict[str, list[Figure]] = {"through Postfix": [], "unjudged": [], "asked directly": []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = stack.enter_context(debian.root_of(options.release))
        stack.callback(remove_mail_user, root)
        home, mx, judge = stack.enter_context(running(root, TestCa(Path(folder)), users))
        print(
            f"rspamd {judge.facts.versions['rspamd']}, Postfix {mx.facts.versions['postfix']}, "
            f"median of {rounds} rounds of {messages} messages",
            flush=True,
        )
        for address in addresses(users):
            assert home.deliver(address)[0] == 250

        def sent(count: int) -> Figure:
            before = cpu.seconds(judge.services.pid)  # type: ignore[attr-defined]
            figure = through_postfix(mx, home, users, count, processors)
            spent = cpu.seconds(judge.services.pid) - before  # type: ignore[attr-defined]
            return Figure(figure.rate, spent * 1000 / count)

        def unjudged(count: int) -> Figure:
            mx.set_policy(filter="off")
            sent(_WARM)
            figure = sent(count)
            mx.set_policy(filter="on")
            sent(_WARM)
            return figure

        ways = {
            "through Postfix": sent,
            "unjudged": unjudged,
            "asked directly": lambda count: asked_directly(judge, users, count, processors),
        }
        for way in ways.values():
            way(min(messages, 200))  # caches are warm
        for turn in range(rounds):
            for name, way in ways.items() if turn % 2 == 0 else reversed(ways.items()):
                found[name].append(way(messages))
    report(found)


def report(found: dict[str, list[Figure]]) -> None:
    """Print a table and the ratios."""
    print(f"\n{'':16} messages/s   CPU ms a message of rspamd")
    median = {}
    for name, figures in found.items():
        of = median[name] = Figure(
            statistics.median(f.rate for f in figures), statistics.median(f.rspamd_ms for f in figures)
        )
        print(f"{name:16} {of.rate:10.0f} {of.rspamd_ms:28.2f}")
    mail, alone, directly = median["through Postfix"], median["unjudged"], median["asked directly"]
    pairs = [m.rate / d.rate for m, d in zip(found["through Postfix"], found["asked directly"], strict=True)]
    print(f"\nratio in each round, through Postfix / asked directly: {', '.join(f'{pair:.2f}' for pair in pairs)}")
    # Two servers on one processor cannot be quicker than one after the other.
    possible = 1 / (1 / alone.rate + 1 / directly.rate)
    print(f"messages/s, judged / what the processor could do at most: {mail.rate / possible:.2f}")
    print(f"CPU of rspamd for a message, through Postfix / asked directly: {mail.rspamd_ms / directly.rspamd_ms:.2f}")
    print(f"messages/s, through Postfix / asked directly: {mail.rate / directly.rate:.2f}")


if __name__ == "__main__":
    main()
