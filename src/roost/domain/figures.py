"""Figures: what the controller and every agent tell a monitoring system. Pure: names, meanings, values.

``METRICS`` is the one list. What is not in it cannot be told; ``docs/reference/metrics.md`` is written from it. A
label never names a user, an address or a stranger's server: its values are nodes, daemons and fixed words, so that
the number of time series follows from the number of nodes alone.

``Glance`` is the little of it that goes with every question of an agent to the controller: what ``roost status``
shows and warns of.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

PORT = 8447
"""Where every agent serves its figures."""

MONITORING = "urn:roost:monitoring"
"""The one name (a URI) in a certificate that may read figures, and nothing else in the cluster."""

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
EVERY_NODE, MX, STORAGE, LOG, CONTROLLER = "every node", "MX", "storage node", "log node", "controller"
TELLERS = (EVERY_NODE, MX, STORAGE, LOG, CONTROLLER)

OUTSIDE = "outside"
"""Stands in the label ``home`` for whatever is no home of the cluster."""

AGES = ((60, "1m"), (600, "10m"), (3600, "1h"), (86_400, "1d"))
"""Upper limits of the ages by which waiting mail is counted, in seconds; what is older is ``OLDER``."""

OLDER = "older"
PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
DELIVERY_SECONDS = (1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21_600.0)


@dataclass(frozen=True)
class Metric:
    """One metric; ``teller`` says who has it, ``words`` what it means, ``bounds`` are a histogram's upper limits."""

    name: str
    kind: str
    teller: str
    words: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Figure(NamedTuple):
    """One value of a gauge or a counter, with the values of its metric's labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass
class Spread:
    """One histogram: how many values fell below each of its metric's bounds and above the last, and their sum."""

    name: str
    labels: tuple[str, ...] = ()
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.counts = self.counts or [0] * (len(METRICS[self.name].bounds) + 1)

    def take(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(METRICS[self.name].bounds, value)] += 1
        self.total += value

    def copy(self) -> Spread:
        """Return it as it is now."""
        return Spread(self.name, self.labels, list(self.counts), self.total)


Told = Figure | Spread

