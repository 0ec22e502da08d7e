"""Everything that agents and the controller can tell, as Prometheus would read it from them.

The agent's side is one node that has every role, its daemons played; the controller's is a founded cluster.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.testclient import TestClient

from roost.agent.disk import Disk
from roost.agent.figures.door import Door
from roost.agent.figures.sampler import Sampler
from roost.agent.figures.sources import of_usage, sources
from roost.agent.learning.spool import Spool
from roost.agent.node import Node
from roost.agent.papers import Papers
from roost.api.app import build
from roost.api.parts import Parts
from roost.api.wakeup import Wakeup
from roost.control import keys
from roost.control.authority import Authority
from roost.control.balancer import Balancer
from roost.control.drainer import Drainer
from roost.control.feed import Feed
from roost.control.followers import Followers
from roost.control.mover import Mover
from roost.control.probes import Probes
from roost.domain.cluster import Cluster, Policy, Role
from roost.domain.cluster import Node as Member
from roost.domain.desired import NodeSettings, Table, settings_for
from roost.domain.figures import Figure, Glance, Waiting
from roost.domain.node_load import NodeLoad
from roost.domain.probe import Mail, Round, Seen, Stage
from roost.drivers.dovecot.sessions import visitors
from roost.drivers.null import MemoryTable, NullDriver
from roost.drivers.postfix.queue import Waits, counted
from roost.host import load
from roost.host.clock import WallClock
from roost.host.fake import FakeHost, FakeServices
from roost.logs.counts import Counts
from roost.main.minding import counted as of_logs
from roost.ports.host import IDENTITY_CERTIFICATE, TLS_CERTIFICATE, Facts, File, Host
from roost.store import open_backups, open_store
from roost.wire.world import PublicDns

NAME = "all.cluster.test"
MEMBER = Member(NAME, frozenset({Role.MX, Role.STORAGE, Role.LOG}), ("192.0.2.1",), joined=True)


class Mta(NullDriver):
    """A mail server with three messages."""

    def figures(self, settings: NodeSettings, host: Host) -> tuple[Figure, ...]:
        waits = [Waits("deferred", age, ("john@john.pop.example.test",)) for age in (0, 500, 990)]
        return counted(waits, {NAME}, {"john@john.pop.example.test": NAME}, 1000.0)


class Imap(NullDriver):
    """A server with three connections."""

    def figures(self, settings: NodeSettings, host: Host) -> tuple[Figure, ...]:
        connections, users = visitors(["john", "2", "imap", "(1 2)", "()", "mary", "1", "pop3", "(3)", "()"])
        told = [Figure("roost_sessions", count, (protocol,)) for protocol, count in connections.items()]
        return (*told, Figure("roost_session_users", users))


def certificate(authority: Authority) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    return authority.sign_identity(pem, NAME, datetime.datetime.now(datetime.UTC))


def agent_text(folder: Path) -> str:
    """Return what the agent of a node with every role tells."""
    host, services = FakeHost(), FakeServices()
    authority = Authority(*Authority.create("cluster.test", datetime.datetime.now(datetime.UTC)))
    for path in (IDENTITY_CERTIFICATE, TLS_CERTIFICATE):
        host.write(File(path, certificate(authority)))
    drivers = (
        Mta("postfix", frozenset({Role.MX}), (MemoryTable(Table.RECIPIENTS),)),
        Imap("dovecot", frozenset({Role.STORAGE}), (MemoryTable(Table.ACCOUNTS),)),
        NullDriver("rsyslog", frozenset()),
    )
    node = Node(drivers, host, services, Disk(host), lambda: Facts(13, {}))
    node.take_settings(settings_for(Cluster("cluster.test", 1, (MEMBER,), (), Policy()), NAME))
    counts = Counts()
    counts.homes = frozenset({NAME})
    counts.attempt(NAME, NAME, "250 Saved", "delivered", mark="1", micros=2_000_000)
    counts.refused(NAME, "envelope", "550 5.1.1 no", "2")
    counts.judged(NAME, "reject", "3")
    counts.login(NAME, "imap", "accepted", "4")
    counts.read(10, 1, NAME, 1_000_000, 1_500_000)
    sampler = Sampler(
        lambda: sources(
            node,
            host,
            Spool(str(folder)),
            lambda: load.look(("/", "/var")),
            lambda s: of_logs(counts, s),
            usage=lambda: of_usage(NodeLoad(60.0, logins=2.0), {"strange": 1}),
        )
    )
    sampler.turn()
    return Door(sampler.told, lambda: node.settings, Papers()).text().decode()


def controller_text(folder: Path) -> str:
    """Return what a controller tells of a small cluster in which something is wrong."""
    store, clock = open_store(f"sqlite:///{folder}/roost.db"), WallClock()
    try:
        with store.write("founder") as tx:
            tx.set_cluster("cluster.test", Policy())
            tx.put_node(replace(MEMBER, roles=MEMBER.roles | {Role.CONTROL}), "node added")
        authority = Authority(*Authority.create("cluster.test", clock.now()))
        followers = Followers()
        mover = Mover(store, followers, clock, authority)
        drainer = Drainer(store, followers, clock, PublicDns())
        glance = Glance(at=clock.now().timestamp(), disk=0.99, queue=1, waiting={NAME: Waiting(1, 4000)})
        followers.look(NAME, glance, clock.now())
        followers.touch(NAME, clock.now())
        backups, feed = open_backups("", store, folder), Feed(store, 100)
        probes = Probes(clock.now())
        mails = (Mail("mx1.cluster.test", NAME, Seen(Stage.OK, seconds=0.2)),)
        probes.take(NAME, Round(1, clock.now(), 1.0, mails, (), ()), clock.now())
        balancer = Balancer(store, followers, clock, list)
        parts = Parts(store, backups, clock, authority, feed, followers, Wakeup(), mover, drainer, probes, balancer)
        key = keys.make(store, "founder", "monitoring", clock.now(), None).text
        answer = TestClient(build(parts)).get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        return answer.text
    finally:
        store.close()


def names_in(text: str) -> Iterator[str]:
    """Yield the names of the metrics that have a value in a text."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.partition("{")[0].partition(" ")[0]
