"""Moves in scenarios: asked for by the command, waited for by what it shows, accounted for message by message."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from tests.cluster.deliveries import doubtful, waiting
from tests.cluster.users import PASSWORD, fresh

from roost.lab.accounting import Event, Fault, Kind, Snapshot, faults
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.traffic import Traffic, User, account, fill

OVER = ("done", "undone")
GIVEN = ("settling", "done")
WORKING = ("preparing", "copying", "holding", "undoing")

HOLD = 5.0
"""Seconds after which a hold is lifted whatever happens (policy ``hold_seconds``)."""

SLACK = 1.0
"""What a login may take beside that and what a neighbour's takes: who watches the hold is busy, too."""

View = dict[str, Any]


def user_on(cluster: Cluster, home: Machine, stem: str, messages: int = 0, **filling: Any) -> User:
    """Make a user who lives there and has so many old messages in INBOX."""
    address = fresh(stem)
    cluster.add_user(address, PASSWORD, "--home", home.name)
    if messages:
        fill(home, [address], {"INBOX": messages}, **filling)
    return user(address)


def neighbour_on(cluster: Cluster, home: Machine) -> Traffic:
    """Measure the logins of somebody beside the moved user: what a login costs just now, with nothing held."""
    beside = Traffic(cluster.client.machine, user_on(cluster, home, "neighbour"))
    beside.probe(every=0.2, at_once=5)
    return beside


def user(address: str, domain: str = DOMAIN) -> User:
    """Return the user of an address, as his mail programs know him."""
    return User(address, f"{address.partition('@')[0]}.pop.{domain}", PASSWORD)


def ask(cluster: Cluster, addresses: Sequence[str], *options: str) -> list[int]:
    """Ask for moves and return their numbers at once."""
    return list(cluster.roost("user", "move", *addresses, *options, "--no-wait")["ids"])


def show(cluster: Cluster, move: int) -> View:
    """Return a move as it is."""
    found: View = cluster.roost("move", "show", str(move))
    return found


def steps(cluster: Cluster, move: int) -> str:
    """Return what the storage nodes' agents logged of a move."""
    said = []
    for machine in cluster.machines_with("storage"):
        if machine.running and not machine.frozen:
            lines = machine.run(["journalctl", "-u", "roost-agent", "-o", "short-precise", "--no-pager"]).stdout
            said += [line for line in lines.splitlines() if f"move={move} " in f"{line} "]
    return "\n".join(sorted(said))


def wait(cluster: Cluster, move: int, states: Iterable[str], seconds: float = 120) -> View:
    """Wait until a move is in one of these states; one that is over in another will not come to them."""
    wanted, deadline = set(states), time.monotonic() + seconds
    while True:
        view = show(cluster, move)
        if view["state"] in wanted:
            return view
        assert view["state"] not in OVER, f"{view['state']}: {view['reason']}\n{steps(cluster, move)}"
        assert time.monotonic() < deadline, f"still {view['state']}: {view}\n{steps(cluster, move)}"
        time.sleep(0.1)


def move(cluster: Cluster, address: str, to: Machine, *options: str, seconds: float = 120) -> View:
    """Move a mailbox and return the move once the mailbox has its new home."""
    [asked] = ask(cluster, [address], "--to", to.name, *options)
    view = wait(cluster, asked, GIVEN, seconds)
    assert cluster.home_of(address) is to
    return view


def account_for(
    cluster: Cluster,
    user: User,
    before: Snapshot,
    events: Iterable[Event],
    seconds: float = 60,
    powerless: float = 0,
) -> list[Fault]:
    """Return what is wrong with a mailbox once all mail has arrived; mail that waits at an MX is on its way.

    ``powerless`` is since when a home had no power, 0 for never: what it took in that moment may be there twice.
    Where mail does not arrive in time, it is printed why it waits.
    """
    journals, deadline = list(events), time.monotonic() + seconds
    while True:
        wrong = faults(before, journals, account(cluster.client.machine, user))
        if powerless and any(fault.kind is Kind.DOUBLED for fault in wrong):
            wrong = _without(wrong, doubtful(cluster, powerless))
        if not wrong:
            return wrong
        if time.monotonic() > deadline:
            print("\n".join(["", *waiting(cluster)]))
            return wrong
        _flush(cluster)
        time.sleep(1)


def _without(wrong: list[Fault], again: set[str]) -> list[Fault]:
    """Return faults but those of messages that are there twice, and may be; a POP3 client gets the second one too."""
    twice = again.intersection(fault.said.split()[0] for fault in wrong if fault.kind is Kind.DOUBLED)
    due = {Kind.DOUBLED, Kind.UIDL}
    return [fault for fault in wrong if fault.kind not in due or twice.isdisjoint(fault.said.split())]


def _flush(cluster: Cluster) -> None:
    for machine in [*cluster.machines_with("mx"), *cluster.machines_with("backup-mx")]:
        if machine.running:
            machine.run(["postqueue", "-f"], check=False)


def put_off(cluster: Cluster) -> str:
    """Return what the MX hosts logged of mail that was put off, the first of each host."""
    said = []
    for machine in cluster.machines_with("mx"):
        lines = machine.run(["journalctl", "-o", "short-precise", "--no-pager"]).stdout.splitlines()
        said += [line for line in lines if "status=deferred" in line][:10]
    return "\n".join(said)


def told(faults: Sequence[Fault]) -> str:
    """Return faults as text for an assertion: how many, and the first of them."""
    return f"{len(faults)} faults\n" + "\n".join(fault.said for fault in faults[:20])
