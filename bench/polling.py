"""Polling: what a session of a mail program costs a storage node, in three set-ups of one Dovecot.

    .venv/bin/python -m bench.polling [--root /path/to/another/debian] [--seconds 20] [--rounds 3]

A session is what phones and desktops do all day: a new TLS connection with a full handshake, verified under the
personal hostname, login, STATUS or STAT, logout. Every account has the hash that the controller makes (ARGON2ID).

* *default*: Dovecot's own defaults, told only where accounts, mail and certificate are;
* *roost*: the files of the driver;
* *proxy*: the same behind a Dovecot proxy, set up with the same care, TLS on both legs.

Servers have one processor, the generator the others, so the rate is what one processor does. Beside it stands the
processor time that the kernel charged to the server's processes, which other work on the machine disturbs less.
Set-ups take turns in each round; the median round counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.dovecot.instance import Instance, TestCa, account, private_dovecot, remove_mail_user

from bench import clients, setups
from roost.domain.desired import NodeSettings
from roost.drivers.dovecot import Dovecot, Layout
from roost.ports.host import Facts, File

_USERS = 200
_MESSAGES = 10
_TICK = os.sysconf("SC_CLK_TCK")
_SETUPS = ("default", "roost", "proxy")


class DefaultDovecot(Dovecot):
    """Dovecot as it comes."""

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the least that it has to be told."""
        return setups.defaults(self._layout, facts)


@dataclass(frozen=True)
class Figure:
    """One round of one set-up."""

    rate: float
    cpu_ms: float
    generator: float


def cpu_seconds(instance: Instance) -> float:
    """Return the processor seconds of a Dovecot and of all its processes, those that have ended too."""
    master = instance.services.pid
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == master or int(fields[1]) == master:
            total += sum(int(field) for field in fields[11:15])
    return total / _TICK


def fill(instance: Instance) -> tuple[str, ...]:
    """Make the accounts and give each some mail; return the login names."""
    names = [f"user{number:04d}@example.test" for number in range(1, _USERS + 1)]
    instance.put(*[account(name, number) for number, name in enumerate(names, 1)])
    message = b"Subject: one of several\r\n\r\n" + b"some words in a line of mail\r\n" * 60
    for name in names:
        local = name.partition("@")[0]
        for _ in range(_MESSAGES):
            assert instance.deliver(f"{local}@{local}.pop.example.test", message)[0] == 250
    return tuple(names)


@contextmanager
def servers(root: str, ca: TestCa) -> Iterator[dict[str, tuple[Instance, ...]]]:
    """Run the three set-ups; each is named with its Dovecots, the one that clients meet first."""
    with ExitStack() as stack:
        default = stack.enter_context(private_dovecot(root, ca, DefaultDovecot))
        roost = stack.enter_context(private_dovecot(root, ca))

        class Proxy(Dovecot):
            """A Dovecot that only passes on."""

            def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
                return setups.proxy(super().render(settings, facts), roost.layout, facts)

        proxy = stack.enter_context(private_dovecot(root, ca, Proxy))
        yield {"default": (default,), "roost": (roost,), "proxy": (proxy, roost)}


def measure(chain: tuple[Instance, ...], target: clients.Target, seconds: float, processors: set[int]) -> Figure:
    """Poll for some seconds."""
    before = sum(cpu_seconds(each) for each in chain)
    load = clients.poll(target, seconds, processors)
    after = sum(cpu_seconds(each) for each in chain)
    return Figure(
        load.sessions / load.seconds,
        (after - before) * 1000 / load.sessions,
        load.cpu / load.seconds / len(processors),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", default="", help="root folder of another Debian, whose Dovecot is measured")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    first, *others = sorted(os.sched_getaffinity(0))
    assert others, "two processors are needed: one for the servers, one for the generator"
    # Inherited by every Dovecot that is started below.
    os.sched_setaffinity(0, {first})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.callback(remove_mail_user, options.root)
        ca = TestCa(Path(folder))
        chains = stack.enter_context(servers(options.root, ca))
        users = {}
        for name in ("default", "roost"):
            users[name] = fill(chains[name][0])
        users["proxy"] = users["roost"]
        print(f"Dovecot {chains['roost'][0].facts.versions['dovecot']}, {_USERS} users, ", end="")
        print(f"median of {options.rounds} rounds of {options.seconds:.0f} s")
        for protocol in ("imap", "pop3"):
            report(protocol, rounds(protocol, chains, users, ca, set(others), options))


def rounds(
    protocol: str,
    chains: dict[str, tuple[Instance, ...]],
    users: dict[str, tuple[str, ...]],
    ca: TestCa,
    processors: set[int],
    options: argparse.Namespace,
) -> dict[str, Figure]:
    """Return the median figures of each set-up."""
    targets = {}
    for name in _SETUPS:
        layout: Layout = chains[name][0].layout
        port = layout.imaps if protocol == "imap" else layout.pop3s
        targets[name] = clients.Target(
            protocol, layout.probe, port, "john.pop.example.test", str(ca.path), users[name], "secret"
        )
        clients.visit(targets[name])
    found: dict[str, list[Figure]] = {name: [] for name in _SETUPS}
    for _ in range(options.rounds):
        for name in _SETUPS:
            found[name].append(measure(chains[name], targets[name], options.seconds, processors))
    return {
        name: Figure(
            statistics.median(f.rate for f in figures),
            statistics.median(f.cpu_ms for f in figures),
            statistics.median(f.generator for f in figures),
        )
        for name, figures in found.items()
    }


def report(protocol: str, figures: dict[str, Figure]) -> None:
    """Print a table and the two ratios, by processor time and by rate."""
    print(f"\n{protocol:8}  sessions/s  server CPU ms/session  generator busy")
    for name, figure in figures.items():
        print(f"{name:8}  {figure.rate:10.0f}  {figure.cpu_ms:21.2f}  {figure.generator:14.0%}")
    default, roost, proxy = (figures[name] for name in _SETUPS)
    print(f"sessions per CPU second, roost / default: {default.cpu_ms / roost.cpu_ms:.2f}", end="")
    print(f"   (sessions per second: {roost.rate / default.rate:.2f})")
    print(f"sessions per CPU second, direct / by proxy: {proxy.cpu_ms / roost.cpu_ms:.2f}", end="")
    print(f"   (sessions per second: {roost.rate / proxy.rate:.2f})")


if __name__ == "__main__":
    main()
