"""Every driver, in the order in which the agent brings them up.

Names come first, since all others ask for them; and BIND before Unbound, because as Debian starts it, before it has
our configuration, it holds the addresses that Unbound wants. The packet filter comes before the log's collector and
Dovecot, whose ports it guards; the log before the daemons that it tells of; Redis before the filter, whose memory it
is, and the filter before Postfix, which asks it.
"""

from __future__ import annotations

from roost.drivers.bind.driver import Bind
from roost.drivers.dovecot.driver import Dovecot
from roost.drivers.hosts.driver import Hosts
from roost.drivers.nftables.driver import Nftables
from roost.drivers.postfix.driver import Postfix
from roost.drivers.redis.driver import Redis
from roost.drivers.rspamd.driver import Rspamd
from roost.drivers.rsyslog.driver import Rsyslog
from roost.drivers.unbound.driver import Unbound
from roost.host.line import hold
from roost.host.probe import greeting, listens
from roost.ports.clock import Clock
from roost.ports.driver import Driver


def drivers(clock: Clock) -> tuple[Driver, ...]:
    """Return the drivers for this machine."""
    return (
        Bind(),
        Unbound(),
        Hosts(),
        Nftables(),
        Rsyslog(),
        Dovecot(clock, greeting),
        Redis(),
        Rspamd(listens),
        Postfix(greeting, hold),
    )
