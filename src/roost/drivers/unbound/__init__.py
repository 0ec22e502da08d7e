"""Unbound, the resolver of each node for itself, and ``/etc/resolv.conf``, on every node."""

from roost.drivers.unbound.driver import Unbound
from roost.drivers.unbound.place import Place

__all__ = ["Place", "Unbound"]
