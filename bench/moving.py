"""Live moves: how long a client waits, how quickly mail is copied, how many mailboxes move in an hour.

    scripts/bench moving [--moves 100] [--sizes 1000,20000,100000] [--only pause,copy,small,peers] [--quick]

A lab of its own: a controller, an MX, a DNS server, two storage nodes (Debian 13, mdbox), and a client outside.

*Pause*: mailboxes of so many messages of 1 kB move back and forth; several take turns, so that each move is over
before its mailbox moves again. From outside a new login begins every 20 ms, on a connection of its own, while fewer
than three wait, as many as a person's programs; it finds the home by DNS, and counts as served when STATUS has been
answered. The pause of a move is the longest of these logins from its asking until a second after its settling;
one that was refused or cut off is counted to the next that was served; what a login takes without a move is printed
beside it.

*Copy*: the first pass of a move of 20,000 messages of 5 kB against one ``doveadm backup`` of the same mailbox, which
also pulls, over TLS and the same cable, into an empty place on the same disk, with the same plugins. They take turns.

*Small*: mailboxes of 50 messages, all asked for at once from one node to the other, with the policy's own limits.

*Peers*: the same mailbox by the recipe that is written elsewhere (close, copy, switch, open; ``bench/by_hand.py``),
with the pause seen from outside as above, and copied message by message by IMAP (``bench/imap_copy.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import by_hand, labs
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE
from roost.lab.pauses import Pause, pause, percentile
from roost.lab.traffic import Traffic, User, fill

_PASSWORD = "correct horse battery staple"  # noqa: S105 - of users who live for minutes
_GOALS = {20_000: 0.3, 100_000: 1.0}
_GOAL_COPY, _GOAL_HOURLY = 0.9, 3600
_TURNS = {1000: 20, 20_000: 10, 100_000: 4}
"""How many mailboxes of a size take turns: the larger, the longer a move takes anyway."""

_AT_ONCE = 3
_GIVEN = {"settling", "done"}
_PARTS = ("pause", "copy", "small", "peers")
_IMAP_COPY = (Path(__file__).parent / "imap_copy.py").read_text()


@dataclass(frozen=True)
class Bench:
    """The cluster, and its two stores."""

    cluster: Cluster
    stores: tuple[Machine, Machine]

    def users(self, stem: str, count: int, home: Machine) -> list[User]:
        """Make users who live there."""
        names = [f"{stem}{number}" for number in range(count)]
        self.cluster.import_users({f"{name}@{DOMAIN}": (_PASSWORD, home.name) for name in names})
        return [User(f"{name}@{DOMAIN}", f"{name}.pop.{DOMAIN}", _PASSWORD) for name in names]

    def other(self, home: Machine) -> Machine:
        """Return the other store."""
        first, second = self.stores
        return second if home is first else first

    def ask(self, addresses: Sequence[str], target: Machine) -> list[int]:
        """Ask for moves; return their numbers."""
        return list(self.cluster.roost("user", "move", *addresses, "--to", target.name, "--no-wait")["ids"])

    def move(self, address: str, target: Machine) -> dict[str, Any]:
        """Move a mailbox and wait until it is there: by one command, because each start of one is work, too."""
        asked = self.cluster.roost("user", "move", address, "--to", target.name, seconds=600)
        view: dict[str, Any] = self.cluster.roost("move", "show", str(asked["ids"][0]))
        assert view["state"] in _GIVEN, view
        return view

    def wait_done(self, move: int, seconds: float = 600) -> None:
        """Wait until a move is over."""
        deadline = time.monotonic() + seconds
        while (view := self.cluster.roost("move", "show", str(move)))["state"] != "done":
            assert view["state"] != "undone", view
            assert time.monotonic() < deadline, view
            time.sleep(1)


@dataclass(frozen=True)
class Moved:
    """One move: the pause from outside, the hold as the source measured it, and all of it in seconds."""

    seen: Pause
    hold: float
    seconds: float
    usual: float
    """Median of a login outside of the pause."""


def measured(bench: Bench, user: User, target: Machine) -> tuple[int, Moved]:
    """Move a mailbox and measure from outside; return the move's number, too."""
    with Traffic(bench.cluster.client.machine, user) as traffic:
        probe = traffic.probe(at_once=_AT_ONCE)
        # Some logins before: caches of DNS and of passwords are warm, as with programs that poll.
        probe.wait_for(lambda event: event["what"] == "tried" and event["ok"])
        began = time.time()
        view = bench.move(user.address, target)
        moved = time.time()
        probe.wait_for(lambda event: event["what"] == "tried" and event["began"] > moved + 1)
        events = traffic.stop()
    usual = statistics.median(event["seconds"] for event in events if event["what"] == "tried")
    return view["id"], Moved(pause(events, began, moved + 1), view["pause_ms"] / 1000, moved - began, usual)


