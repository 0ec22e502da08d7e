"""What the handlers work with: put together in ``roost.main``, carried by the application's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from roost.api.wakeup import Wakeup
from roost.control.authority import Authority
from roost.control.balancer import Balancer
from roost.control.drainer import Drainer
from roost.control.feed import Feed
from roost.control.followers import Followers
from roost.control.mover import Mover
from roost.control.probes import Probes
from roost.control.status import Status, status
from roost.control.traces import NoLogNode
from roost.ports.clock import Clock
from roost.ports.store import Backups, Store
from roost.ports.traces import Traces


@dataclass(frozen=True)
class Parts:
    """One controller's parts."""

    store: Store
    backups: Backups
    clock: Clock
    authority: Authority
    feed: Feed
    followers: Followers
    wakeup: Wakeup
    mover: Mover
    drainer: Drainer
    probes: Probes
    balancer: Balancer
    traces: Traces = field(default_factory=NoLogNode)


def picture(parts: Parts) -> Status:
    """Return the cluster at a glance."""
    now = parts.clock.now()
    return status(parts.store, parts.followers, parts.mover, parts.drainer, parts.probes, now=now)


def parts_of(request: Request) -> Parts:
    """Return the parts of the application that serves the request."""
    return cast("Parts", request.app.state.parts)
