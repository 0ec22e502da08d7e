"""Dovecot: the daemon of storage nodes. IMAP and POP3 to people, LMTP from the MX hosts, accounts in SQLite."""

from roost.drivers.dovecot.driver import Dovecot
from roost.drivers.dovecot.layout import Layout

__all__ = ["Dovecot", "Layout"]
