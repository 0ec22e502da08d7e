"""Usage: what it costs a storage node to know what each mailbox is used.

    scripts/bench usage [--release trixie] [--seconds 10] [--rounds 5] [--quick]

Polling sessions as in the benchmark *polling* (new TLS connection, login, STATUS or STAT, logout) on two Dovecots
with the driver's files, one without the metric ``usage``, turn by turn in each round. Told are, for each session, the
processor time

* of Dovecot with all its processes: what both cost varies from round to round by more than measuring does, so the
  difference says little on a busy machine;
* of the stats process alone, which receives, filters and writes the events; on the bare one it does next to nothing;
* of the agent: lines read, kept as rates in its file, and what is to be told made of it. Each session of a round is
  taken to be another mailbox's, and each round to be five minutes later: everybody polls every five minutes.

The share is (stats process, measured - bare, + agent) / all of Dovecot, bare. What a process of Dovecot takes to send
its event is in none of these but in all of Dovecot.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import clients, cpu, debian
from bench.polling import fill
from real.dovecot.instance import Instance, TestCa, private_dovecot, remove_mail_user
from roost.agent.usage.book import Book
from roost.domain.desired import NodeSettings
from roost.drivers.dovecot import Dovecot
from roost.ports.host import Facts, File
from roost.wire.usage_messages import PATTERNS, ROWS, UsageReport, row_of

_USERS = 200
_GOAL = 0.02
_METRIC = re.compile(r"^(event_exporter|metric) usage \{\n(.*\n)*?\}\n", re.MULTILINE)
_EXECUTABLE = re.compile(r"^  executable = stats .*\n", re.MULTILINE)


class BareDovecot(Dovecot):
    """Dovecot as the driver sets it up, but that nobody is told of sessions."""

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files without the metric."""
        return tuple(
            replace(file, content=_EXECUTABLE.sub("", _METRIC.sub("", file.content)))
            if "metric" in file.content
            else file
            for file in super().render(settings, facts)
        )


@dataclass(frozen=True)
class Figure:
    """Milliseconds of a processor for each session: all of Dovecot, its stats process, the agent."""

    all: float
    stats: float
    agent: float


def stats_seconds(master: int) -> float:
    """Return the processor seconds of a Dovecot's stats process."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if "(stats)" in text and int(fields[1]) == master:
            return cpu.seconds_of(fields)
    return 0.0


def agent_seconds(instance: Instance, folder: Path, place: int) -> tuple[float, int]:
    """Return the processor seconds of reading what was told, keeping it and making a report; and the next place."""
    teller = instance.driver.usage(instance.host)
    book = Book(folder / "usage.db")
    at = float(book.kept("bench") or 1.8e9) + 300
    book.keep("bench", str(at))
    spent = 0.0
    while True:
        began = time.thread_time()
        found = teller.read(place)
        spent += time.thread_time() - began
        deeds = [
            deed._replace(number=deed.number * 10_000 + session, counts=deed.counts._replace(logins=1))
            for deed in found.deeds
            for session in range(int(deed.counts.logins))
        ]
        began = time.thread_time()
        book.take(deeds, found.place, at)
        loads = book.loads(at, ROWS, PATTERNS)
        report = UsageReport(
            at=int(at // 60),
            loads=[row_of(load) for load in loads],
            patterns={load.number: load.pattern for load in loads if load.pattern},
        )
        report.model_dump_json()
        book.told(loads, at)
        spent += time.thread_time() - began
        place = found.place
        if not found.more:
            break
    book.close()
    return spent, place


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    debian.add_option(parser)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of 1 s with 10 users, IMAP only")
    options = parser.parse_args()
    users, protocols = _USERS, ("imap", "pop3")
    if options.quick:
        options.seconds, options.rounds, users, protocols = 1.0, 1, 10, ("imap",)
    others = cpu.share()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = stack.enter_context(debian.root_of(options.release))
        stack.callback(remove_mail_user, root)
        ca = TestCa(Path(folder))
        bare = stack.enter_context(private_dovecot(root, ca, BareDovecot))
        measured = stack.enter_context(private_dovecot(root, ca))
        names = fill(bare, users)
        fill(measured, users)
        _, place = agent_seconds(measured, Path(folder), 0)
        print(f"Dovecot {bare.facts.versions['dovecot']}, {users} users, ", end="")
        print(f"median of {options.rounds} rounds of {options.seconds:.0f} s", flush=True)
        for protocol in protocols:
            found: dict[str, list[Figure]] = {"bare": [], "measured": []}
            for _ in range(options.rounds):
                for name, instance in (("bare", bare), ("measured", measured)):
                    figure, place = measure(name, instance, protocol, names, place, Path(folder), ca, others, options)
                    found[name].append(figure)
            tell(protocol, {name: median(figures) for name, figures in found.items()})


def measure(
    name: str,
    instance: Instance,
    protocol: str,
    users: tuple[str, ...],
    place: int,
    folder: Path,
    ca: TestCa,
    processors: set[int],
    options: argparse.Namespace,
) -> tuple[Figure, int]:
    """Poll one of the two for some seconds, and let the agent read what was told."""
    layout = instance.layout
    port = layout.imaps if protocol == "imap" else layout.pop3s
    target = clients.Target(protocol, layout.probe, port, "john.pop.example.test", str(ca.path), users, "secret")
    clients.visit(target)
    before, stats = cpu.seconds(instance.services.pid), stats_seconds(instance.services.pid)
    load = clients.poll(target, options.seconds, processors)
    each = 1000 / load.sessions
    after, stats_after = cpu.seconds(instance.services.pid), stats_seconds(instance.services.pid)
    agent = 0.0
    if name == "measured":
        time.sleep(0.5)
        spent, place = agent_seconds(instance, folder, place)
        # The visit before was read too.
        agent = spent * 1000 / (load.sessions + len(users))
    return Figure((after - before) * each, (stats_after - stats) * each, agent), place


def median(figures: list[Figure]) -> Figure:
    """Return the median of each."""
    return Figure(
        *(statistics.median(getattr(figure, name) for figure in figures) for name in ("all", "stats", "agent"))
    )


def tell(protocol: str, figures: dict[str, Figure]) -> None:
    """Print what was measured."""
    print(f"\n{protocol:10} Dovecot, ms/session  its stats process     agent")
    for name, figure in figures.items():
        print(f"{name:10} {figure.all:19.2f}  {figure.stats:17.4f}  {figure.agent:8.4f}")
    bare, measured = figures["bare"], figures["measured"]
    share = (measured.stats - bare.stats + measured.agent) / bare.all
    print(f"{protocol}, share of the daemon's processor time: {share:.2%}", end="")
    print(f" (goal at most {_GOAL:.0%}: {'met' if share <= _GOAL else 'missed'}); ", end="")
    print(f"all of Dovecot, measured / bare: {measured.all / bare.all:.3f}", flush=True)


if __name__ == "__main__":
    main()
