"""Running the agent: drivers, host and client put together. Nothing is decided here."""

from __future__ import annotations

import contextlib
import gc
import signal
import ssl
import threading
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from roost.agent import disk
from roost.agent.disk import Disk
from roost.agent.figures.door import Door
from roost.agent.figures.sampler import Sampler
from roost.agent.figures.sources import of_usage, sources
from roost.agent.learning.carrier import Carrier
from roost.agent.learning.spool import Spool
from roost.agent.learning.teacher import Teacher
from roost.agent.loop import Agent
from roost.agent.moving.mover import Mover
from roost.agent.node import Node
from roost.agent.papers import Papers
from roost.agent.probing import rounds
from roost.agent.probing.prober import Prober
from roost.agent.tracing import LogNode, Teller, Tracing
from roost.agent.usage.book import Book
from roost.agent.usage.gatherer import Gatherer
from roost.domain import figures
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import RoostError
from roost.domain.figures import Told
from roost.domain.node_load import Look
from roost.domain.probe import Round, Task
from roost.drivers.dovecot.layout import Layout
from roost.drivers.rspamd.learning import learn
from roost.host import counters, facts, load, strength
from roost.host import probe as doors
from roost.host.clock import WallClock
from roost.host.machine import Machine
from roost.host.systemd import Systemd
from roost.logs.answers import Answers
from roost.logs.collector import Collector
from roost.logs.counts import Counts
from roost.main.drivers import drivers
from roost.main.settings import AgentSettings
from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, LESSONS, LOGS, TLS_CA, TRACES
from roost.wire import lessons, traces
from roost.wire.controller import ControllerClient

_COLLECT_AFTER = (20_000, 20, 20)
"""When Python looks for garbage in cycles (gc.set_threshold): rows have none, and a full table has a great many."""

_USAGE = Path(disk.FOLDER) / "usage.db"
_VOLUMES = ("/", "/var", "/var/lib/roost", "/var/vmail", "/var/spool/postfix", LOGS, TRACES)
"""Folders whose file systems matter: of the machine, of the tables, of mail, of the queue, of logs."""


def mind(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT; the work in hand is done first."""
    gc.set_threshold(*_COLLECT_AFTER)
    host, clock = Machine(), WallClock()

    def connect() -> ControllerClient:
        authority = host.read(TLS_CA)
        if authority is None:
            raise RoostError(f"{TLS_CA} is missing.", remedy="Let the node join again.")
        return ControllerClient(settings.controller, authority.content, IDENTITY_CERTIFICATE, IDENTITY_KEY)

    node = Node(drivers(clock), host, Systemd(host), Disk(host), lambda: facts.gather(host))
    mover = Mover(host, node.mailstore, connect)
    node.taken = mover.nudge
    papers = Papers(port=lessons.PORT)
    spool = Spool(LESSONS)
    carrier = Carrier(spool, lambda: node.settings, papers)
    teacher = Teacher(lambda path, spam: learn(host, path, spam=spam), lambda: node.settings, papers)
    counts = Counts()
    tracing = Tracing(lambda settings: log_node(settings, counts), lambda: node.settings)
    mail = Layout().mail
    gatherer = Gatherer(
        node.teller, lambda: Book(_USAGE), connect, look=look, measure=lambda: strength.measure(mail), now=clock.now
    )
    busy, told = partial(load.look, _VOLUMES), partial(counted, counts)
    used = partial(used_by, gatherer)
    sampler = Sampler(lambda: sources(node, host, spool, busy, told, usage=used))
    door = Door(sampler.told, lambda: node.settings, Papers(port=figures.PORT))
    owed: rounds.Owed = {}
    prober = Prober(lambda: node.settings, connect, lambda task, now: probe(node, task, now, owed), clock.now)
    agent = Agent(node, host, clock, connect, sampler.glance)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    parts = (mover, carrier, teacher, tracing, sampler, door, prober, gatherer)
    for part in parts:
        part.start()
    try:
        agent.run()
    finally:
        for part in parts:
            part.stop()


def look() -> Look:
    """Look at the machine and the file system of mail; the IMAP server is asked to greet."""
    where = Layout()
    busy = load.look((where.mail,))
    began = time.monotonic()
    greeting = time.monotonic() - began if doors.greeting(where.probe, where.imap) else 0.0
    (size, free) = next(((volume.size, volume.free) for volume in busy.volumes), (0, 0))
    return Look(counters.look(), counters.running(), busy.memory, busy.available, size, free, greeting)


def used_by(gatherer: Gatherer) -> list[Told]:
    """Return what mailboxes are used, in figures."""
    return list(of_usage(gatherer.last, gatherer.refused.copy()))


def counted(counts: Counts, settings: NodeSettings) -> list[Told]:
    """Return what the collected logs say, in figures; names of homes alone may stand in them."""
    counts.homes = frozenset(peer.name for peer in settings.having(Role.STORAGE))
    return counts.told()


def probe(node: Node, task: Task, now: datetime, owed: rounds.Owed) -> Round:
    """Do one round of the probe, trusting whom users trust: this cluster's authority, and the world's."""
    trust = ssl.create_default_context()
    trust.load_verify_locations(TLS_CA)
    return rounds.run(task, rounds.Ways(trust, node.settings.node if node.settings else ""), now, owed)


def log_node(settings: NodeSettings, counts: Counts) -> LogNode:
    """Put together what reads the collected logs and answers the controllers."""
    counted(counts, settings)
    controllers = {peer.name for peer in settings.having(Role.CONTROL)}

    def read(stop: threading.Event) -> None:
        with contextlib.closing(
            Collector(Path(LOGS), Path(TRACES), keep_days=settings.policy.logs_keep_days, counts=counts)
        ) as reads:
            reads.run(stop)

    answers = Answers(Path(TRACES), settings.probe_domain)
    return LogNode(read, Teller(answers, controllers.__contains__), Papers(port=traces.PORT))