def pauses(bench: Bench, size: int, times: int) -> list[Moved]:
    """Move mailboxes of a size back and forth."""
    turns = min(_TURNS.get(size, 10), times)
    users = bench.users(f"pause{size}x", turns, bench.stores[0])
    for user in users:
        fill(bench.stores[0], [user.address], {"INBOX": size}, size=1000)
    homes = {user.address: bench.stores[0] for user in users}
    last: dict[str, int] = {}
    found = []
    for turn in range(times):
        user = users[turn % turns]
        if user.address in last:
            bench.wait_done(last[user.address])
        target = bench.other(homes[user.address])
        last[user.address], moved = measured(bench, user, target)
        homes[user.address] = target
        found.append(moved)
    return found


def show_pauses(size: int, found: list[Moved]) -> None:
    """Print a line."""
    seen = [moved.seen.longest for moved in found]
    refused = sum(len(moved.seen.refusals) for moved in found)
    p50, p95, p99 = (percentile(seen, percent) for percent in (50, 95, 99))
    hold = percentile([moved.hold for moved in found], 95)
    usual = statistics.median(moved.usual for moved in found)
    took = statistics.median(moved.seconds for moved in found)
    print(
        f"{size:>8} messages, {len(found)} moves: pause p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s; "
        f"hold p95 {hold:.3f} s; a login else {usual:.3f} s; a move {took:.1f} s"
    )
    goal = _GOALS.get(size)
    said = f" (goal at most {goal}: {'met' if p95 <= goal else 'missed'})" if goal else ""
    print(f"pause p95 at {size}: {p95:.3f} s{said}; logins refused: {refused} (goal 0)", flush=True)


