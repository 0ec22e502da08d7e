"""Who may deliver mail to a home, teach an MX, and send through it: the packet filter."""

from roost.drivers.nftables.driver import Nftables

__all__ = ["Nftables"]
