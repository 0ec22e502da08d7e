"""rspamd, the spam filter of each MX: a milter of its Postfix, on its own."""

from roost.drivers.rspamd.driver import Rspamd
from roost.drivers.rspamd.layout import Layout

__all__ = ["Layout", "Rspamd"]
