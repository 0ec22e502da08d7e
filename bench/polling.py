"""Polling: what a session of a mail program costs a storage node, in four set-ups of one Dovecot.

    scripts/bench polling [--release trixie] [--seconds 15] [--rounds 3] [--quick]

A session is what phones and desktops do all day: a new TLS connection with a full handshake, verified under the
personal hostname, login, STATUS or STAT, logout. 200 users in turn, 10 messages each, in mdbox.

* *default*: Dovecot's own defaults, told only where accounts, mail and certificate are;
* *default, cheap hash*: the same with passwords in SSHA256, which cost nothing to verify;
* *roost*: the files of the driver;
* *proxy*: the same behind a Dovecot proxy, set up with the same care, TLS on both legs.

All but the second have the hashes that the controller makes (ARGON2ID, some 20 ms of a processor to verify). Defaults
verify the hash at every login; the driver's files let the auth process remember for an hour that a password was
right. So roost / default is worth what it says where people poll more often than once an hour, and roost / default,
cheap hash is what processes that are kept do alone.

Servers have one processor, the generator the others, so the rate is what one processor does. Beside it stands the
processor time that the kernel charged to the server's processes, which other work on the machine disturbs less. The
generator is well below all of its processors, or it would be measured instead: see its column.
Set-ups take turns in each round; the median round counts.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import clients, cpu, debian, setups
from real.dovecot.instance import Instance, TestCa, account, private_dovecot, remove_mail_user
from roost.domain.desired import NodeSettings, Value
from roost.drivers.dovecot import Dovecot, Layout
from roost.ports.host import Facts, File, Host

_USERS = 200
_MESSAGES = 10
_SETUPS = ("default", "default, cheap hash", "roost", "proxy")
_CHEAP = "default, cheap hash"
_GOAL_DEFAULT, _GOAL_PROXY = 4.0, 1.5


class DefaultDovecot(Dovecot):
    """Dovecot as it comes."""

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the least that it has to be told."""
        return setups.defaults(self._layout, facts)

    def _require_files(self, host: Host) -> None:
        """Files that are not the driver's do not tell who has read them."""

    def _translate(self, host: Host, changed: frozenset[str]) -> None:
        """There are no scripts for all users."""


@dataclass(frozen=True)
class Figure:
    """One round of one set-up."""

    rate: float
    cpu_ms: float
    generator: float


def cheap(password: str) -> str:
    """Return a hash that costs nothing to verify."""
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(f"{password}salt".encode()).digest() + b"salt").decode()


def _with(row: tuple[str, Value], fields: dict[str, str]) -> tuple[str, Value]:
    return row[0], {**row[1], **fields}


def fill(instance: Instance, users: int, **fields: str) -> tuple[str, ...]:
    """Make the accounts and give each some mail; return the login names."""
    names = [f"user{number:04d}@example.test" for number in range(1, users + 1)]
    instance.put(*[_with(account(name, number), fields) for number, name in enumerate(names, 1)])
    message = b"Subject: one of several\r\n\r\n" + b"some words in a line of mail\r\n" * 60
    for name in names:
        local = name.partition("@")[0]
        for _ in range(_MESSAGES):
            assert instance.deliver(f"{local}@{local}.pop.example.test", message)[0] == 250
    return tuple(names)


@contextmanager
def servers(root: str, ca: TestCa) -> Iterator[dict[str, tuple[Instance, ...]]]:
    """Run the four set-ups; each is named with its Dovecots, the one that clients meet first."""
    with ExitStack() as stack:
        default = stack.enter_context(private_dovecot(root, ca, DefaultDovecot))
        simple = stack.enter_context(private_dovecot(root, ca, DefaultDovecot))
        roost = stack.enter_context(private_dovecot(root, ca))

        class Proxy(Dovecot):
            """A Dovecot that only passes on."""

            def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
                return setups.proxy(super().render(settings, facts), roost.layout, facts)

        proxy = stack.enter_context(private_dovecot(root, ca, Proxy))
        yield {"default": (default,), _CHEAP: (simple,), "roost": (roost,), "proxy": (proxy, roost)}


def measure(chain: tuple[Instance, ...], target: clients.Target, seconds: float, processors: set[int]) -> Figure:
    """Poll for some seconds."""
    before = sum(cpu.seconds(each.services.pid) for each in chain)
    load = clients.poll(target, seconds, processors)
    after = sum(cpu.seconds(each.services.pid) for each in chain)
    return Figure(
        load.sessions / load.seconds,
        (after - before) * 1000 / load.sessions,
        load.cpu / load.seconds / len(processors),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    debian.add_option(parser)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
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
        chains = stack.enter_context(servers(root, ca))
        names = {name: fill(chains[name][0], users) for name in ("default", "roost")}
        names[_CHEAP] = fill(chains[_CHEAP][0], users, password=cheap("secret"))
        names["proxy"] = names["roost"]
        print(f"Dovecot {chains['roost'][0].facts.versions['dovecot']}, {users} users, ", end="")
        print(f"median of {options.rounds} rounds of {options.seconds:.0f} s", flush=True)
        figures = {name: rounds(name, chains, names, ca, others, options) for name in protocols}
    for protocol, found in figures.items():
        table(protocol, found)
    print()
    for protocol, found in figures.items():
        ratios(protocol, found)


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


def table(protocol: str, figures: dict[str, Figure]) -> None:
    """Print what was measured."""
    print(f"\n{protocol:20} sessions/s  server CPU ms/session  generator busy")
    for name, figure in figures.items():
        print(f"{name:20} {figure.rate:10.0f}  {figure.cpu_ms:21.2f}  {figure.generator:14.0%}")


def ratios(protocol: str, figures: dict[str, Figure]) -> None:
    """Print the ratios of sessions per processor second, and of sessions per second."""
    default, simple, roost, proxy = (figures[name] for name in _SETUPS)
    for what, other, goal in (
        (f"roost / {_CHEAP}", simple, 0.0),
        ("roost / default", default, _GOAL_DEFAULT),
        ("direct / by proxy", proxy, _GOAL_PROXY),
    ):
        ratio = other.cpu_ms / roost.cpu_ms
        said = f" (goal at least {goal}: {'met' if ratio >= goal else 'missed'})" if goal else ""
        print(f"{protocol}, sessions per CPU second, {what}: {ratio:.2f}{said}; ", end="")
        print(f"per second: {roost.rate / other.rate:.2f}")


if __name__ == "__main__":
    main()
