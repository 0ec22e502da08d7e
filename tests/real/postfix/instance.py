"""One private Postfix: its own folders, a high port on a loopback address of its own, and no systemd.

It runs in a mount namespace, in which ``/etc/hosts`` and ``/etc/resolv.conf`` are the test's: names of nodes are
found there as on a node of a cluster.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dovecot.instance import Rooted, TestCa, wait_until

from roost.domain.cluster import Cluster, Domain, Node, Policy, Role
from roost.domain.desired import NodeSettings, Table, Value, settings_for
from roost.drivers.postfix import Layout, Postfix
from roost.host.machine import Machine
from roost.host.probe import greeting
from roost.ports.driver import Batch, TableStore
from roost.ports.host import Facts

SMTP, LMTP = 2525, 2424
DOMAINS = ("example.test", "other.test", "xn--bcher-kva.example")
_START = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && exec postfix -c "$3" start'


def row(address: str, home: str = "ms1.cluster.test", refuse: str = "") -> tuple[str, Value]:
    """Return the row of a mailbox whose local part is its label."""
    local, domain = address.split("@")
    return address, {"to": [f"{local}@{local}.pop.{domain}"], "hop": home, "refuse": refuse}


def alias(address: str, *targets: str) -> tuple[str, Value]:
    """Return the row of an alias."""
    return address, {"to": list(targets), "hop": "", "refuse": ""}


class PrivateServices:
    """``Services`` for one Postfix that is not systemd's."""

    def __init__(self, host: Machine, root: str, folder: Path) -> None:
        self._host, self._root, self._folder = host, root, folder
        self.calls: list[str] = []

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def enable(self, unit: str) -> None:
        self.calls.append("enable")
        if not self.is_active(unit):
            etc = self._folder / "etc"
            names = [str(self._folder / "hosts"), str(self._folder / "resolv.conf"), str(etc)]
            self._host.run(["unshare", "--mount", "sh", "-c", _START, "sh", *names])

    def disable(self, unit: str) -> None:
        self.calls.append("disable")
        if self.is_active(unit):
            self._host.run(["postfix", "-c", f"{self._folder}/etc", "stop"])

    def reload(self, unit: str) -> None:
        self.calls.append("reload")
        self._host.run(["postfix", "-c", f"{self._folder}/etc", "reload"])

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        return self._host.run(["postfix", "-c", f"{self._folder}/etc", "status"], check=False).code == 0