def copying(bench: Bench, messages: int, rounds: int) -> None:
    """Print the rates of a move's first pass and of a raw copy."""
    source, target = bench.stores
    users = bench.users("copy", rounds, source)
    raws, ours = [], []
    with by_hand.raw(source, target) as pair:
        for user in users:
            fill(source, [user.address], {"INBOX": messages})
            # What is written back to the disks meanwhile would be measured.
            os.sync()
            raws.append(messages / pair.pull(user.address))
            os.sync()
            ours.append(messages / first_pass(target, bench.move(user.address, target)["id"]))
            os.sync()
    ratios = [our / raw for our, raw in zip(ours, raws, strict=True)]
    print(
        f"\ncopy of {messages} messages of 5 kB: raw {statistics.median(raws):.0f} messages/s, "
        f"a move {statistics.median(ours):.0f} messages/s"
    )
    print(f"in each round, move / raw: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    ratio = statistics.median(ratios)
    met = "met" if ratio >= _GOAL_COPY else "missed"
    print(f"copy rate, move / raw: {ratio:.2f} (goal at least {_GOAL_COPY}: {met})", flush=True)


def first_pass(target: Machine, move: int) -> float:
    """Return the seconds of a move's first pass, as the target's agent has written them down."""
    lines = target.run(["journalctl", "--unit=roost-agent.service", "--output=cat", "--lines=all"]).stdout
    for line in lines.splitlines():
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if (words.get("event"), words.get("move"), words.get("step")) == ("move", str(move), "pass"):
            return int(words["ms"]) / 1000
    raise AssertionError(f"{target.name} has made no pass for move {move}")


def small(bench: Bench, count: int) -> None:
    """Print how many small mailboxes move in an hour."""
    source, target = bench.stores
    users = bench.users("small", count, source)
    fill(source, [user.address for user in users], {"INBOX": 50})
    began = time.monotonic()
    asked = bench.ask([user.address for user in users], target)
    homes: list[str] = []
    while homes.count(target.name) < count:
        assert time.monotonic() < began + 1800, f"{homes.count(target.name)} of {count} have moved"
        listed = bench.cluster.roost("user", "list", "--domain", DOMAIN, "--all")
        homes = [found["home"] for found in listed if found["address"].startswith("small")]
        time.sleep(1)
    hourly = count / (time.monotonic() - began) * 3600
    met = "met" if hourly >= _GOAL_HOURLY else "missed"
    print(f"\n{count} mailboxes of 50 messages, {len(asked)} moves asked for by one command")
    print(f"small mailboxes an hour and pair: {hourly:.0f} (goal at least {_GOAL_HOURLY}: {met})", flush=True)


def peers(bench: Bench, messages: int) -> None:
    """Print what the recipe and a copy by IMAP cost."""
    source, target = bench.stores
    user, copied = bench.users("recipe", 1, source)[0], bench.users("copied", 1, target)[0]
    fill(source, [user.address], {"INBOX": messages})
    sides = {
        side: {"hostname": whose.hostname, "user": whose.address, "password": _PASSWORD}
        for side, whose in (("source", user), ("target", copied))
    }
    client = bench.cluster.client.machine
    ran = client.run(["python3", "-c", _IMAP_COPY], input=json.dumps({**sides, "ca": CA_FILE}), timeout=3600)
    by_imap = json.loads(ran.stdout)
    with by_hand.raw(source, target) as pair, Traffic(client, user) as traffic:
        probe = traffic.probe()
        probe.wait_for(lambda event: event["what"] == "tried" and event["ok"])
        began = time.time()
        closed = by_hand.recipe(bench.cluster, pair, user.address, _PASSWORD)
        opened = time.time()
        # The old address is still in caches of DNS, and nobody passes on who comes there.
        probe.wait_for(lambda event: event["what"] == "tried" and event["ok"] and event["began"] > opened, 300)
        events = traffic.stop()
    seen = pause(events, began, time.time())
    print(
        f"\nby IMAP: {messages} messages in {by_imap['seconds']:.1f} s; {by_imap['again']} to be downloaded again\n"
        f"by the recipe: closed for {closed:.1f} s; from outside {seen.longest:.1f} s, "
        f"{len(seen.refusals)} logins refused",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--moves", type=int, default=100, help="of each size")
    parser.add_argument("--sizes", default="1000,20000,100000", help="messages of a mailbox, with commas")
    parser.add_argument("--small", type=int, default=300, help="small mailboxes")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts, with commas")
    parser.add_argument("--quick", action="store_true", help="few moves of one small size, everything else small too")
    options = parser.parse_args()
    sizes, messages, rounds = [int(size) for size in options.sizes.split(",")], 20_000, 7
    if options.quick:
        sizes, messages, rounds, options.moves, options.small = [1000], 1000, 1, 4, 10
    parts = options.only.split(",")
    with labs.cluster(labs.topology("control", "mx1", "ns1", "ms1", "ms2", "client")) as made:
        # Old answers of DNS are soon forgotten: else every mailbox would wait for a minute between its moves.
        made.roost("policy", "set", "ttl", "5")
        first, second = made.machines_with("storage")
        bench = Bench(made, (first, second))
        if "peers" in parts:
            peers(bench, messages)
        if "copy" in parts:
            copying(bench, messages, rounds)
        if "small" in parts:
            small(bench, options.small)
        if "pause" in parts:
            for size in sizes:
                show_pauses(size, pauses(bench, size, options.moves))


if __name__ == "__main__":
    main()
