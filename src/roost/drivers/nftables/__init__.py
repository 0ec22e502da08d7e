"""Who may deliver mail to a home, and teach an MX: the packet filter."""

from roost.drivers.nftables.driver import Nftables

__all__ = ["Nftables"]