class Instance:
    """A private Postfix: folder, files, processes, table, and clients. ``nodes`` is the whole cluster."""

    def __init__(self, root: str, folder: Path, nodes: Sequence[Node], name: str, ca: TestCa) -> None:
        self.ca, self.folder, self.name = ca, folder, name
        self.host = Rooted(root)
        self.cluster = Cluster(
            "cluster.test", 1, tuple(nodes), tuple(Domain.parse(domain) for domain in DOMAINS), Policy()
        )
        self.address = next(node for node in nodes if node.name == name).addresses[0]
        self.layout = Layout(
            config=f"{folder}/etc",
            maps=f"{folder}/maps",
            queue=f"{folder}/queue",
            state=f"{folder}/state",
            log=f"{folder}/log",
            certificate=f"{folder}/service.crt",
            key=f"{folder}/service.key",
            ca=f"{folder}/ca.crt",
            listen=self.address,
            probe=self.address,
            smtp=SMTP,
            lmtp=LMTP,
        )
        self.services = PrivateServices(self.host, root, folder)
        self.driver = Postfix(greeting, self.layout)
        version = self.host.run(["postconf", "-h", "mail_version"]).out.strip()
        self.facts = Facts(release=0, versions={"postfix": version})
        # See the service tlsproxy in master.cf.
        self.expected_warnings = ["postfix/tlsproxy["]

    def settings(self) -> NodeSettings:
        return settings_for(self.cluster, self.name)

    def install(self, resolver: str, rows: Iterable[tuple[str, Value | None]] = ()) -> None:
        """Do what the agent does on a new node: files, table, and only then the daemon."""
        lines = [f"{address} {node.name}" for node in self.cluster.nodes for address in node.addresses]
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "\n".join(lines) + "\n")
        (self.folder / "resolv.conf").write_text(f"nameserver {resolver}\noptions timeout:1 attempts:1\n")
        (self.folder / "ca.crt").write_bytes(self.ca.path.read_bytes())
        self.renew_certificate()
        user = self.host.run(["getent", "passwd", "postfix"]).out.split(":")[2]
        group = self.host.run(["getent", "passwd", "postfix"]).out.split(":")[3]
        self.host.make_folder(self.layout.queue)
        self.host.make_folder(self.layout.state, 0o755, f"{user}:{group}")
        for path, mode, owner in self.driver.folders():
            self.host.make_folder(path, mode, owner)
        changed = self.write()
        self.driver.check(self.host)
        self.put(*rows)
        self.table.complete()
        self.driver.activate(self.host, self.services, changed)
        self.wait_alive()

    def write(self) -> frozenset[str]:
        changed = set()
        for file in self.driver.render(self.settings(), self.facts):
            before = self.host.read(file.path)
            if before is None or before.content != file.content:
                self.host.write(file)
                changed.add(file.path)
        return frozenset(changed)

    def configure(self) -> frozenset[str]:
        """Write what differs, check, activate; return the paths that changed."""
        changed = self.write()
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, changed)
        self.wait_alive()
        return changed

    def set_policy(self, **changes: object) -> None:
        """Change the policy, and wait until a new session has it."""
        self.cluster = replace(self.cluster, policy=replace(self.cluster.policy, **changes))  # type: ignore[arg-type]
        self.configure()

    def renew_certificate(self) -> None:
        self.facts = replace(self.facts, certificate=self.ca.issue(self.folder, (self.name,)))

    def certificate(self) -> bytes:
        """Return the certificate that a client is shown."""
        with self.client() as client:
            client._host = self.name  # type: ignore[attr-defined]
            client.starttls(context=ssl.create_default_context(cafile=str(self.ca.path)))
            return client.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]

    def distrust_loopback(self) -> None:
        """Take the trust from loopback, where the tests' own mail comes from."""
        file = self.host.read(self.layout.main)
        assert file is not None
        trusted = "mynetworks = 127.0.0.0/8, [::1]/128"
        assert trusted in file.content
        self.host.write(replace(file, content=file.content.replace(trusted, "mynetworks = 192.0.2.0/24")))
        self.services.reload("")

    def wait_alive(self) -> None:
        def alive() -> bool:
            with contextlib.suppress(Exception):
                self.driver.alive(self.host, self.services)
                return True
            return False

        deadline = time.monotonic() + 20
        while not alive():
            if time.monotonic() > deadline:
                raise AssertionError(self.log()[-4000:])
            time.sleep(0.05)

    def stop(self) -> None:
        self.driver.stop(self.services)
        self.driver.close()

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def assert_log_is_clean(self) -> None:
        """No process may have crashed, warned or complained, but as the test expected."""
        bad = [
            line
            for line in self.log().splitlines()
            if re.search(r": (fatal|panic|error|warning): ", line)
            and not any(words in line for words in self.expected_warnings)
        ]
        assert not bad, "\n".join(bad[:20])

    # The table.

    @property
    def table(self) -> TableStore:
        (table,) = self.driver.tables(self.settings(), self.host)
        assert table.table is Table.RECIPIENTS
        return table

    def put(self, *rows: tuple[str, Value | None]) -> None:
        """Apply rows as the next revision."""
        table = self.table
        position = table.position()
        table.apply(Batch(rows, position + 1, position))

    def lookup(self, key: str, table: str) -> str:
        """Return what Postfix's own tool finds."""
        return self.host.run(
            ["postmap", "-c", self.layout.config, "-q", key, f"lmdb:{table}"], check=False
        ).out.strip()

    # Clients.

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP(self.address, SMTP, local_hostname="client.outside.test", timeout=60)

    def send(
        self, *to: str, content: bytes = b"Subject: x\r\n\r\nx\r\n", sender: str = "a@outside.test", tls: bool = False
    ) -> None:
        """Send a message as a stranger; any refusal raises."""
        with self.client() as client:
            if tls:
                context = ssl.create_default_context(cafile=str(self.ca.path))
                client._host = self.name  # type: ignore[attr-defined]
                client.starttls(context=context)
            client.ehlo()
            options = ["BODY=8BITMIME"]
            if not (sender + "".join(to)).isascii() or not content.partition(b"\r\n\r\n")[0].isascii():
                client.command_encoding = "utf-8"
                options.append("SMTPUTF8")
            refused = client.sendmail(sender, to, content, options)
            assert not refused, refused

    def rcpt(self, to: str) -> tuple[int, str]:
        """Return the reply to RCPT TO."""
        with self.client() as client:
            client.ehlo()
            client.command_encoding = "utf-8"
            smtputf8 = [] if to.isascii() else ["SMTPUTF8"]
            assert client.mail("a@outside.test", smtputf8)[0] == 250
            code, words = client.rcpt(to)
            return code, words.decode()

    def accepts(self, to: str) -> bool:
        """Say whether a recipient is accepted; a session that cannot be had is a no."""
        try:
            return self.rcpt(to)[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def queue(self) -> list[dict[str, object]]:
        """Return what waits, as postqueue(1) tells it."""
        out = self.host.run(["postqueue", "-c", self.layout.config, "-j"]).out
        return [json.loads(line) for line in out.splitlines()]

    def reasons(self) -> list[str]:
        """Return why recipients wait."""
        return [
            str(recipient.get("delay_reason", ""))
            for message in self.queue()
            if message["queue_name"] == "deferred"
            for recipient in message["recipients"]  # type: ignore[attr-defined]
        ]

    def wait_deferred(self, count: int = 1) -> list[str]:
        wait_until(lambda: len([reason for reason in self.reasons() if reason]) >= count, "mail waits")
        return self.reasons()

    def tick_until(self, said: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Tick as the agent does, though faster, until a fact is true."""

        def tick() -> object:
            self.driver.tick(self.settings(), self.host)
            time.sleep(0.1)
            return said()

        wait_until(tick, what, seconds)


def node(name: str, role: Role, address: str) -> Node:
    """Return a node."""
    return Node(name, frozenset({role}), (address,))


@contextlib.contextmanager
def folder_of(root: str) -> Iterator[Path]:
    """A folder with a short name (a socket's path may have 107 bytes), under the same name in both roots."""
    folder = Path(tempfile.mkdtemp(prefix="rp-", dir="/tmp"))
    folder.chmod(0o755)
    mounted = Path(f"{root}{folder}")
    try:
        if root:
            mounted.mkdir()
            subprocess.run(["mount", "--bind", str(folder), str(mounted)], check=True)
        yield folder
    finally:
        if root:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            mounted.rmdir()
        shutil.rmtree(folder)


def stop_leftovers(folder: Path) -> None:
    """End what a start that failed half way may have left."""
    pid = folder / "queue/pid/master.pid"
    if pid.exists() and pid.read_text().strip().isdigit():
        subprocess.run(["kill", pid.read_text().strip()], check=False, capture_output=True)