_LIST = (
    Metric("roost_node_info", GAUGE, EVERY_NODE, "1; its labels say what runs here.", ("version", "roles")),
    Metric(
        "roost_daemon_up", GAUGE, EVERY_NODE, "1 where a daemon has its files, runs and answers; else 0.", ("daemon",)
    ),
    Metric("roost_load_ratio", GAUGE, EVERY_NODE, "Load average of a minute for each processor."),
    Metric("roost_memory_size_bytes", GAUGE, EVERY_NODE, "The machine's memory."),
    Metric("roost_memory_available_bytes", GAUGE, EVERY_NODE, "Memory that programs can still have."),
    Metric("roost_disk_size_bytes", GAUGE, EVERY_NODE, "Size of a file system that Roost uses.", ("path",)),
    Metric("roost_disk_free_bytes", GAUGE, EVERY_NODE, "What is free of it.", ("path",)),
    Metric("roost_disk_inodes_free_ratio", GAUGE, EVERY_NODE, "Share of its files (inodes) that is free.", ("path",)),
    Metric(
        "roost_certificate_expires_timestamp_seconds",
        GAUGE,
        EVERY_NODE,
        "When a certificate ends; 'monitoring' is the one that was shown here last. The controller tells of 'ca'.",
        ("certificate",),
    ),
    Metric(
        "roost_table_revision",
        GAUGE,
        EVERY_NODE,
        "The revision that a table of this node has, its settings as well.",
        ("table",),
    ),
    Metric(
        "roost_table_paused", GAUGE, EVERY_NODE, "1 where a table cannot take rows at the moment; else 0.", ("table",)
    ),
    Metric(
        "roost_controller_answered_timestamp_seconds",
        GAUGE,
        EVERY_NODE,
        "When the controller answered last; 0: never.",
    ),
    Metric(
        "roost_drift_findings_total",
        COUNTER,
        EVERY_NODE,
        "Things that were not as they should be, since the agent began.",
    ),
    Metric("roost_drift_braked", GAUGE, EVERY_NODE, "1 where the brake holds back a repair; else 0."),
    Metric(
        "roost_figures_failed_total",
        COUNTER,
        EVERY_NODE,
        "Times that figures of one kind could not be had, since the agent began.",
        ("figures",),
    ),
    Metric("roost_queue_messages", GAUGE, MX, "Messages in a queue of the mail server.", ("queue",)),
    Metric(
        "roost_queue_waiting",
        GAUGE,
        MX,
        "Messages that have yet to get to a home, by how old they are at most. One for several homes counts at each.",
        ("home", "age"),
    ),
    Metric("roost_queue_oldest_seconds", GAUGE, MX, "Age of the oldest message for a home.", ("home",)),
    Metric(
        "roost_queue_cut", GAUGE, MX, "1 where the queue is longer than is looked at: all of it is at least so much."
    ),
    Metric("roost_sessions", GAUGE, STORAGE, "Connections that are logged in.", ("protocol",)),
    Metric("roost_session_users", GAUGE, STORAGE, "Users who have a connection."),
    Metric(
        "roost_usage_logins_per_second", GAUGE, STORAGE, "Sessions of all mailboxes that ended in the last minute."
    ),
    Metric(
        "roost_usage_deliveries_per_second", GAUGE, STORAGE, "Messages that all mailboxes got in the last minute."
    ),
    Metric(
        "roost_usage_processor_ratio",
        GAUGE,
        STORAGE,
        "Processors that worked for mailboxes in the last minute: 1.5 is one and a half.",
    ),
    Metric(
        "roost_usage_refused_total",
        COUNTER,
        STORAGE,
        "Counts of mailboxes that could not be believed, since the agent began: 'negative', 'absurd', 'no-number', "
        "'strange' lines, of an 'unknown' user, 'skipped', and turns in which the 'clock' had jumped.",
        ("reason",),
    ),
    Metric(
        "roost_pressure_ratio",
        GAUGE,
        STORAGE,
        "Share of the last minute in which a process waited for 'cpu', 'io' or 'memory'.",
        ("resource",),
    ),
    Metric("roost_lessons_waiting", GAUGE, STORAGE, "Messages that the filter of an MX is still to learn.", ("mx",)),
    Metric(
        "roost_mail_attempts_total",
        COUNTER,
        LOG,
        "Attempts to deliver to a recipient: 'delivered', 'waiting', 'bounced', 'handed-on' to another server.",
        ("mx", "home", "outcome"),
    ),
    Metric(
        "roost_mail_delivery_seconds",
        HISTOGRAM,
        LOG,
        "From the message's arrival at the MX until its home had it.",
        ("home",),
        DELIVERY_SECONDS,
    ),
    Metric(
        "roost_mail_refused_total",
        COUNTER,
        LOG,
        "Refusals: 'permanent' or 'temporary', of an 'envelope' or of a whole 'message'.",
        ("mx", "stage", "kind"),
    ),
    Metric("roost_mail_judged_total", COUNTER, LOG, "Messages that the spam filter has judged.", ("mx", "verdict")),
    Metric(
        "roost_logins_total",
        COUNTER,
        LOG,
        "Logins: 'accepted', 'led-on' to the new home of a mailbox that moved, 'refused'. Each poll by POP3 is one.",
        ("home", "protocol", "outcome"),
    ),
    Metric("roost_log_lines_total", COUNTER, LOG, "Lines that were read, since the agent began."),
    Metric("roost_log_strange_lines_total", COUNTER, LOG, "Those that were not in the collector's form."),
    Metric(
        "roost_log_delay_seconds",
        GAUGE,
        LOG,
        "Time from a line's writing on a node until it was read here, of the last one.",
        ("sender",),
    ),
    Metric("roost_log_last_line_timestamp_seconds", GAUGE, LOG, "When a node wrote its last line.", ("sender",)),
    Metric("roost_cluster_revision", GAUGE, CONTROLLER, "The store's last revision."),
    Metric("roost_cluster_domains", GAUGE, CONTROLLER, "Mail domains."),
    Metric("roost_cluster_mailboxes", GAUGE, CONTROLLER, "Mailboxes at a home.", ("home",)),
    Metric("roost_node_joined", GAUGE, CONTROLLER, "1 where a node has joined; else 0.", ("node",)),
    Metric(
        "roost_node_leaving", GAUGE, CONTROLLER, "1 where a node is being drained, or is drained; else 0.", ("node",)
    ),
    Metric(
        "roost_node_connected",
        GAUGE,
        CONTROLLER,
        "1 where a node has been heard lately; else 0. Of a drained node that is off nothing is told.",
        ("node",),
    ),
    Metric(
        "roost_node_late_revisions",
        GAUGE,
        CONTROLLER,
        "Revisions by which a node is behind, in the table where it is furthest behind.",
        ("node",),
    ),
    Metric(
        "roost_node_clock_skew_seconds",
        GAUGE,
        CONTROLLER,
        "By how much a node's clock is ahead of the controller's.",
        ("node",),
    ),
    Metric("roost_moves", GAUGE, CONTROLLER, "Moves that are not over, by their state.", ("state",)),
    Metric(
        "roost_move_pause_seconds",
        HISTOGRAM,
        CONTROLLER,
        "For how long mailboxes were closed by hand-overs, since the controller began.",
        (),
        PAUSE_SECONDS,
    ),
    Metric(
        "roost_probe_ok",
        GAUGE,
        CONTROLLER,
        "1 where the last round of the probe got through, else 0: mail by an MX, login by a DNS server, imap, pop3.",
        ("kind", "node", "home"),
    ),
    Metric(
        "roost_probe_seconds",
        GAUGE,
        CONTROLLER,
        "For how long it took, where it got through; for mail from its acceptance until it lay in the mailbox.",
        ("kind", "node", "home"),
    ),
    Metric("roost_warnings", GAUGE, CONTROLLER, "Warnings of 'roost status', by their names.", ("warning",)),
)

