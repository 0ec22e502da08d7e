"""One change among 100,000 users against the same change among 100.

    scripts/bench change [--users 100000] [--times 60] [--quick]

*Store and feed*: two SQLite stores of one and the other size in this process. Adding a mailbox, changing its home and
removing it are timed to the end of the transaction, fsync included; then what a node of each kind asks for at once
(``Feed.answer``: the rows after the revision before) is timed for each of the three changes.

*Nodes*: two labs at once, each with a controller, an MX, a DNS server and a storage node, of one and the other
size. A mailbox is added, its quota is changed, it is removed; the time is that from the change's entry in the audit
log, which is written in its transaction, to the acknowledgement of the node, whose daemon answers accordingly by
then (LMDB, RFC 2136 with BIND's answer, SQLite and Dovecot told). A quota concerns the storage node alone. The API
does not move a mailbox, hence a change of home is measured in the store only.

Few and many take turns change by change, and medians are compared, so that other work on the machine disturbs both
alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import labs
from roost.control.feed import Feed
from roost.domain.cluster import Domain, Mailbox, Node, Policy
from roost.domain.desired import tables_of
from roost.domain.names import Address
from roost.ports.store import Store
from roost.store import open_store
from roost.wire.agent_messages import FEED_ROWS

_FEW = 100
_GOAL = 1.2
_DOMAIN = "example.test"
_ROLES = {"mx1": "mx", "ns1": "dns", "ms1": "storage", "ms2": "storage"}
_CHANGER = (Path(__file__).parent / "changer.py").read_text()

Samples = dict[str, dict[str, list[float]]]
"""What was timed, to size, to milliseconds."""


@dataclass
class Filled:
    """A store with so many users, and the feed that answers from it."""

    store: Store
    feed: Feed
    nodes: tuple[Node, ...]

    @classmethod
    def make(cls, url: str, users: int) -> Filled:
        """Make it."""
        store = open_store(url)
        nodes = tuple(
            replace(Node.parse(f"{short}.cluster.test", [role], [f"192.0.2.{last}"]), joined=True)
            for last, (short, role) in enumerate(_ROLES.items(), 1)
        )
        with store.write("bench") as tx:
            tx.set_cluster("cluster.test", Policy())
            for node in nodes:
                tx.put_node(node, "node added")
            tx.put_domain(Domain.parse(_DOMAIN), "domain added")
            boxes = [_mailbox(number, f"user{number:06d}") for number in tx.new_numbers(users)]
            tx.put_mailboxes(boxes, "mailbox added")
        return cls(store, Feed(store, FEED_ROWS), nodes)

    def positions(self, node: Node) -> dict[str, int]:
        """Return the positions of a node that has everything."""
        with self.store.read() as view:
            return {str(table): view.head(table, scope) for table, scope in tables_of(node)}


def _mailbox(number: int, local: str, home: str = "ms1") -> Mailbox:
    return Mailbox(number, Address(local, _DOMAIN), local, f"{home}.cluster.test", labs.HASH)


def in_store(sizes: dict[str, Filled], times: int, samples: Samples) -> None:
    """Time changes and the feed's answers, the sizes in turn."""
    for turn in range(times):
        for size, filled in sizes.items():
            with filled.store.read() as view:
                number = view.revision() + 10_000_000
            box = _mailbox(number, f"new{turn}")
            moved = replace(box, home="ms2.cluster.test")
            for verb, write in (
                ("add", lambda tx, box=box: tx.put_mailboxes([box], "mailbox added")),
                ("home", lambda tx, moved=moved: tx.put_mailboxes([moved], "mailbox changed")),
                ("remove", lambda tx, box=box: tx.remove_mailbox(box.address)),
            ):
                before = {node.name: filled.positions(node) for node in filled.nodes}
                began = time.perf_counter()
                with filled.store.write("bench") as tx:
                    write(tx)
                samples[f"store: {verb}"][size].append((time.perf_counter() - began) * 1000)
                # A mailbox is added on ms1, the others concern its second home.
                mx, dns, first, second = filled.nodes
                for node in (mx, dns, first if verb == "add" else second):
                    samples[f"feed: {verb}, {min(node.roles)}"][size].append(_answer(filled, node, before[node.name]))


def _answer(filled: Filled, node: Node, positions: dict[str, int]) -> float:
    with filled.store.read() as view:
        epoch, held = view.value("epoch") or "", view.cluster().revision
    began = time.perf_counter()
    news = filled.feed.answer(node.name, epoch, positions, held=held)
    took = (time.perf_counter() - began) * 1000
    assert sum(len(page.rows) for page in news.pages.values()) == 1, news
    return took


def in_labs(stack: ExitStack, users: int, times: int, samples: Samples) -> None:
    """Time changes until nodes have them, the labs in turn."""
    machines = labs.topology("control", "mx1", "ns1", "ms1", "client")
    talks = {}
    for size, count in (("few", _FEW), ("many", users)):
        made = stack.enter_context(labs.cluster(machines))
        labs.add_users(made, range(count))
        talks[size] = labs.Talk(made.control, _CHANGER)
        stack.callback(talks[size].close)
        home = labs.homes(made)[0]
    for turn in range(times + 2):
        address = f"new{turn}@{_DOMAIN}"
        for verb, more in (("add", {"hash": labs.HASH, "home": home}), ("quota", {"bytes": 1 << 30}), ("remove", {})):
            for size, talk in talks.items():
                answer = talk.ask({"verb": verb, "address": address, **more})
                if turn < 2:
                    continue  # connections and caches are made
                for where, ms in answer["ms"].items():
                    name = {"names": "dns, BIND", "recipients": "mx, LMDB", "accounts": "storage, SQLite"}.get(
                        where.partition(" ")[2], "API's answer"
                    )
                    if where.partition(" ")[2] != "settings":
                        samples[f"lab: {verb}, {name}"][size].append(ms)


def report(samples: Samples) -> list[float]:
    """Print a table; return the ratios."""
    print(f"\n{'median, ms':28} {'few':>9} {'many':>9} {'ratio':>7}   {'p90 few':>9} {'p90 many':>9}")
    ratios = []
    for name, by_size in samples.items():
        few, many = (statistics.median(by_size[size]) for size in ("few", "many"))
        high = [statistics.quantiles(by_size[size], n=10)[8] for size in ("few", "many")]
        ratios.append(many / few)
        print(f"{name:28} {few:9.2f} {many:9.2f} {many / few:7.2f}   {high[0]:9.2f} {high[1]:9.2f}")
    return ratios


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=60, help="how often each change is made")
    parser.add_argument("--no-lab", action="store_true", help="store and feed only")
    parser.add_argument("--quick", action="store_true", help="2,000 users, 5 times, no lab")
    options = parser.parse_args()
    users, times = (2000, 5) if options.quick else (options.users, options.times)
    samples: Samples = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        sizes = {}
        for size, count in (("few", _FEW), ("many", users)):
            sizes[size] = Filled.make(f"sqlite:///{folder}/{size}.db", count)
            stack.callback(sizes[size].store.close)
        in_store(sizes, times, samples)
        print(f"few: {_FEW} users, many: {users}; each change {times} times, few and many in turn")
        if not (options.quick or options.no_lab):
            in_labs(stack, users, times, samples)
        ratios = report(samples)
    worst = max(ratios)
    print(f"\nworst ratio, many / few: {worst:.2f} (goal at most {_GOAL}: {'met' if worst <= _GOAL else 'missed'})")


if __name__ == "__main__":
    main()
