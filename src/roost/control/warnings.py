"""What somebody should know, each with a name that stays, a sentence, and what to do about it.

The names are for programs: ``roost status --output json`` has them, and ``roost_warnings`` counts them, so that a
monitoring system need not know this list. What is measured elsewhere (a probe of the way of mail, say) becomes a
warning by a function here that yields ``Warned``, called in ``control.status``; and a figure by a line in
``domain.figures`` and one in ``control.figures``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from roost.control.followers import Seen
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.figures import OUTSIDE, Glance, Waiting
from roost.domain.hops import Finding
from roost.domain.node_life import Life

DISK_FULL, DISK_NEARLY_FULL = 0.97, 0.9
"""Shares of a file system in use."""

MEMORY_SHORT = 0.03
LATE = timedelta(minutes=1)
QUEUE_OLD_SECONDS = 180
"""A message is tried again after a minute, and after another two."""

OUTSIDE_OLD_SECONDS = 6 * 3600
"""Servers of others may be away for longer than ours."""

CERTIFICATE = timedelta(days=14)
"""Agents renew certificates when a third is left, which is a month: with so little left, they cannot."""

SKEW_SECONDS = 5.0
LESSONS_MANY = 500
LOG_DELAY_SECONDS = 300.0
_FILTER = {"rspamd", "redis"}


@dataclass(frozen=True)
class NodeStatus:
    """A node and what it last said; ``late`` in revisions, ``late_since`` when one that it lacks was made."""

    node: Node
    seen: Seen
    connected: bool
    late: int
    mailboxes: int
    late_since: datetime | None = None

    @property
    def figures(self) -> Glance:
        """Return its few figures; nothing of a node that is not heard."""
        return self.seen.glance if self.connected else Glance()


@dataclass(frozen=True)
class Warned:
    """Something to know, and what to do about it."""

    subject: str
    warning: str
    remedy: str
    name: str


def of_probes(found: Iterable[Finding]) -> Iterator[Warned]:
    """Yield what probers found to be broken."""
    for one in found:
        yield Warned(one.hop, one.words, one.remedy, "hop-broken")


def of_node(entry: NodeStatus, now: datetime) -> Iterator[Warned]:
    """Yield what is to be known of one node."""
    name = entry.node.name
    if entry.node.life is Life.DRAINED:
        yield from _of_drained(entry)
        if not entry.connected:
            return
    if not entry.node.joined:
        remedy = f"Run 'roost join' on it with a token of 'roost node token {name}'."
        yield Warned(name, "has not joined yet.", remedy, "not-joined")
    elif not entry.connected:
        when = f"since {entry.seen.at:%Y-%m-%d %H:%M:%S} UTC" if entry.seen.at else "since the controller started"
        remedy = "Look at the machine and at 'systemctl status roost-agent'."
        yield Warned(name, f"is not connected {when}.", remedy, "node-silent")
    elif entry.late_since is not None and now - entry.late_since > LATE:
        told = f"is {entry.late} revisions behind, since {entry.late_since:%Y-%m-%d %H:%M:%S} UTC."
        yield Warned(name, told, f"See its health, and 'journalctl -u roost-agent' on {name}.", "node-late")
    for driver, words in sorted(entry.seen.health.items()):
        remedy = f"See 'journalctl -u roost-agent' on {name}."
        yield Warned(name, f"{driver}: {words}", remedy, "filter-down" if driver in _FILTER else "daemon-ill")
    if entry.connected and entry.figures.at:
        yield from _of_figures(entry, now)


def _of_drained(entry: NodeStatus) -> Iterator[Warned]:
    """Yield that a node is still used on which nobody counts any more."""
    told = entry.figures
    here = [f"{count} {what}" for count, what in ((told.sessions, "sessions"), (told.queue, "messages")) if count > 0]
    if here:
        remedy = f"Do not switch it off yet. See who comes: 'roost log' for {entry.node.name}."
        yield Warned(entry.node.name, f"is drained, and has {' and '.join(here)}.", remedy, "drained-in-use")


def of_drains(stalled: Iterable[tuple[Node, datetime]]) -> Iterator[Warned]:
    """Yield drains that do not go on."""
    for node, since in stalled:
        words = f"is being drained, and nothing has changed since {since:%Y-%m-%d %H:%M} UTC."
        yield Warned(
            node.name, words, f"See 'roost node drain {node.name} --watch' what is left there.", "drain-stuck"
        )


def _of_figures(entry: NodeStatus, now: datetime) -> Iterator[Warned]:
    name, told = entry.node.name, entry.figures
    if told.disk >= DISK_NEARLY_FULL:
        full = "disk-full" if told.disk >= DISK_FULL else "disk-nearly-full"
        remedy = f"Make room or add disk; 'roost node' and 'roost user move' can take mailboxes elsewhere ({name})."
        yield Warned(name, f"{told.disk_path} is {told.disk:.0%} full.", remedy, full)
    if told.memory < MEMORY_SHORT:
        remedy = "See what takes it with 'systemd-cgtop -m', and give the machine more."
        yield Warned(name, f"only {told.memory:.1%} of its memory is available.", remedy, "memory-short")
    if told.expires and told.expires - now.timestamp() < CERTIFICATE.total_seconds():
        ends = datetime.fromtimestamp(told.expires, UTC)
        remedy = "Its agent should have renewed it: see 'journalctl -u roost-agent' there."
        yield Warned(name, f"a certificate ends on {ends:%Y-%m-%d}.", remedy, "certificate-expires")
    if abs(entry.seen.skew) > SKEW_SECONDS:
        how = "ahead of" if entry.seen.skew > 0 else "behind"
        remedy = "Let systemd-timesyncd or chrony keep both: see 'timedatectl'."
        words = f"its clock is {abs(entry.seen.skew):.0f} s {how} the controller's."
        yield Warned(name, words, remedy, "clock-skew")
    if told.lessons > LESSONS_MANY:
        remedy = "An MX does not take them: see 'journalctl -u roost-agent' on the MX hosts."
        yield Warned(name, f"{told.lessons} messages wait to be learned.", remedy, "lessons-wait")
    if told.braked:
        remedy = f"See 'roost drift'; if it is right: 'roost drift --check --lift-brake {name}'."
        yield Warned(name, "the brake holds a repair back.", remedy, "repair-braked")
    if told.log_delay > LOG_DELAY_SECONDS:
        remedy = "See 'journalctl -u roost-collect-logs -u roost-agent' on it."
        yield Warned(name, f"lines of logs come {age(told.log_delay)} late.", remedy, "logs-late")


def of_cluster(cluster: Cluster) -> Iterator[Warned]:
    """Yield which roles nobody has, or one node alone."""
    for role in (Role.MX, Role.DNS, Role.STORAGE):
        joined = [n for n in cluster.serving(role) if n.joined]
        if not joined:
            remedy = f"Add one: 'roost node add --role {role}'."
            yield Warned("cluster", f"no {role} node has joined.", remedy, "role-missing")
        elif len(joined) == 1 and role is not Role.STORAGE:
            remedy = "Add a second, so that one may fail."
            yield Warned("cluster", f"there is only one {role} node.", remedy, "role-single")


def of_waiting(waiting: Mapping[str, Waiting]) -> Iterator[Warned]:
    """Yield the homes whose mail waits for too long."""
    for home, there in waiting.items():
        if there.oldest >= (OUTSIDE_OLD_SECONDS if home == OUTSIDE else QUEUE_OLD_SECONDS):
            mail = f"{there.messages} message{'s' if there.messages != 1 else ''}"
            verb = "wait" if there.messages != 1 else "waits"
            what = "servers outside" if home == OUTSIDE else "it"
            yield Warned(
                home,
                f"{mail} {verb} for {what}, the oldest for {age(there.oldest)}.",
                "Nothing is lost; it is delivered once the other side takes it. See 'postqueue -p' on the MX hosts.",
                "mail-waits-outside" if home == OUTSIDE else "mail-waits",
            )


def age(seconds: float) -> str:
    """Return so many seconds as people say it."""
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
