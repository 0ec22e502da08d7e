"""BIND, the authoritative server of the cluster's zones, on every node with the role ``dns``."""

from roost.drivers.bind.driver import Bind
from roost.drivers.bind.place import Place

__all__ = ["Bind", "Place"]
