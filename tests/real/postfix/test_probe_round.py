"""Rounds of the probe against a real MX, home and DNS server: what each fault of theirs looks like to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roost.agent.probing import rounds
from roost.domain.cluster import Cluster, Mailbox, Node, Role
from roost.domain.desired import Table, Value, settings_for
from roost.domain.hops import verdict
from roost.domain.probe import Box, Round, Server, Stage, Task
from roost.domain.testbox import of_node, password_of, rows_with_node
from roost.ports.driver import Batch

from ..bind.instance import Server as Named
from ..bind.instance import one_server
from ..common.authority import TestCa
from ..common.waiting import wait_until
from ..dovecot.instance import Instance as Dovecot
from ..dovecot.instance import private_dovecot, remove_mail_user
from .conftest import Net
from .instance import LMTP, SMTP, Instance

SECRET = "a secret of the tests"
HOME = "ms1.cluster.test"
DEAD = "127.0.0.9"
"""Where nobody is."""


@dataclass
class World:
    """One MX, one home, one DNS server, and what a prober knows of them."""

    cluster: Cluster
    node: Node
    mx: Instance
    home: Dovecot
    named: Named
    trust: ssl.SSLContext

    @property
    def mailbox(self) -> Mailbox:
        assert self.cluster.probe_domain
        return of_node(self.node, self.cluster.probe_domain, SECRET)

    @property
    def task(self) -> Task:
        assert self.cluster.probe_domain
        mailbox = self.mailbox
        hostname = mailbox.hostname(self.cluster.probe_domain)
        box = Box(HOME, str(mailbox.address), hostname, self.node.addresses, password_of(HOME, SECRET))
        return Task(
            asked=5,
            seconds=60,
            cluster_domain="cluster.test",
            mx=(Server("mx1.cluster.test", self.mx.address),),
            dns=(Server("ns1.cluster.test", self.named.address), Server("ns2.cluster.test", self.named.address)),
            boxes=(box,),
        )

    def rows(self, table: Table) -> list[tuple[str, Value | None]]:
        return [(row.key, row.value) for row in rows_with_node(self.cluster, self.node) if row.table is table]

    def round(self, owed: rounds.Owed | None = None, **changes: object) -> Round:
        """Do a round; of a task that is changed, where a test says how."""
        ways = rounds.Ways(
            self.trust,
            "control.cluster.test",
            smtp=SMTP,
            imaps=self.home.layout.imaps,
            pop3s=self.home.layout.pop3s,
            dns=self.named.place.port,
            answer=5.0,
            dns_answer=1.0,
            arrival=3.0,
        )
        return rounds.run(replace(self.task, **changes), ways, datetime.now(UTC), owed)  # type: ignore[arg-type]


@pytest.fixture
def world(net: Net, root: str, ca: TestCa, tmp_path: Path) -> Iterator[World]:
    net.ms1.stop()
    node = Node(HOME, frozenset({Role.STORAGE}), (net.ms1.address,), joined=True)
    cluster = Cluster("cluster.test", 2, tuple(net.nodes), (), probe=SECRET, probe_since=1)
    with private_dovecot(root, ca, address=net.ms1.address, lmtp=LMTP) as home, one_server(tmp_path, root=root) as ns:
        mx = net.start("mx1")
        mx.cluster = replace(mx.cluster, probe=SECRET)
        made = World(cluster, node, mx, home, ns, ca.context())
        mx.put(*made.rows(Table.RECIPIENTS))
        mx.configure()
        home.probe = SECRET
        home.renew_certificate()
        home.configure()
        home.wait_alive()
        home.put(*made.rows(Table.ACCOUNTS))
        dns = Node("ns1.cluster.test", frozenset({Role.DNS}), ("127.0.0.1",), joined=True)
        wanted = settings_for(replace(cluster, nodes=(*cluster.nodes, dns)), dns.name)
        ns.bring(wanted)
        ns.table_of(wanted).apply(Batch(made.rows(Table.NAMES), 2, 0))
        ns.open(wanted)
        # A home reads its new certificate with its next login process.
        wait_until(lambda: made.round().doors[0].seen.ok, "the home shows its certificate")
        yield made
    remove_mail_user(root)


def _stages(found: Round) -> dict[str, Stage]:
    """Return how far every try came."""
    return {
        **{f"mail {mail.mx.partition('.')[0]}": mail.seen.stage for mail in found.mails},
        **{f"login {login.dns.partition('.')[0]}": login.seen.stage for login in found.logins},
        **{door.protocol: door.seen.stage for door in found.doors},
    }


WELL = dict.fromkeys(("mail mx1", "login ns1", "login ns2", "imap", "pop3"), Stage.OK)


def test_all_is_well_and_nothing_is_left(world: World) -> None:
    found = world.round()
    assert _stages(found) == WELL
    assert verdict(found, "control") == ()
    seconds = [seen.seconds for seen in (*(m.seen for m in found.mails), *(x.seen for x in found.logins))]
    assert all(0 <= second < 3 for second in seconds)
    print(f"\na round of {found.seconds:.2f} s; mail {seconds[0] * 1000:.0f} ms, logins {seconds[1:]}")
    assert world.round().number == 5
    with world.home.login(str(world.mailbox.address), password_of(HOME, SECRET)) as client:
        assert client.select("INBOX")[1] == [b"0"], "test messages are deleted"


def _mx_dead(world: World) -> None:
    world.mx.services.stop()


def _recipient_gone(world: World) -> None:
    world.mx.put((str(world.mailbox.address), None))


def _no_delivery(world: World) -> None:
    [(key, value)] = world.rows(Table.ACCOUNTS)
    assert value is not None
    world.home.put((key, {**value, "deliver": False}))


def _wrong_password(world: World) -> None:
    [(key, value)] = world.rows(Table.ACCOUNTS)
    assert value is not None
    world.home.put((key, {**value, "password": "{SHA256}" + "A" * 43 + "="}))


def _home_dead(world: World) -> None:
    world.home.services.stop()


def _dns_dead(world: World) -> None:
    world.named.services.stop()


def _old_answer(world: World) -> None:
    [name] = [key for key, _ in world.rows(Table.NAMES) if key.endswith("/CNAME")]
    hostname = name.partition("/")[0]
    ran = world.named.by_hand(f"update delete {hostname} CNAME", f"update add {hostname} 60 CNAME ms2.cluster.test.")
    assert ran.code == 0, ran.err


def _wrong_address(world: World) -> None:
    ran = world.named.by_hand(f"update delete {HOME} A", f"update add {HOME} 60 A 192.0.2.99")
    assert ran.code == 0, ran.err


FAULTS: list[tuple[Callable[[World], None], dict[str, Stage], set[str]]] = [
    (_mx_dead, {"mail mx1": Stage.CONNECT}, {"mx1.cluster.test"}),
    (_recipient_gone, {"mail mx1": Stage.REFUSED}, {"mx1.cluster.test"}),
    (_no_delivery, {"mail mx1": Stage.MISSING}, {"mx1.cluster.test → ms1.cluster.test"}),
    (
        _wrong_password,
        {**dict.fromkeys(("mail mx1", "login ns1", "login ns2", "pop3"), Stage.UNSEEN), "imap": Stage.LOGIN},
        {HOME},
    ),
    (
        _home_dead,
        {
            **dict.fromkeys(("mail mx1", "login ns1", "login ns2", "pop3"), Stage.UNSEEN),
            "imap": Stage.CONNECT,
        },
        {HOME},
    ),
    (
        _dns_dead,
        dict.fromkeys(("login ns1", "login ns2"), Stage.SILENT),
        {"ns1.cluster.test", "ns2.cluster.test"},
    ),
    (_old_answer, dict.fromkeys(("login ns1", "login ns2"), Stage.WRONG), {"ns1.cluster.test", "ns2.cluster.test"}),
    (
        _wrong_address,
        dict.fromkeys(("login ns1", "login ns2"), Stage.WRONG),
        {"ns1.cluster.test", "ns2.cluster.test"},
    ),
]


@pytest.mark.parametrize(("plant", "stages", "hops"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_shows_where_it_is(
    world: World, plant: Callable[[World], None], stages: dict[str, Stage], hops: set[str]
) -> None:
    plant(world)
    found = world.round()
    assert _stages(found) == {**WELL, **stages}
    assert {finding.hop for finding in verdict(found, "control")} == hops


def test_what_waits_is_not_joined_by_more(world: World) -> None:
    """However long a home takes no mail, one test message of each MX waits for it."""
    owed: rounds.Owed = {}
    _no_delivery(world)
    for _ in range(2):
        assert _stages(world.round(owed)) == {**WELL, "mail mx1": Stage.MISSING}
        assert len(world.mx.queue()) == len(owed) == 1
    world.home.put(*world.rows(Table.ACCOUNTS))

    def arrived() -> bool:
        world.mx.flush()
        return _stages(world.round(owed))["mail mx1"] is Stage.UNSEEN

    wait_until(arrived, "it has come, too late to say how long it takes now")
    assert not owed
    assert _stages(world.round(owed)) == WELL


def test_a_certificate_for_another_name_is_not_taken(world: World) -> None:
    strange = replace(world.task.boxes[0], hostname="ms1.elsewhere.test")
    found = world.round(boxes=(strange,), dns=())
    assert [door.seen.stage for door in found.doors] == [Stage.CERTIFICATE, Stage.UNSEEN]
    assert "ms1.elsewhere.test" in found.doors[0].seen.words


def test_one_dns_server_of_two_is_silent(world: World) -> None:
    servers = (world.task.dns[0], replace(world.task.dns[1], address=DEAD))
    found = world.round(dns=servers)
    assert _stages(found) == {**WELL, "login ns2": Stage.SILENT}


def test_no_word_holds_the_password(world: World) -> None:
    _wrong_password(world)
    found = world.round()
    assert found.doors[0].seen.words
    assert password_of(HOME, SECRET) not in repr(found)