METRICS = {metric.name: metric for metric in _LIST}
"""Every metric by its name, in the order in which they are told."""


@dataclass(frozen=True)
class Waiting:
    """Mail that has yet to get to a home: how many messages, and the age of the oldest in seconds."""

    messages: int
    oldest: int


@dataclass(frozen=True)
class Glance:
    """The few figures of a node that the controller is told. ``at`` is the node's own time; 0: nothing is known.

    ``load`` is for each processor; ``disk`` the share in use of the fullest file system, which is ``disk_path``;
    ``memory`` the share that is available. ``queue`` is -1 on a node without one, so is ``sessions``. ``waiting`` has
    the mail by home. ``lessons`` is what the MX that is furthest behind is still to learn; ``expires`` when the first
    of the node's certificates ends; ``log_delay`` of the node whose lines come latest. ``braked`` says that a repair
    is held back.
    """

    at: float = 0.0
    load: float = 0.0
    memory: float = 1.0
    disk: float = 0.0
    disk_path: str = ""
    queue: int = -1
    oldest: int = 0
    waiting: dict[str, Waiting] = field(default_factory=dict)
    sessions: int = -1
    lessons: int = 0
    expires: float = 0.0
    log_delay: float = 0.0
    braked: bool = False


def age_of(seconds: float) -> str:
    """Return the word for an age."""
    return next((word for limit, word in AGES if seconds < limit), OLDER)


def glance_of(told: Iterable[Told], at: float) -> Glance:
    """Return a node's glance from all of its figures."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for one in told:
        if isinstance(one, Figure):
            values.setdefault(one.name, {})[one.labels] = one.value

    def of(name: str) -> dict[tuple[str, ...], float]:
        return values.get(name, {})

    size, free = of("roost_disk_size_bytes"), of("roost_disk_free_bytes")
    used = {
        path: max(1 - free.get((path,), 0) / total, 1 - of("roost_disk_inodes_free_ratio").get((path,), 1))
        for (path,), total in size.items()
        if total
    }
    fullest = max(used, key=lambda path: used[path], default="")
    memory = of("roost_memory_size_bytes").get((), 0)
    oldest = {home: int(age) for (home,), age in of("roost_queue_oldest_seconds").items()}
    messages: dict[str, int] = {}
    for (home, _), count in of("roost_queue_waiting").items():
        messages[home] = messages.get(home, 0) + int(count)
    ends = [end for (name,), end in of("roost_certificate_expires_timestamp_seconds").items() if name != "monitoring"]
    return Glance(
        at=at,
        load=round(of("roost_load_ratio").get((), 0), 2),
        memory=round(of("roost_memory_available_bytes").get((), 0) / memory, 3) if memory else 1.0,
        disk=round(used.get(fullest, 0), 3),
        disk_path=fullest,
        queue=_sum(of("roost_queue_messages").values()),
        oldest=max(oldest.values(), default=0),
        waiting={home: Waiting(count, oldest.get(home, 0)) for home, count in sorted(messages.items())},
        sessions=_sum(of("roost_sessions").values()),
        lessons=int(max(of("roost_lessons_waiting").values(), default=0)),
        expires=min(ends, default=0.0),
        log_delay=round(max(of("roost_log_delay_seconds").values(), default=0.0), 1),
        braked=bool(of("roost_drift_braked").get((), 0)),
    )


def _sum(values: Iterable[float]) -> int:
    """Return the sum, or -1 where there is nothing to add up."""
    found: Sequence[float] = list(values)
    return int(sum(found)) if found else -1
