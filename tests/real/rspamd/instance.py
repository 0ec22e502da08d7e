"""One private rspamd with a Redis of its own: a folder, a port on a loopback address, and no systemd."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from roost.domain.cluster import Cluster, Node, Policy
from roost.domain.desired import NodeSettings, settings_for
from roost.drivers.redis import Layout as MemoryLayout
from roost.drivers.redis import Redis
from roost.drivers.rspamd import Layout, Rspamd
from roost.host.probe import listens
from roost.ports.host import Facts, File

from ..common.driven import Driven
from ..common.machines import Rooted
from ..common.services import Process

MILTER = 21332
START_SECONDS = 60.0
"""The first start, with other tests beside it."""


class Memory(Driven):
    """A private Redis, open to the filter's user."""

    driver: Redis

    def __init__(self, root: str, folder: Path, settings: NodeSettings) -> None:
        self.host, self.wanted = Rooted(root), settings
        data = folder / "redis"
        data.mkdir()
        self.host.run(["chown", "redis:redis", str(data)])
        self.layout = MemoryLayout(
            conf=f"{folder}/redis.conf",
            socket=f"{data}/redis.sock",
            data=str(data),
            pid_file=f"{data}/pid",
            log=f"{data}/log",
        )
        self.driver = Redis(self.layout)
        self.logs = (data / "log",)
        user = ["setpriv", "--reuid=redis", "--regid=redis", "--clear-groups"]
        argv = [*user, "redis-server", self.layout.conf]
        self.services = Process(self.host, "redis-server.service", argv, folder / "redis.out")
        self.facts = Facts(release=0, versions={})

    def settings(self) -> NodeSettings:
        return self.wanted

    def owned(self, file: File) -> File:
        return replace(file, owner="root:root", mode=0o644)

    def empty(self) -> None:
        """Have it forget everything, and go on."""
        self.host.run(["redis-cli", "-s", self.layout.socket, "FLUSHALL"])

    def lose(self) -> None:
        """Have it forget everything: it stops, its data goes, it starts."""
        self.services.stop()
        self.host.run(["sh", "-c", f"rm -rf {self.layout.data}/appendonlydir"])
        self.bring()


class Filter(Driven):
    """A private rspamd with its memory."""

    driver: Rspamd
    services: Process
    complaint = r"lua error|cannot load|segfault|; cfg; .* error"

    def __init__(self, root: str, folder: Path, nodes: Sequence[Node], name: str, resolver: str) -> None:
        self.host, self.name = Rooted(root), name
        self.expected = []
        self._before = 0
        self.cluster = Cluster("cluster.test", 1, tuple(nodes), (), Policy())
        address = next(node for node in nodes if node.name == name).addresses[0]
        self.memory = Memory(root, folder, self.settings())
        for part in ("run", "data"):
            (folder / part).mkdir()
            self.host.run(["chown", "_rspamd:_rspamd", str(folder / part)])
        self.layout = Layout(
            conf=f"{folder}/rspamd.conf",
            lua=f"{folder}/roost.lua",
            unit=f"{folder}/unit.conf",
            run=f"{folder}/run",
            data=f"{folder}/data",
            milter=f"{address}:{MILTER}",
            memory=self.memory.layout.socket,
            resolver=resolver,
            clamd=f"{folder}/run/clamd.sock",
            log=f"{folder}/run/log",
            local=(),
        )
        self.systemd = frozenset({self.layout.unit})
        self.driver = Rspamd(listens, self.layout, START_SECONDS)
        self.logs = (folder / "run/log",)
        user = ["setpriv", "--reuid=_rspamd", "--regid=_rspamd", "--groups=_rspamd,redis"]
        argv = [*user, "rspamd", "-c", self.layout.conf, "-f"]
        self.services = Process(self.host, "rspamd.service", argv, folder / "rspamd.out")
        version = self.host.run(["rspamd", "--version"]).out.split()[3]
        # Two workers: both must have the new settings after a change.
        self.facts = Facts(release=0, versions={"rspamd": version}, processors=2)

    def settings(self) -> NodeSettings:
        return settings_for(self.cluster, self.name)

    def take(self, patterns: Path) -> None:
        """Begin with what an earlier run has translated for this processor."""
        for path in patterns.glob("*"):
            copied = Path(self.layout.data) / path.name
            shutil.copy(path, copied)
            self.host.run(["chown", "_rspamd:_rspamd", str(copied)])

    def give(self, patterns: Path) -> None:
        """Leave what was translated to the next run."""
        for path in Path(self.layout.data).glob("*.hsmp*"):
            shutil.copy(path, patterns / path.name)

    def renew(self) -> None:
        """Be as new, whatever was done before: everything runs, knows nothing, and has the default policy."""
        if not self.memory.services.runs():
            self.memory.bring()
        self.memory.empty()
        self.table.clear()
        if self.cluster.policy != Policy() or not self.services.runs():
            self.cluster = replace(self.cluster, policy=Policy())
            self.bring()
        self.driver.alive(self.host, self.services)
        self.expected = []
        self._before = len(super().log())

    def log(self) -> str:
        """Return what it has logged in this test."""
        return super().log()[self._before :]

    def set_policy(self, **changes: object) -> None:
        """Change the policy, as the agent brings it."""
        self.cluster = replace(self.cluster, policy=replace(self.cluster.policy, **changes))  # type: ignore[arg-type]
        self.bring()

    @property
    def workers(self) -> list[int]:
        """Return the processes of the workers that rspamd runs now, the old ones of a reload included."""
        pid = self.services.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def learned(self, kind: str) -> int:
        """Return how many messages of a kind, ``spam`` or ``ham``, it has learned (rspamc's statistics come late)."""
        argv = ["redis-cli", "-s", self.memory.layout.socket, "HGET", "RS", f"learns_{kind}"]
        return int(self.host.run(argv).out or 0)
