"""One private Dovecot and its clients: what the tests in this folder share."""

from __future__ import annotations

import contextlib
import datetime
import imaplib
import itertools
import os
import poplib
import shutil
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from argon2 import PasswordHasher

from roost.domain.cluster import Cluster, Domain, Node, Policy, Role
from roost.domain.desired import NodeSettings, Value, settings_for
from roost.drivers.dovecot import Dovecot, Layout
from roost.host.probe import greeting
from roost.ports.driver import TableStore
from roost.ports.host import Facts

from ..common.authority import TestCa
from ..common.driven import Driven
from ..common.machines import Rooted, short_folder
from ..common.services import Process
from ..common.waiting import wait_until

WAY_OUT = 10026
NODE = "ms1.cluster.test"
MX = "127.0.0.1"
"""The address from which the cluster's one MX delivers."""

PASSWORD = "secret"
"""Everybody's, unless a test says otherwise."""

DOMAINS = ("example.test", "xn--bcher-kva.example")
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_HASHES: dict[str, str] = {}
_SOURCE = itertools.count(os.getpid() * 1000)
_LAST = itertools.count(1)


# The user who owns the mail of all tests; taken away at the end.
MAIL_USER = f"roost-test-{os.getpid()}"
MAIL_UID = 20_000 + os.getpid() % 20_000


def hashed(password: str) -> str:
    """Return the hash as the controller makes it."""
    if password not in _HASHES:
        _HASHES[password] = "{ARGON2ID}" + _HASHER.hash(password)
    return _HASHES[password]


def account(address: str, number: int = 1, password: str = PASSWORD, **changes: object) -> tuple[str, Value]:
    """Return a row of the table for an address whose local part is its label."""
    local, domain = address.split("@")
    hostname = f"{local}.pop.{domain}"
    value: Value = {
        "number": number,
        "hostname": hostname,
        "target": f"{local}@{hostname}",
        "password": hashed(password),
        "quota": 0,
        "login": True,
        "deliver": True,
        "format": "mdbox",
        "place": "home",
        "peer": "",
    }
    value.update(changes)  # type: ignore[arg-type]
    return address, value


class TestClock:
    """The time, which a test may put forward."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.ahead


class PrivateServices(Process):
    """A Dovecot in the foreground; its master is told to read its files by doveadm, as systemd does."""

    def __init__(self, host: Rooted, conf: str, output: Path) -> None:
        super().__init__(host, "dovecot.service", ["dovecot", "-F", "-c", conf], output)
        self._conf = conf

    def hang_up(self) -> None:
        self.host.run(["doveadm", "-c", self._conf, "reload"])


def connection(server: tuple[str, int], timeout: float | None) -> socket.socket:
    """Connect from a loopback address of one's own: Dovecot slows down an address that fails often."""
    number = next(_SOURCE)
    source = f"127.{200 + number // 62500 % 50}.{number // 250 % 250}.{number % 250 + 1}"
    return socket.create_connection(server, timeout, (source, 0))


class _Imap(imaplib.IMAP4_SSL):
    """IMAPS to an address, verified under a name."""

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        self._name = name
        super().__init__(address, port, ssl_context=context, timeout=60)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.ssl_context.wrap_socket(connection((self.host, self.port), timeout), server_hostname=self._name)


class _Pop3(poplib.POP3_SSL):
    """POP3S to an address, verified under a name."""

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        self._name = name
        super().__init__(address, port, context=context, timeout=60)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self.context.wrap_socket(connection((self.host, self.port), timeout), server_hostname=self._name)


