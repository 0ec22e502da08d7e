"""Who may deliver mail to a home: the packet filter of a storage node."""

from roost.drivers.nftables.driver import Nftables

__all__ = ["Nftables"]
