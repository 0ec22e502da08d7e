"""One private Dovecot and its clients: what the tests in this folder share."""

from __future__ import annotations

import contextlib
import datetime
import imaplib
import itertools
import os
import poplib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.domain.cluster import Cluster, Domain, Node, Policy, Role
from roost.domain.desired import NodeSettings, Table, Value, settings_for
from roost.drivers.dovecot import Dovecot, Layout
from roost.host.machine import Machine
from roost.host.probe import greeting
from roost.ports.driver import Batch, TableStore
from roost.ports.host import Facts, Ran

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


def wait_until(said: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


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
    }
    value.update(changes)  # type: ignore[arg-type]
    return address, value


class TestCa:
    """A certificate authority and the service certificates that it gives."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
        builder = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.path = folder / "ca.crt"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, folder: Path, names: Sequence[str]) -> str:
        """Write ``service.crt`` and ``service.key`` and return the fingerprint."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (folder / "service.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path = folder / "service.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        path.chmod(0o600)
        return certificate.fingerprint(hashes.SHA256()).hex()

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority only."""
        return ssl.create_default_context(cafile=str(self.path))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


class Rooted(Machine):
    """This machine, with commands run below another root folder."""

    def __init__(self, root: str) -> None:
        self._root = root

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        prefix = ["chroot", self._root] if self._root else []
        return super().run([*prefix, *argv], stdin=stdin, check=check, seconds=seconds)


class TestClock:
    """The time, which a test may put forward."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.ahead


class PrivateServices:
    """``Services`` for one process that is not systemd's."""

    def __init__(self, host: Machine, root: str, conf: str, log: Path) -> None:
        self._host, self._root, self._conf, self._log = host, root, conf, log
        self._process: subprocess.Popen[bytes] | None = None
        self.calls: list[str] = []

    @property
    def pid(self) -> int:
        """The master process; with another root, too: chroot becomes what it runs."""
        assert self._process is not None
        return self._process.pid

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        self.calls.append("enable")
        if not self.is_active(unit):
            prefix = ["chroot", self._root] if self._root else []
            with self._log.open("ab") as output:
                self._process = subprocess.Popen(
                    [*prefix, "dovecot", "-F", "-c", self._conf], stdout=output, stderr=output
                )

    def disable(self, unit: str) -> None:
        self.calls.append("disable")
        if self._process is not None and unit == "dovecot.service":
            self._process.terminate()
            self._process.wait(30)

    def reload(self, unit: str) -> None:
        self.calls.append("reload")
        self._host.run(["doveadm", "-c", self._conf, "reload"])

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        if unit != "dovecot.service":
            return True  # a timer, which needs systemd
        return self._process is not None and self._process.poll() is None


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


