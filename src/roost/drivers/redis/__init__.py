"""Redis, the memory of the spam filter on each MX: what it has learned, and who may write to whom."""

from roost.drivers.redis.driver import Redis
from roost.drivers.redis.layout import Layout

__all__ = ["Layout", "Redis"]
