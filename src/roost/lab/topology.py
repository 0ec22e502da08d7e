"""Which machines a lab has: plain values, and the lab that everybody gets by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal, get_args

from roost.domain.errors import BadSetting
from roost.drivers.dovecot.layout import Layout
from roost.ports.host import LOGS

Release = Literal["bookworm", "trixie"]
Flavour = Literal["roost", "plain", "bare"]

RELEASES: tuple[Release, ...] = get_args(Release)
DOMAIN = "cluster.test"
NETWORK = "198.18.0"
MAIL = Layout().mail
"""The folder of the mail on a storage server."""

# The last number of each address. Machines of a kind stand together, with room for more.
_DEFAULT_HOSTS: Mapping[str, int] = {
    "control": 2,
    "mx1": 11,
    "mx2": 12,
    "mx-backup": 13,
    "ns1": 21,
    "ns2": 22,
    "ms1": 31,
    "ms2": 32,
    "ms3": 33,
    "client": 100,
}


@dataclass(frozen=True)
class MachineSpec:
    """One machine that a lab should have.

    ``flavour``: ``roost`` has the packages of all roles and Roost itself installed; ``plain`` the packages only (the
    client); ``bare`` is a fresh Debian whose only package sources are two local folders, so that what a role needs
    must really be installed. ``volumes`` are paths inside the machine that get a file system of their own.
    """

    name: str
    address: str
    release: Release = "trixie"
    flavour: Flavour = "roost"
    volumes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # An interface of the bridge bears the short name, and the kernel takes 15 characters.
        if not self.short or len(self.short) > 15 or "." not in self.name or "/" in self.name:
            raise BadSetting(f"{self.name!r} cannot be a machine of the lab.", field="name")
        if self.release not in RELEASES:
            raise BadSetting(f"The lab has no Debian called {self.release!r}.", field="release")
        IPv4Address(self.address)

    @property
    def short(self) -> str:
        """The name before the first dot, unique in a lab."""
        return self.name.partition(".")[0]


def default_topology(
    *, release: Release = "trixie", releases: Mapping[str, Release] | None = None, network: str = NETWORK
) -> tuple[MachineSpec, ...]:
    """The default lab: a controller (the log node, too), MX hosts, name servers, storage servers and a client.

    ``release`` is the Debian of all; ``releases`` names the machines that have another. ``network`` is the first
    three numbers of the addresses.
    """
    others = dict(releases or {})
    if unknown := sorted(set(others) - set(_DEFAULT_HOSTS)):
        raise BadSetting(f"The default lab has no machine {', '.join(unknown)}.", field="releases")
    return tuple(
        MachineSpec(
            name=f"{short}.{DOMAIN}",
            address=f"{network}.{host}",
            release=others.get(short, release),
            flavour="plain" if short == "client" else "roost",
            volumes=_volumes(short),
        )
        for short, host in _DEFAULT_HOSTS.items()
    )


def _volumes(short: str) -> tuple[str, ...]:
    """Return what has a file system of its own: mail, as on most storage servers; the logs, which can fill theirs."""
    if short.startswith("ms"):
        return (MAIL,)
    return (LOGS,) if short == "control" else ()
