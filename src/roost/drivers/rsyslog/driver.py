"""The driver of the logs: senders on every node, the collector on log nodes. See the README for what and why."""

from __future__ import annotations

import time

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.rsyslog import render
from roost.drivers.rsyslog.place import Place
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

JOURNALD = "systemd-journald.service"
DEBIANS_OWN = "rsyslog.service"
COLLECTOR = "roost-collect-logs.service"
TIDY = "roost-tidy-logs.timer"
_LISTEN_SECONDS = 5.0
_ROOM_SECONDS = 10.0
_MEGABYTE = 1 << 20
_SHARE_TO_WARN = 20


def sender(log_node: str) -> str:
    """Return the unit that sends to a log node."""
    return f"roost-send-logs@{log_node}.service"


class Rsyslog:
    """Implements ``roost.ports.driver.Driver`` for rsyslog 8.2302 and 8.2504, and journald's settings."""

    name = "rsyslog"
    roles: frozenset[Role] = frozenset()
    waits_for_table: Table | None = None

    def __init__(self, place: Place | None = None) -> None:
        self._place = place or Place()
        self._looked = -_ROOM_SECONDS
        self._warning = ""

    def packages(self) -> tuple[str, ...]:
        """Return the packages; logrotate is for Debian's own files, where the policy wants them."""
        return ("rsyslog", "rsyslog-relp", "logrotate")

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files; see ``render.py``."""
        return render.render(settings, facts, self._place)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folders of settings, of places in the journal, and of the logs."""
        place = self._place
        return (
            (place.conf, 0o755, "root:root"),
            (place.state, 0o700, "root:root"),
            (place.logs, 0o750, f"root:{place.group}"),
        )

    def check(self, host: Host) -> None:
        """Ask rsyslogd about each configuration; what it only warns of fails too."""
        for path in self._confs(host):
            ran = host.run(["rsyslogd", "-N1", "-iNONE", "-f", path], check=False)
            words = [line for line in ran.err.splitlines() if "config validation run" not in line and line.strip()]
            if ran.code != 0 or words:
                raise DaemonFailed(f"rsyslogd -N1 -f {path}: {' '.join(words) or ran.code}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Restart what has new files (rsyslogd reads none while it runs), end what has none any more."""
        place = self._place
        if any(path.startswith(f"{place.units}/") for path in changed):
            host.run(["systemctl", "daemon-reload"])
        if place.journald in changed:
            services.restart(JOURNALD)
        if render.local_copy_in(self._journald(host)):
            services.enable(DEBIANS_OWN)
        else:
            services.disable(DEBIANS_OWN)
        for path in sorted(changed):
            if path.startswith(f"{place.conf}/to-") and host.read(path) is None:
                services.disable(sender(path.removeprefix(f"{place.conf}/to-").removesuffix(".conf")))
        units = {place.sender(name): sender(name) for name in render.log_nodes_in(self._journald(host))}
        if host.read(place.collector) is not None:
            units[place.collector] = COLLECTOR
            services.enable(TIDY)
        else:
            services.disable(TIDY)
            services.disable(COLLECTOR)
        for path, unit in units.items():
            self._bring(host, services, unit, new=path in changed or any(p.endswith("@.service") for p in changed))

    def _bring(self, host: Host, services: Services, unit: str, *, new: bool) -> None:
        running = services.is_active(unit)
        if not running and unit == COLLECTOR and self._room(host)[0] < self._place.room:
            # It would not start; systemd tries again and again, and ``tick`` says why.
            return
        services.enable(unit)
        if running and new:
            services.restart(unit)

    def alive(self, host: Host, services: Services) -> None:
        """Raise unless all senders run, and the collector listens for every node.

        A collector that waits for room is as it should be: its settings are right. ``tick`` complains of the room.
        """
        units = [sender(name) for name in render.log_nodes_in(self._journald(host))]
        collector = host.read(self._place.collector)
        if collector and not services.is_active(COLLECTOR) and self._room(host)[0] < self._place.room:
            collector = None
        if collector:
            units += [COLLECTOR, TIDY]
        for unit in units:
            if not services.is_active(unit):
                raise DaemonFailed(f"{unit} does not run.", remedy=f"See 'journalctl -u {unit}'.")
        if services.is_active(DEBIANS_OWN) != render.local_copy_in(self._journald(host)):
            raise DaemonFailed(f"{DEBIANS_OWN} runs, or does not, against the policy (logs_local_copy).")
        if collector:
            self._require_ports(host, render.ports_in(collector.content))

    def _require_ports(self, host: Host, wanted: frozenset[str]) -> None:
        """Raise unless somebody listens on all ports: a collector that cannot have one goes on without it."""
        end = time.monotonic() + _LISTEN_SECONDS
        while missing := wanted - self._listening(host):
            if time.monotonic() > end:
                raise DaemonFailed(
                    f"{COLLECTOR} does not listen on port {', '.join(sorted(missing))}.",
                    remedy=f"See 'journalctl -u {COLLECTOR}'.",
                )
            time.sleep(0.05)

    def _listening(self, host: Host) -> frozenset[str]:
        lines = host.run(["ss", "-H", "-l", "-n", "-t"]).out.splitlines()
        return frozenset(line.split()[3].rpartition(":")[2] for line in lines)

    def _journald(self, host: Host) -> str:
        file = host.read(self._place.journald)
        return file.content if file else ""

    def _confs(self, host: Host) -> list[str]:
        paths = [self._place.sender(name) for name in render.log_nodes_in(self._journald(host))]
        return [path for path in (*paths, self._place.collector) if host.read(path) is not None]

    def stop(self, services: Services) -> None:
        """Never called: every node has this driver."""
        del services

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return none."""
        del settings, host
        return ()

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Raise on a log node whose room comes to an end. A timer tidies, the agent asks ``alive`` at each look."""
        if Role.LOG not in settings.roles:
            return
        if time.monotonic() - self._looked >= _ROOM_SECONDS:
            self._looked, self._warning = time.monotonic(), self._complaint_of_room(host)
        if self._warning:
            raise DaemonFailed(self._warning, remedy="Make room, or set logs_keep_days lower.")

    def _complaint_of_room(self, host: Host) -> str:
        free, size = self._room(host)
        place = self._place
        if free >= max(place.room, min(place.room_to_warn, size // _SHARE_TO_WARN)):
            return ""
        said = f"{place.logs} has {free // _MEGABYTE} MB of room left"
        return f"{said}: the nodes keep their lines until there is more." if free < place.room else f"{said}."

    def _room(self, host: Host) -> tuple[int, int]:
        """Return free bytes and size of the file system of the logs."""
        said = host.run(["df", "--output=avail,size", "-B", "1", self._place.logs]).out.split()
        return int(said[-2]), int(said[-1])
