"""The driver of Postfix: implements ``roost.ports.driver.Driver`` for MX and backup MX hosts."""

from __future__ import annotations

from collections.abc import Callable

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.postfix import render
from roost.drivers.postfix.place import Place
from roost.drivers.postfix.recipients import Recipients
from roost.drivers.postfix.returning import Returning
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_TRIES = 3  # a busy host may be late with its greeting once


class Postfix:
    """``probe(address, port)`` returns the first line that a server says, '' where it says none in time."""

    name = "postfix"
    roles = frozenset({Role.MX, Role.BACKUP_MX})
    waits_for_table: Table | None = Table.RECIPIENTS

    def __init__(self, probe: Callable[[str, int], str], place: Place | None = None) -> None:
        self._probe = probe
        self._place = place or Place()
        self._recipients: Recipients | None = None
        self._returning = Returning(self._place, probe)

    def packages(self) -> tuple[str, ...]:
        """Return Debian's packages."""
        return ("postfix", "postfix-lmdb")

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files; see ``render.py``."""
        return render.render(settings, facts, self._place)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folder of the tables."""
        return ((self._place.tables, 0o755, "root:root"),)

    def check(self, host: Host) -> None:
        """Ask postfix(1) and postconf(1); a warning fails too, since it is about something that we have written."""
        for argv in (["postfix", "-c", self._place.etc, "check"], ["postconf", "-c", self._place.etc, "-n"]):
            ran = host.run(argv, check=False)
            if ran.code != 0 or ran.err.strip():
                raise DaemonFailed(f"{argv[0]}: {ran.err.strip() or ran.out.strip()[-500:] or ran.code}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Start, reload, or restart what does not answer. A changed master.cf is a restart: listeners may differ."""
        del host
        self._open()
        unit = self._place.unit
        if not services.is_active(unit):
            services.enable(unit)
        elif changed and self._place.master not in changed:
            services.enable(unit)
            services.reload(unit)
        else:
            services.enable(unit)
            services.restart(unit)

    def alive(self, host: Host, services: Services) -> None:
        """Raise unless Postfix runs and greets."""
        del host
        place = self._place
        if not services.is_active(place.unit):
            raise DaemonFailed(f"{place.unit} does not run.", remedy="See 'journalctl -u postfix*'.")
        for _ in range(_TRIES):
            line = self._probe(place.probe, place.port)
            if line.startswith("220"):
                return
        raise DaemonFailed(f"Postfix says {line!r} on port {place.port} where a greeting was expected.")

    def stop(self, services: Services) -> None:
        """Stop Postfix for good; queue and tables stay."""
        services.disable(self._place.unit)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the table ``recipients``."""
        del settings, host
        return (self._open(),)

    def _open(self) -> Recipients:
        if self._recipients is None:
            self._recipients = Recipients(self._place)
        return self._recipients

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """See whether a server for which mail waits is back; see ``returning.py``."""
        self._returning.look(host, self._servers(settings))

    def _servers(self, settings: NodeSettings) -> list[tuple[str, int]]:
        if Role.BACKUP_MX in settings.roles:
            return [(peer.addresses[0], self._place.port) for peer in settings.having(Role.MX)]
        return [(peer.addresses[0], self._place.home_port) for peer in settings.having(Role.STORAGE)]
