"""The driver of BIND: keys, files, zones, and the table of names. See the README for what it owns and why.

``check`` makes what named-checkconf(1) must find (keys, the files of new zones), since it is called before
``activate``; both may be repeated at any time.
"""

from __future__ import annotations

import dns.rcode

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.bind import keys, render, zones
from roost.drivers.bind.link import Link
from roost.drivers.bind.place import Place
from roost.drivers.bind.table import NamesTable
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_APEXES_PER_TICK = 50


class Bind:
    """Implements ``roost.ports.driver.Driver`` for BIND 9.18 and 9.20."""

    name = "bind"
    roles = frozenset({Role.DNS})
    waits_for_table: Table | None = None

    def __init__(self, place: Place | None = None) -> None:
        self._place = place or Place()
        self._next_apex = 0

    def packages(self) -> tuple[str, ...]:
        """Return the packages; bind9-utils has named-checkconf and rndc."""
        return ("bind9", "bind9-utils")

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files; see ``render.py``."""
        return render.render(settings, facts, self._place)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folder of the zones, in which named writes."""
        return ((self._place.zones, 0o755, self._place.owner),)

    def check(self, host: Host) -> None:
        """Ask named-checkconf; a warning fails too, since every one it has is about something that we decided."""
        self._prepare(host)
        ran = host.run(["named-checkconf", self._place.conf], check=False)
        words = f"{ran.out}\n{ran.err}".strip()
        if ran.code != 0 or words:
            raise DaemonFailed(f"named-checkconf: {words or ran.code}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Run named with these files and zones; begin damaged zones anew; bring every apex to the settings."""
        place, link = self._place, Link(host, self._place)
        self._prepare(host)
        served = self._served(host)
        if place.drop_in in changed:
            host.run(["systemctl", "daemon-reload"])
        if not services.is_active(place.unit):
            services.enable(place.unit)
        elif link.rndc("status", check=False).code != 0:
            services.restart(place.unit)
        elif changed:
            link.rndc("reconfig")
        broken = zones.settle(link, served)
        if broken:
            zones.heal(host, link, place, served[0], broken)
        zones.retire(host, place, served)
        apex = zones.apex_of(host, place)
        for zone in served:
            zones.bring_apex(link, zone, apex)

    def _prepare(self, host: Host) -> None:
        file = host.read(self._place.conf)
        conf = file.content if file else ""
        served = render.zones_in(conf)
        if not served:
            raise DaemonFailed(f"{self._place.conf} is not ours: it names no zone.")
        keys.ensure(host, self._place, render.transfer_key_in(conf))
        zones.prepare(host, self._place, served)

    def _served(self, host: Host) -> tuple[str, ...]:
        file = host.read(self._place.conf)
        return render.zones_in(file.content if file else "")

    def alive(self, host: Host, services: Services) -> None:
        """Raise unless named runs and answers with authority for every zone."""
        if not services.is_active(self._place.unit):
            raise DaemonFailed(f"{self._place.unit} does not run.", remedy="See 'journalctl -u named'.")
        link = Link(host, self._place)
        for zone in self._served(host):
            code = link.code(zone)
            if code != dns.rcode.NOERROR:
                raise DaemonFailed(f"BIND answers {dns.rcode.to_text(code)} for the zone {zone}.")

    def stop(self, services: Services) -> None:
        """Stop named for good. Files and zones stay; a new start goes on from the revision that they have."""
        services.disable(self._place.unit)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the table of names."""
        return (NamesTable(host, self._place, render.zones_of(settings)),)

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Repair NS and SOA records, some zones each time."""
        link = Link(host, self._place)
        served = render.zones_of(settings)
        apex = zones.apex_of(host, self._place)
        for _ in range(min(_APEXES_PER_TICK, len(served))):
            self._next_apex = (self._next_apex + 1) % len(served)
            zones.bring_apex(link, served[self._next_apex], apex)
