"""The driver of Unbound: configuration, ``resolv.conf``, and whether it answers. See the README for what and why."""

from __future__ import annotations

import time

import dns.exception
import dns.message
import dns.query
import dns.rcode

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.unbound import render
from roost.drivers.unbound.place import Place
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_QUERY_SECONDS = 2.0
_RELOAD_SECONDS = 5.0
_TRIES = 3  # a machine under load may be late once


class Unbound:
    """Implements ``roost.ports.driver.Driver`` for Unbound 1.17 and later."""

    name = "unbound"
    roles: frozenset[Role] = frozenset()
    waits_for_table: Table | None = None

    def __init__(self, place: Place | None = None) -> None:
        self._place = place or Place()

    def packages(self) -> tuple[str, ...]:
        """Return the packages; dns-root-data has the root's addresses and keys."""
        return ("unbound", "dns-root-data")

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files; see ``render.py``."""
        return render.render(settings, facts, self._place)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return none: the package has made them."""
        return ()

    def check(self, host: Host) -> None:
        """Ask unbound-checkconf(8)."""
        host.run(["unbound-checkconf", self._place.conf])

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Make Unbound read its files; its cache starts anew where they have changed.

        A first activation restarts it, since a reload does not change the addresses on which it listens.
        """
        del host
        if not services.is_active(self._place.unit):
            services.enable(self._place.unit)
        elif self._place.defaults in changed:
            services.enable(self._place.unit)
            services.restart(self._place.unit)
        elif self._place.conf in changed:
            services.reload(self._place.unit)
        elif not changed:
            # It runs and does not answer, or this would not have been called.
            services.restart(self._place.unit)

    def alive(self, host: Host, services: Services) -> None:
        """Raise unless Unbound runs with its file and answers a query that needs no other server (RFC 6761, 6.3)."""
        place = self._place
        if not services.is_active(place.unit):
            raise DaemonFailed(f"{place.unit} does not run.", remedy=f"See 'journalctl -u {place.unit}'.")
        # One that hangs is found out by its silence at once; what it answers counts once it has read its file.
        self._ask()
        self._require_file(host)
        answer = self._ask()
        if answer.rcode() != dns.rcode.NOERROR:
            raise DaemonFailed(f"Unbound answers {dns.rcode.to_text(answer.rcode())} for localhost.")

    def _ask(self) -> dns.message.Message:
        place = self._place
        query = dns.message.make_query("localhost.", "A")
        for tries_left in reversed(range(_TRIES)):
            try:
                return dns.query.udp(query, place.addresses[0], timeout=_QUERY_SECONDS, port=place.port)
            except (dns.exception.DNSException, OSError) as error:
                if not tries_left:
                    raise DaemonFailed(f"Unbound does not answer on {place.addresses[0]}: {error}.") from error
        raise AssertionError  # the last try returns or raises

    def _require_file(self, host: Host) -> None:
        """Raise unless the running process has read the file that stands there: a reload takes a moment."""
        file = host.read(self._place.conf)
        wanted = render.identity_in(file.content) if file else ""
        ask = ["unbound-control", "-c", self._place.conf, "get_option", "identity"]
        end = time.monotonic() + _RELOAD_SECONDS
        while (ran := host.run(ask, check=False, seconds=_RELOAD_SECONDS)).out.strip() != wanted:
            if time.monotonic() > end:
                words = ran.err.strip() or ran.out.strip()
                raise DaemonFailed(f"Unbound has not taken its file {self._place.conf}: {words}")
            time.sleep(0.05)

    def stop(self, services: Services) -> None:
        """Stop Unbound for good."""
        services.disable(self._place.unit)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return none."""
        del settings, host
        return ()

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do nothing."""
