"""Every driver, in the order in which the agent brings them up: names first, since all others ask for them."""

from __future__ import annotations

from roost.drivers.bind.driver import Bind
from roost.drivers.dovecot.driver import Dovecot
from roost.drivers.hosts.driver import Hosts
from roost.drivers.postfix.driver import Postfix
from roost.drivers.unbound.driver import Unbound
from roost.host.probe import greeting
from roost.ports.clock import Clock
from roost.ports.driver import Driver


def drivers(clock: Clock) -> tuple[Driver, ...]:
    """Return the drivers for this machine."""
    return (Unbound(), Hosts(), Bind(), Dovecot(clock, greeting), Postfix(greeting))
