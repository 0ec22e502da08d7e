"""Telling systemd that a service of ``Type=notify`` is ready: sd_notify(3), whose protocol is one datagram."""

from __future__ import annotations

import os
import socket


def ready() -> None:
    """Say that the service is ready; says nothing where systemd has not asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ stands for the zero byte of an abstract address, unix(7).
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(b"READY=1", f"\0{address[1:]}" if address.startswith("@") else address)
