"""The probe: what each prober is to try, what it saw last, and what is to be said about it.

Probers are the nodes with the role ``control``: there is always one, and while it cannot speak to the controller
nobody could hear of what another found. Their last rounds are kept in memory, as positions are; after a restart of
the controller they are there again within a minute (docs/decisions/0025).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from roost.control import passwords
from roost.control.followers import Followers
from roost.control.writing import Done, writing
from roost.domain import testbox
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.desired import Table
from roost.domain.errors import Forbidden
from roost.domain.hops import Finding, verdict
from roost.domain.node_life import Life
from roost.domain.probe import Box, Round, Server, Task
from roost.ports.store import SETTINGS, Store

_ROUND_SECONDS = 120
"""A round in which much hangs is over by then."""

_MX = (Role.MX, Role.BACKUP_MX)


@dataclass(frozen=True)
class Taken:
    """A prober's last round, and when the controller had it."""

    round: Round
    at: datetime


class Probes:
    """The last round of each prober, and the number of the last request; safe for threads.

    ``since`` is the controller's start.
    """

    def __init__(self, since: datetime) -> None:
        self._lock = threading.Lock()
        self._since = since
        # Numbers go on growing when the controller starts anew, so no round from before answers a later request.
        self._asked = int(since.timestamp())
        self._taken: dict[str, Taken] = {}

    @property
    def asked(self) -> int:
        """Return the number of the last request for a round."""
        with self._lock:
            return self._asked

    def ask(self) -> int:
        """Ask every prober for a round now; return its number."""
        with self._lock:
            self._asked += 1
            return self._asked

    def take(self, node: str, found: Round, at: datetime) -> None:
        """Keep a prober's round in place of the one before."""
        with self._lock:
            self._taken[node] = Taken(found, at)

    def last(self, cluster: Cluster) -> dict[str, Taken | None]:
        """Return the last round of each prober there is, by its name."""
        with self._lock:
            return {node.name: self._taken.get(node.name) for node in probers(cluster)}

    def login_seconds(self, store: str) -> float:
        """Return how long the last login by IMAP took at a storage node, the shortest of all probers; 0: none did."""
        with self._lock:
            rounds = [taken.round for taken in self._taken.values()]
        doors = [door for found in rounds for door in found.doors if door.store == store and door.protocol == "imap"]
        return min((door.seen.seconds for door in doors if door.seen.ok), default=0.0)

    def silent(self, cluster: Cluster, now: datetime) -> list[str]:
        """Return the probers of which a round should have been there by now."""
        seconds = cluster.policy.probe_seconds
        if not seconds:
            return []
        limit = timedelta(seconds=2 * seconds + _ROUND_SECONDS)
        found = self.last(cluster)
        return [name for name, taken in found.items() if now - (taken.at if taken else self._since) > limit]


def probers(cluster: Cluster) -> list[Node]:
    """Return the nodes that probe."""
    return [node for node in cluster.with_role(Role.CONTROL) if node.joined]


def task(store: Store, followers: Followers, probes: Probes, name: str) -> Task:
    """Return what a prober is to try; raises ``Forbidden`` for a node that is none.

    The first time it makes the test mailboxes: so they are there after an upgrade and after a restore, too.
    """
    with store.read() as view:
        cluster = view.cluster()
        followers.learn(view.positions())
    if name not in {node.name for node in probers(cluster)}:
        raise Forbidden(f"{name} is no prober.")
    seconds = cluster.policy.probe_seconds
    if seconds and not cluster.probe:
        make_anew(store, f"node {name}", first=True)
        with store.read() as view:
            cluster = view.cluster()
    domain = cluster.probe_domain
    if not seconds or domain is None:
        return Task(probes.asked, seconds, cluster.domain)
    there = [
        node
        for node in cluster.nodes
        if node.joined and node.life is not Life.DRAINED and _has_all(cluster, followers, node)
    ]
    there.sort(key=lambda node: node.name)
    boxes = []
    for node in there:
        if testbox.has(node):
            box = testbox.of_node(node, domain, cluster.probe)
            password = testbox.password_of(node.name, cluster.probe)
            boxes.append(Box(node.name, str(box.address), box.hostname(domain), node.addresses, password))
    return Task(
        asked=probes.asked,
        seconds=seconds,
        cluster_domain=cluster.domain,
        mx=tuple(Server(n.name, n.addresses[0], Role.BACKUP_MX in n.roles) for n in there if n.roles & {*_MX}),
        dns=tuple(Server(n.name, n.addresses[0]) for n in there if Role.DNS in n.roles),
        boxes=tuple(boxes),
    )


def _has_all(cluster: Cluster, followers: Followers, node: Node) -> bool:
    """Say whether a node has ever had what these test mailboxes need: one that is being set up is not tried yet."""
    needed = {SETTINGS}
    if node.roles & {*_MX}:
        needed.add(str(Table.RECIPIENTS))
    if Role.DNS in node.roles:
        needed.add(str(Table.NAMES))
    if Role.STORAGE in node.roles:
        needed.add(str(Table.ACCOUNTS))
    positions = followers.seen(node.name).positions
    return all(positions.get(table, 0) >= cluster.probe_since for table in needed)


def make_anew(store: Store, actor: str, *, first: bool = False) -> Done:
    """Give all test mailboxes new names and passwords; ``first``: only where there are none."""
    with writing(store, actor) as (tx, done):
        if not (first and tx.cluster().probe):
            done.add(tx.set_probe(passwords.new_secret()), "The test mailboxes have new names and passwords.")
    return done


def findings(probes: Probes, cluster: Cluster, now: datetime) -> list[Finding]:
    """Return what probers found to be broken, each once, and who of them is silent."""
    if not cluster.policy.probe_seconds:
        return []
    silent = probes.silent(cluster, now)
    found = [
        Finding(
            name,
            "has sent no round of test mail for too long.",
            f"Look at 'systemctl status roost-agent' and 'journalctl -u roost-agent' on {name}.",
        )
        for name in silent
    ]
    for name, taken in probes.last(cluster).items():
        if taken is not None and name not in silent:
            found += [finding for finding in verdict(taken.round, name) if finding not in found]
    return found
