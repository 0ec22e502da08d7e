"""Machines with a journal and rsyslogd: real daemons in a mount namespace of their own, with units and no systemd.

A machine has its own ``/run`` and ``/var/log/journal``, folders of the test. Its units are those that the driver
writes: ``ExecStartPre`` and ``ExecStart`` are run as they stand there.
"""

from __future__ import annotations

import contextlib
import datetime
import grp
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.control.authority import Authority, key_to_pem
from roost.domain.cluster import Policy, Role
from roost.domain.desired import NodeSettings, Peer
from roost.domain.logs import Doubles
from roost.drivers.rsyslog import Place, Rsyslog
from roost.drivers.rsyslog.driver import COLLECTOR, DEBIANS_OWN, JOURNALD, sender
from roost.ports.host import Facts, Ran

from ..common.driven import Driven
from ..common.machines import Rooted
from ..common.services import Process
from ..common.waiting import wait_until

MX, HOME, LOG, LOG2 = "mx1.cluster.test", "ms1.cluster.test", "log1.cluster.test", "log2.cluster.test"
_ROLES = {MX: Role.MX, HOME: Role.STORAGE, LOG: Role.LOG, LOG2: Role.LOG}
_QUIET = "[Journal]\nReadKMsg=no\nAudit=no\n"
DEV_LOG = "run/systemd/journal/dev-log"
_STOP_SECONDS = 10  # TimeoutStopSec of the units
_JOURNALD = ["/lib/systemd/systemd-journald"]


class Cluster:
    """The certificates of a cluster, and where its log nodes listen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        now = datetime.datetime.now(datetime.UTC)
        key, certificate = Authority.create("cluster.test", now)
        self._authority, self._now = Authority(key, certificate), now
        (folder / "ca.crt").write_text(certificate)
        for name in _ROLES:
            for kind in ("identity", "service"):
                self.issue(name, kind)

    def issue(self, name: str, kind: str) -> None:
        """Write a node's certificate and key, as the controller signs them."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "asked")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        signed = (
            self._authority.sign_identity(pem, name, self._now)
            if kind == "identity"
            else self._authority.sign_service(pem, [name], self._now)
        )
        self.path(name, kind, "crt").write_text(signed)
        self.path(name, kind, "key").write_text(key_to_pem(key))

    def path(self, name: str, kind: str, end: str) -> Path:
        return self.folder / f"{name}.{kind}.{end}"


def settings(name: str, addresses: dict[str, str], log_nodes: Sequence[str] = (LOG,)) -> NodeSettings:
    """Return a node's settings; ``addresses`` are those of the log nodes."""
    names = [MX, HOME, *log_nodes]
    peers = tuple(Peer(n, (addresses.get(n, "127.0.0.9"),), (_ROLES[n],)) for n in names)
    (own,) = (peer for peer in peers if peer.name == name)
    return NodeSettings(name, own.roles, own.addresses, "cluster.test", 1, peers, (), (name,), Policy())


class Inside(Rooted):
    """The test's machine, with commands run in the namespace of one process (and below another root)."""

    def __init__(self, root: str, holder: int) -> None:
        super().__init__(root)
        self._holder = holder

    def argv(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self._holder), "--mount", *super().argv(argv)]

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, seconds: float = 60.0) -> Ran:
        if argv[0] == "systemctl":
            return Ran(tuple(argv), 0, "", "")
        return super().run(argv, stdin=stdin, check=check, seconds=seconds)


