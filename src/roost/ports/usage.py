"""What mailboxes are used, as a home's server tells it. Implemented by the driver of the IMAP server.

Only figures pass here: no subject, no name of a folder, no address of a stranger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from roost.domain.usage import Deed, Size


@dataclass(frozen=True)
class Reading:
    """What was done since the last place. ``place`` is where the next reading goes on.

    ``refused`` counts by reason what could not be believed or belongs to no mailbox of this node; ``more`` says that
    there is more to be read at once.
    """

    place: int
    deeds: list[Deed]
    refused: dict[str, int]
    more: bool


class Teller(Protocol):
    """What the server tells of each mailbox. All methods raise ``DaemonFailed``."""

    def read(self, place: int) -> Reading:
        """Return what sessions and deliveries did that ended since a place (0: the beginning); not all at once."""

    def forget(self, place: int) -> int:
        """Wipe out what lies before a place, once it is kept elsewhere; returns where reading goes on."""

    def size(self, number: int) -> Size | None:
        """Return how large a mailbox is; None where it is not here, or may not be looked at. Costs milliseconds."""