class Instance:
    """A private Dovecot: folder, files, process, table, and clients."""

    def __init__(self, root: str, folder: Path, address: str, ca: TestCa, kind: type[Dovecot] = Dovecot) -> None:
        self.ca, self.folder, self.address = ca, folder, address
        self.host = Rooted(root)
        self.clock = TestClock()
        group = self.host.run(["getent", "group", "dovecot"]).out.split(":")[2]
        self.layout = Layout(
            config=f"{folder}/etc",
            accounts=f"{folder}/accounts",
            mail=f"{folder}/mail",
            run=f"{folder}/run",
            state=f"{folder}/state",
            units=f"{folder}/units",
            log=f"{folder}/log",
            certificate=f"{folder}/service.crt",
            key=f"{folder}/service.key",
            listen=(address,),
            probe=address,
            imap=10143,
            imaps=10993,
            pop3=10110,
            pop3s=10995,
            lmtp=10024,
            user=MAIL_USER,
            uid=MAIL_UID,
            auth_group=group,
        )
        self.services = PrivateServices(self.host, root, self.layout.conf, folder / "output")
        self.driver = kind(self.clock, greeting, self.layout)
        version = self.host.run(["dovecot", "--version"]).out.split()[0].split("-")[0]
        self.facts = Facts(release=0, versions={"dovecot": version}, memory_mb=1024, processors=2)
        self.policy = Policy()
        # Dovecot 2.3 ends a session by a signal and warns of it.
        self.expected_errors = ["Killed with signal 15", "SIGHUP received - reloading configuration"]

    @property
    def is_24(self) -> bool:
        return self.facts.versions["dovecot"].startswith("2.4")

    def settings(self) -> NodeSettings:
        nodes = (
            Node(NODE, frozenset({Role.STORAGE}), (self.address,)),
            Node("mx1.cluster.test", frozenset({Role.MX}), (MX,)),
        )
        domains = tuple(Domain.parse(name) for name in DOMAINS)
        return settings_for(Cluster("cluster.test", 1, nodes, domains, self.policy), NODE)

    def install(self) -> None:
        """Do what the agent does on a new node."""
        self.renew_certificate()
        for path, mode, owner in self.driver.folders():
            self.host.make_folder(path, mode, owner)
        self.configure()
        self.wait_alive()

    def renew_certificate(self) -> None:
        fingerprint = self.ca.issue(self.folder, self.settings().service_names)
        self.facts = replace(self.facts, certificate=fingerprint)

    def configure(self) -> frozenset[str]:
        """Write what differs, check, activate; return the paths that changed."""
        changed = set()
        for file in self.driver.render(self.settings(), self.facts):
            if self.host.read(file.path) is None or self.host.read(file.path).content != file.content:  # type: ignore[union-attr]
                self.host.write(file)
                changed.add(file.path)
        # There is no systemd for this Dovecot.
        changed -= {self.layout.purge_service, self.layout.purge_timer}
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, frozenset(changed))  # type: ignore[arg-type]
        return frozenset(changed)

    def wait_alive(self) -> None:
        def alive() -> bool:
            with contextlib.suppress(Exception):
                self.driver.alive(self.host, self.services)  # type: ignore[arg-type]
                return True
            return False

        deadline = time.monotonic() + 20
        while not alive():
            if time.monotonic() > deadline:
                raise AssertionError(self.log()[-4000:])
            time.sleep(0.05)

    def set_policy(self, **changes: object) -> None:
        """Change the policy and wait until Dovecot has taken it."""
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type]
        if self.configure():
            reloads = "SIGHUP received"
            wait_until(lambda: reloads in self.log(), "the reload")
            self.wait_alive()

    def stop(self) -> None:
        self.driver.stop(self.services)  # type: ignore[arg-type]

    def log(self) -> str:
        texts = [
            path.read_text(errors="replace")
            for path in (self.folder / "log", self.folder / "output")
            if path.exists()
        ]
        return "\n".join(texts)

    def assert_log_is_clean(self) -> None:
        """No process may have crashed, warned or complained, but as the test expected."""
        bad = [
            line
            for line in self.log().splitlines()
            if re.search(r"(Fatal|Panic|Error|Warning): ", line)
            and not any(words in line for words in self.expected_errors)
        ]
        assert not bad, "\n".join(bad[:20])

    # The table.

    @property
    def table(self) -> TableStore:
        (table,) = self.driver.tables(self.settings(), self.host)
        assert table.table is Table.ACCOUNTS
        return table

    def put(self, *rows: tuple[str, Value | None]) -> None:
        """Apply rows as the next revision."""
        table = self.table
        position = table.position()
        table.apply(Batch(rows, position + 1, position))

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
            client._host = NODE  # type: ignore[attr-defined]
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


@contextlib.contextmanager
def private_dovecot(root: str, ca: TestCa, kind: type[Dovecot] = Dovecot) -> Iterator[Instance]:
    """Run a Dovecot of the machine whose root folder is given ('' is this one) in a folder that goes in the end."""
    # The folder's name is short: a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp"))
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        if root:
            mounted = Path(f"{root}{folder}")
            mounted.mkdir()
            undo.callback(mounted.rmdir)
            subprocess.run(["mount", "--bind", str(folder), str(mounted)], check=True)
            undo.callback(subprocess.run, ["umount", "--lazy", str(mounted)], check=True)
        instance = Instance(root, folder, f"127.0.{10 + os.getpid() % 200}.{next(_LAST) % 250 + 1}", ca, kind)
        undo.callback(instance.stop)
        instance.install()
        yield instance


def remove_mail_user(root: str) -> None:
    """Take away the user that the driver made."""
    prefix = ["chroot", root] if root else []
    for command in (["userdel", MAIL_USER], ["groupdel", MAIL_USER]):
        subprocess.run([*prefix, *command], check=False, capture_output=True)