class Units:
    """``Services``: journald, and the units that the driver has written. Of others it only notes whether they run."""

    def __init__(self, host: Rooted, units: Path, output: Path) -> None:
        self._host, self._units, self._output = host, units, output
        self._processes: dict[str, Process] = {}
        self._noted: set[str] = set()

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def process(self, unit: str) -> Process:
        """Return the process of a unit; made anew when its files may have changed."""
        return self._processes[unit]

    def _argvs(self, unit: str) -> tuple[list[str], list[str]]:
        name, at, instance = unit.removesuffix(".service").partition("@")
        text = (self._units / f"{name}{at}.service").read_text().replace("%i", instance)
        found = dict(re.findall(r"^(ExecStartPre|ExecStart)=(.+)$", text, re.MULTILINE))
        return found["ExecStartPre"].split(), found["ExecStart"].split()

    def enable(self, unit: str) -> None:
        if unit in (DEBIANS_OWN,) or unit.endswith(".timer"):
            self._noted.add(unit)
        elif not self.is_active(unit):
            before, argv = ([], _JOURNALD) if unit == JOURNALD else self._argvs(unit)
            if before:
                self._host.run(before)
            process = Process(self._host, unit, argv, self._output)
            process.enable(unit)
            self._processes[unit] = process
            if unit == JOURNALD:
                wait_until(self._journald_listens, "journald listens")

    def _journald_listens(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line, contextlib.suppress(OSError):
            line.connect(str(self._units.parent / DEV_LOG))
            return True
        return False

    def disable(self, unit: str) -> None:
        self._noted.discard(unit)
        if unit in self._processes:
            _end(self._processes.pop(unit))

    def reload(self, unit: str) -> None:
        raise NotImplementedError

    def restart(self, unit: str) -> None:
        self.disable(unit)
        self.enable(unit)

    def is_active(self, unit: str) -> bool:
        return unit in self._noted or (unit in self._processes and self._processes[unit].runs())

    def as_systemd(self) -> None:
        """Start again what ended by itself, as the units' ``Restart=always`` says."""
        for unit in [unit for unit, process in self._processes.items() if not process.runs()]:
            self.restart(unit)

    def kill(self, unit: str) -> None:
        """Kill a unit's process with SIGKILL; it is not started again."""
        self._processes.pop(unit).kill()

    def stop_all(self) -> None:
        for process in self._processes.values():
            _end(process)
        self._processes.clear()


def _end(process: Process) -> None:
    """End a process as systemd does: one that does not stop in time is killed."""
    if process.process is not None and process.runs():
        process.process.terminate()
        process.thaw()
        try:
            process.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


class Box(Driven):
    """A node: its journal, its senders, and on a log node its collector."""

    facts = Facts(12, {"rsyslog": "8.2302.0"}, "c0ffee")
    host: Inside
    services: Units  # type: ignore[assignment]

    def __init__(
        self, folder: Path, name: str, cluster: Cluster, wanted: NodeSettings, holder: int, root: str, room: int
    ) -> None:
        self.folder, self.name, self.wanted, self.cluster, self.room = folder, name, wanted, cluster, room
        self.place = self.placed(name)
        self.host = Inside(root, holder)
        self.logs = (folder / "output",)
        self.services = Units(self.host, folder / "units", folder / "output")
        self.driver = Rsyslog(self.place)

    def placed(self, certificate_of: str) -> Place:
        """Return the place with the certificates of a node."""
        path, folder = self.cluster.path, self.folder
        return Place(
            conf=str(folder / "conf"),
            units=str(folder / "units"),
            journald=str(folder / "run/systemd/journald.conf.d/roost.conf"),
            state=str(folder / "state"),
            logs=str(folder / "logs"),
            room=self.room,
            group=grp.getgrgid(os.getgid()).gr_name,
            listen=self.wanted.addresses[0],
            ca=str(self.cluster.folder / "ca.crt"),
            certificate=str(path(certificate_of, "service", "crt")),
            key=str(path(certificate_of, "service", "key")),
            identity=str(path(certificate_of, "identity", "crt")),
            identity_key=str(path(certificate_of, "identity", "key")),
        )

    def settings(self) -> NodeSettings:
        return self.wanted

    # What daemons on it do

    def say(self, text: bytes, program: str = "postfix/smtpd", pid: int = 42) -> None:
        """Log a line as syslog(3) does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            line.connect(str(self.folder / DEV_LOG))
            line.send(b"<22>Nov 26 01:02:03 " + f"{program}[{pid}]: ".encode() + text)

    def say_many(self, first: int, last: int) -> None:
        """Log numbered lines."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect(str(self.folder / DEV_LOG))
            for number in range(first, last + 1):
                line.send(f"<22>Nov 26 01:02:03 postfix/qmgr[{number % 7}]: line {number}".encode())

    # What a log node has

    def files(self, node: str) -> list[Path]:
        return sorted((self.folder / "logs").glob(f"*/{node}.log"))

    def raw(self, node: str) -> list[str]:
        """Return a node's lines as they stand in the files, whole ones only."""
        text = b"".join(path.read_bytes() for path in self.files(node)).decode(errors="surrogateescape")
        return text.split("\n")[:-1]

    def lines(self, node: str) -> list[str]:
        """Return them without doubles."""
        doubles = Doubles()
        return [line for line in self.raw(node) if not doubles.seen(line)]

    def numbers(self, node: str) -> list[int]:
        """Return the numbers of the numbered lines, without doubles, in their order."""
        return [int(found.group(1)) for line in self.lines(node) if (found := re.search(r": line (\d+)$", line))]

    def wait_for(self, node: str, text: str, seconds: float = 30) -> str:
        """Wait for a line that ends so, and return it."""
        wait_until(
            lambda: any(line.endswith(text) for line in self.raw(node)), f"{text[:80]!r} is in {node}.log", seconds
        )
        return next(line for line in self.raw(node) if line.endswith(text))

    @property
    def sent(self) -> Process:
        return self.services.process(sender(LOG))

    @property
    def collector(self) -> Process:
        return self.services.process(COLLECTOR)


@contextlib.contextmanager
def one_box(
    folder: Path, name: str, cluster: Cluster, wanted: NodeSettings, root: str = "", *, room: int = 64 << 20
) -> Iterator[Box]:
    """A machine with a journal, before the driver has done anything; its folder is seen below the root.

    ``room`` is what its collector wants to be free before it starts.
    """
    for path in ("run/systemd/journal", "run/systemd/journald.conf.d", "journal", "units"):
        (folder / path).mkdir(parents=True)
    (folder / "run/systemd/journald.conf.d/zz-test.conf").write_text(_QUIET)
    (folder / "run/systemd/journal/flushed").touch()
    (Path(f"{root}/") / "var/log/journal").mkdir(parents=True, exist_ok=True)
    identity = Path(f"{root}/etc/machine-id")
    if not identity.exists() or not identity.read_text().strip():
        identity.write_text(f"{uuid.uuid4().hex}\n")  # a machine that was never booted
    mounts = [
        f"mount --bind {folder}/run {root}/run",
        f"mount --bind {folder}/journal {root}/var/log/journal",
        *([f"mount --rbind {there} {root}{there}" for there in ("/sys", "/proc", "/dev")] if root else []),
        "echo ready",
        "exec sleep infinity",
    ]
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", "\n".join(mounts)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        box = Box(folder, name, cluster, wanted, holder.pid, root, room)
        try:
            yield box
        finally:
            box.services.stop_all()
    finally:
        holder.kill()
        holder.communicate()
