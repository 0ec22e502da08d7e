"""What the world's DNS says of this cluster, outside of its own zones. Implemented by ``roost.wire``.

Every method raises ``Unavailable`` where DNS gives no answer; a name that does not exist is an answer: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Record:
    """A record as it stands in a zone (``example.com. MX 10 mx1.cluster.example.``), the host that it names, in lower
    case without final dot, and for how many seconds it may be remembered."""

    text: str
    host: str
    ttl: int


class World(Protocol):
    """Asks DNS as anybody else does."""

    def mail_hosts(self, domain: str) -> list[Record]:
        """Return the MX records of a domain."""

    def delegation(self, zone: str) -> list[Record]:
        """Return the NS records by which the servers of the zone above lead to a zone."""

    def addresses(self, host: str) -> frozenset[str]:
        """Return the IP addresses of a host, as text; none where it does not exist."""
