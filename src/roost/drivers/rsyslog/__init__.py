"""The cluster's logs: every node sends its journal to the log nodes, which keep it."""

from roost.drivers.rsyslog.driver import Rsyslog
from roost.drivers.rsyslog.place import Place

__all__ = ["Place", "Rsyslog"]
