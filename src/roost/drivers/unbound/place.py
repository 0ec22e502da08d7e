"""Where Unbound's files and sockets are on this machine.

The defaults are Debian's, which its AppArmor profile allows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Paths, addresses and account. Tests give a temporary folder and high ports."""

    conf: str = "/etc/unbound/unbound.conf"
    defaults: str = "/etc/default/unbound"
    """Environment of the unit (its ``EnvironmentFile``)."""

    resolv_conf: str = "/etc/resolv.conf"
    control_socket: str = "/run/unbound.ctl"
    pid_file: str = "/run/unbound.pid"
    user: str = "unbound"
    addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    """Where it answers; the first is the one in ``resolv.conf``."""

    port: int = 53
    dns_port: int = 53
    """Port of the cluster's DNS servers and of the forwarders."""

    root_hints: str = "/usr/share/dns/root.hints"
    trust_anchor: str = "/usr/share/dns/root.key"
    unit: str = "unbound"