class Instance(Driven):
    """A private Dovecot: folder, files, process, table, and clients."""

    complaint = r"(Fatal|Panic|Error|Warning): "
    driver: Dovecot
    services: PrivateServices

    def __init__(
        self, root: str, folder: Path, address: str, ca: TestCa, kind: type[Dovecot] = Dovecot, lmtp: int = 10024
    ) -> None:
        self.ca, self.folder, self.address = ca, folder, address
        self.node = NODE
        self.homes: dict[str, str] = {}
        """Names and addresses of the storage nodes, where there is more than this one."""
        self.host = Rooted(root)
        self.clock = TestClock()
        group = self.host.run(["getent", "group", "dovecot"]).out.split(":")[2]
        self.layout = Layout(
            config=f"{folder}/etc",
            accounts=f"{folder}/accounts",
            mail=f"{folder}/mail",
            lessons=f"{folder}/lessons",
            run=f"{folder}/run",
            state=f"{folder}/state",
            units=f"{folder}/units",
            log=f"{folder}/log",
            certificate=f"{folder}/service.crt",
            key=f"{folder}/service.key",
            ca=f"{folder}/ca.crt",
            listen=(address,),
            probe=address,
            imap=10143,
            imaps=10993,
            pop3=10110,
            pop3s=10995,
            lmtp=lmtp,
            sieve=14190,
            way_out=f"{address}:{WAY_OUT}",
            user=MAIL_USER,
            uid=MAIL_UID,
            auth_group=group,
        )
        self.services = PrivateServices(self.host, self.layout.conf, folder / "output")
        self.logs = (folder / "log", folder / "output")
        self.systemd = frozenset({self.layout.purge_service, self.layout.purge_timer})
        self.driver = kind(self.clock, greeting, self.layout)
        version = self.host.run(["dovecot", "--version"]).out.split()[0].split("-")[0]
        self.facts = Facts(release=0, versions={"dovecot": version}, memory_mb=1024, processors=2)
        self.policy = Policy()
        self.probe = ""
        """The secret of the test mailboxes, '' for none."""
        # Dovecot 2.3 ends a session by a signal and warns of it.
        self.expected = ["Killed with signal 15", "SIGHUP received - reloading configuration"]

    @property
    def is_24(self) -> bool:
        return self.facts.versions["dovecot"].startswith("2.4")

    def settings(self) -> NodeSettings:
        homes = self.homes or {self.node: self.address}
        nodes = (
            *(Node(name, frozenset({Role.STORAGE}), (address,)) for name, address in homes.items()),
            Node("mx1.cluster.test", frozenset({Role.MX}), (MX,)),
        )
        domains = tuple(Domain.parse(name) for name in DOMAINS)
        return settings_for(Cluster("cluster.test", 1, nodes, domains, self.policy, self.probe), self.node)

    @property
    def table(self) -> TableStore:
        """The accounts; the other table is that of moves."""
        return self.driver.tables(self.settings(), self.host)[0]

    def install(self) -> None:
        """Do what the agent does on a new node."""
        shutil.copy(self.ca.path, self.layout.ca)
        self.renew_certificate()
        self.configure()
        self.wait_alive()

    def renew_certificate(self) -> None:
        fingerprint = self.ca.issue(self.folder, self.settings().service_names)
        self.facts = replace(self.facts, certificate=fingerprint)

    def set_policy(self, **changes: object) -> None:
        """Change the policy and wait until Dovecot has taken it."""
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type]
        if self.configure():
            reloads = "SIGHUP received"
            wait_until(lambda: reloads in self.log(), "the reload")
            self.wait_alive()

    # Clients. Each verifies the certificate under the name that a person would have typed.

    def imap(self, name: str = "john.pop.example.test") -> _Imap:
        return _Imap(self.address, self.layout.imaps, name, self.ca.context())

    def pop3(self, name: str = "john.pop.example.test") -> _Pop3:
        return _Pop3(self.address, self.layout.pop3s, name, self.ca.context())

    def login(self, user: str, password: str = PASSWORD) -> _Imap:
        """Log in by AUTHENTICATE PLAIN, which can carry any name."""
        client = self.imap()
        try:
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        except BaseException:
            client.shutdown()
            raise
        return client

    def refused(self, user: str, password: str = PASSWORD) -> str:
        """Return the words with which a login is refused; fails where it is not."""
        try:
            client = self.login(user, password)
        except imaplib.IMAP4.error as error:
            return str(error)
        client.shutdown()
        raise AssertionError(f"{user} could log in")

    @contextlib.contextmanager
    def lmtp(self, source: str = MX) -> Iterator[smtplib.LMTP]:
        """LMTP as Postfix speaks it: STARTTLS, verified under the node's name; ``source`` is where it comes from."""
        client = smtplib.LMTP(self.address, self.layout.lmtp, source_address=(source, 0), timeout=60)  # type: ignore[call-arg]
        try:
            client._host = self.node  # type: ignore[attr-defined]
            client.ehlo()
            client.starttls(context=self.ca.context())
            client.ehlo()
            yield client
        finally:
            client.close()

    def deliver(self, to: str, message: bytes = b"Subject: x\r\n\r\nx\r\n") -> tuple[int, str]:
        """Deliver one message to one recipient and return the reply that decided."""
        with self.lmtp() as client:
            code, words = client.mail("sender@outside.test")
            assert code == 250, words
            code, words = client.rcpt(to)
            if code == 250:
                code, words = client.data(message)
            return code, words.decode()


def own_address() -> str:
    """Return a loopback address that no other instance has."""
    return f"127.0.{10 + os.getpid() % 200}.{next(_LAST) % 250 + 1}"


@contextlib.contextmanager
def private_dovecot(
    root: str,
    ca: TestCa,
    kind: type[Dovecot] = Dovecot,
    *,
    address: str = "",
    lmtp: int = 10024,
    homes: dict[str, str] | None = None,
) -> Iterator[Instance]:
    """Run a Dovecot of the machine whose root folder is given ('' is this one) in a folder that goes in the end.

    It listens on ``address``, or on a loopback address of its own. Of ``homes`` it is the one of that address.
    """
    address = address or own_address()
    with short_folder(root, "rd-") as folder:
        instance = Instance(root, folder, address, ca, kind, lmtp)
        if homes:
            instance.homes = homes
            instance.node = next(name for name, where in homes.items() if where == address)
        try:
            instance.install()
            yield instance
        finally:
            instance.stop()


def remove_mail_user(root: str) -> None:
    """Take away the user that the driver made."""
    prefix = ["chroot", root] if root else []
    for command in (["userdel", MAIL_USER], ["groupdel", MAIL_USER]):
        subprocess.run([*prefix, *command], check=False, capture_output=True)
