"""TCP keepalive for connections that are silent for long: a machine that was switched off says no goodbye.

One that is back refuses the next probe, so its restart is noticed within ``_IDLE`` seconds; one that stays away is
found after ``_IDLE + _TIMES * _BETWEEN`` (tcp(7)).
"""

from __future__ import annotations

import socket

_IDLE, _BETWEEN, _TIMES = 5, 5, 5

KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TIMES),
)
"""Options of a socket, as ``setsockopt`` takes them."""
