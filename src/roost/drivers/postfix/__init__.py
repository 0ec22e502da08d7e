"""Postfix: the daemon of the MX hosts and of the backup MX. SMTP from the world, LMTP to the homes."""

from roost.drivers.postfix.driver import Postfix
from roost.drivers.postfix.layout import Layout

__all__ = ["Layout", "Postfix"]
