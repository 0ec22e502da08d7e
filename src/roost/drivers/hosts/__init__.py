"""The names of the cluster's nodes in ``/etc/hosts``, on every node."""

from roost.drivers.hosts.driver import Hosts

__all__ = ["Hosts"]
