"""One private Postfix: its own folders, a high port on a loopback address of its own, and no systemd.

It runs in a mount namespace, in which ``/etc/hosts`` and ``/etc/resolv.conf`` are the test's: names of nodes are
found there as on a node of a cluster.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from roost.domain.cluster import Cluster, Domain, Node, Policy, Role, Suspended
from roost.domain.desired import NodeSettings, Value, settings_for
from roost.drivers.postfix import Layout, Postfix
from roost.host.line import hold
from roost.host.probe import greeting
from roost.ports.host import FILTER_DOOR, Facts

from ..common import services as common
from ..common.authority import TestCa
from ..common.driven import Driven
from ..common.machines import Rooted
from ..common.waiting import wait_until

SMTP, LMTP, LEAVING = 2525, 2424, 10026
DOMAINS = ("example.test", "other.test", "xn--bcher-kva.example")
_START = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && exec postfix -c "$3" start'


def row(address: str, home: str = "ms1.cluster.test", refuse: str = "") -> tuple[str, Value]:
    """Return the row of a mailbox whose local part is its label."""
    local, domain = address.split("@")
    return address, {"to": [f"{local}@{local}.pop.{domain}"], "hop": home, "refuse": refuse}


def alias(address: str, *targets: str) -> tuple[str, Value]:
    """Return the row of an alias."""
    return address, {"to": list(targets), "hop": "", "refuse": ""}


class PrivateServices(common.PrivateServices):
    """``Services`` for one Postfix, which is many processes and minds them itself."""

    def __init__(self, host: Rooted, folder: Path) -> None:
        super().__init__(host, "postfix.service")
        self._folder = folder

    def _postfix(self, word: str, *, check: bool = True) -> int:
        return self.host.run(["postfix", "-c", f"{self._folder}/etc", word], check=check).code

    def start(self) -> None:
        names = [str(self._folder / name) for name in ("hosts", "resolv.conf", "etc")]
        self.host.run(["unshare", "--mount", "sh", "-c", _START, "sh", *names])

    def stop(self) -> None:
        if self.runs():
            self._postfix("stop")

    def hang_up(self) -> None:
        self._postfix("reload")

    def runs(self) -> bool:
        return self._postfix("status", check=False) == 0


def mail_domain(name: str) -> Domain:
    """Return a domain that refuses mail for its suspended mailboxes, so that it is looked who is."""
    return replace(Domain.parse(name), suspended=Suspended.REFUSE)


class Instance(Driven):
    """A private Postfix: folder, files, processes, table, and clients. ``nodes`` is the whole cluster."""

    complaint = r": (fatal|panic|error|warning): "
    driver: Postfix

    def __init__(
        self, root: str, folder: Path, nodes: Sequence[Node], name: str, ca: TestCa, judge: str = FILTER_DOOR
    ) -> None:
        self.ca, self.folder, self.name = ca, folder, name
        self.host = Rooted(root)
        self.cluster = Cluster(
            "cluster.test", 1, tuple(nodes), tuple(mail_domain(name) for name in DOMAINS), Policy(filter="off")
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
            identity_certificate=f"{folder}/identity.crt",
            identity_key=f"{folder}/identity.key",
            leaving=f"{self.address}:{LEAVING}",
            listen=self.address,
            probe=self.address,
            smtp=SMTP,
            lmtp=LMTP,
            filter=judge,
        )
        self.services = PrivateServices(self.host, folder)
        self.logs = (folder / "log",)
        self.driver = Postfix(greeting, hold, self.layout)
        version = self.host.run(["postconf", "-h", "mail_version"]).out.strip()
        self.facts = Facts(release=0, versions={"postfix": version})
        # See the service tlsproxy in master.cf. A virtual machine's clocks may differ for a moment.
        self.expected = ["postfix/tlsproxy[", "file system clock is", "resetting file time stamps"]

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
        if self.driver.tables(self.settings(), self.host):
            self.put(*rows)
            self.table.complete()
        self.driver.activate(self.host, self.services, changed)
        self.wait_alive()

    def configure(self, wanted: NodeSettings | None = None) -> frozenset[str]:
        changed = super().configure(wanted)
        self.wait_alive()
        return changed

    def set_policy(self, **changes: object) -> None:
        """Change the policy, and wait until a new session has it."""
        self.cluster = replace(self.cluster, policy=replace(self.cluster.policy, **changes))  # type: ignore[arg-type]
        self.configure()

    def renew_certificate(self) -> None:
        """Make both certificates anew, each good for its own purpose only, as the controller makes them."""
        fingerprint = self.ca.issue(self.folder, (self.name,), usage=ExtendedKeyUsageOID.SERVER_AUTH)
        self.ca.issue(self.folder, (self.name,), "identity", ExtendedKeyUsageOID.CLIENT_AUTH)
        self.facts = replace(self.facts, certificate=fingerprint)

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
        wait_until(lambda: self.rcpt("somebody@outside.test")[0] == 554, "loopback is trusted no more")

    def stop(self) -> None:
        super().stop()
        self.driver.close()

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

    def hand_over(self, sender: str, *to: str, content: bytes = b"Subject: x\r\n\r\nx\r\n") -> None:
        """Send what a user's rules send, as the home's Dovecot does."""
        with smtplib.SMTP(self.address, LEAVING, timeout=60) as client:
            refused = client.sendmail(sender, to, content)
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

    def flush(self) -> None:
        """Have everything that waits tried now."""
        self.host.run(["postqueue", "-c", self.layout.config, "-f"])

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


def node(name: str, role: Role, address: str, *more: Role) -> Node:
    """Return a node."""
    return Node(name, frozenset({role, *more}), (address,))


def stop_leftovers(folder: Path) -> None:
    """End what a start that failed half way may have left."""
    pid = folder / "queue/pid/master.pid"
    if pid.exists() and pid.read_text().strip().isdigit():
        subprocess.run(["kill", pid.read_text().strip()], check=False, capture_output=True)
