"""How much mail waits, for which home, and for how long: from what ``postqueue -j`` lists (postqueue(1)).

Its listing is one JSON object a line, as long as the queue, and what is in it comes from strangers; so it is read as
it comes, at most ``MOST`` messages of it, and only names of homes and numbers leave this file. Where the queue is
longer, the figures are those of what was looked at, and ``roost_queue_cut`` says so.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from roost.domain.errors import DaemonFailed
from roost.domain.figures import AGES, OLDER, OUTSIDE, Figure, age_of
from roost.ports.host import Host

MOST = 10_000
"""Most messages that are looked at: reading them takes some tenths of a second."""

_LIST_SECONDS = 30.0
_QUEUES = ("active", "deferred", "hold", "incoming")
_NO_QUEUE = 69  # EX_UNAVAILABLE: nothing of Postfix runs


@dataclass(frozen=True)
class Waits:
    """One message in a queue: since when, and for whom."""

    queue: str
    arrived: int
    recipients: tuple[str, ...]


def figures(
    host: Host,
    config: str,
    homes: Collection[str],
    homes_of: Callable[[Iterable[str]], Mapping[str, str]],
    now: float,
) -> tuple[Figure, ...]:
    """Look into the queue; ``homes_of`` finds the homes of recipients. Raises ``DaemonFailed``."""
    messages, cut = _looked_at(host, config)
    return counted(messages, homes, homes_of({to for one in messages for to in one.recipients}), now, cut=cut)


def counted(
    messages: Iterable[Waits], homes: Collection[str], home_of: Mapping[str, str], now: float, *, cut: bool = False
) -> tuple[Figure, ...]:
    """Return the figures of these messages. Every home is told of, so that a graph goes back to 0."""
    queues: Counter[str] = Counter(dict.fromkeys(_QUEUES, 0))
    names = (*sorted(homes), OUTSIDE)
    ages = (*(word for _, word in AGES), OLDER)
    waiting: Counter[tuple[str, str]] = Counter({(home, age): 0 for home in names for age in ages})
    oldest = dict.fromkeys(names, 0)
    for message in messages:
        queues[message.queue if message.queue in _QUEUES else "other"] += 1
        age = max(0, int(now - message.arrived))
        there = {home_of.get(to, OUTSIDE) for to in message.recipients}
        for home in {home if home in homes else OUTSIDE for home in there}:
            waiting[home, age_of(age)] += 1
            oldest[home] = max(oldest[home], age)
    return (
        *(Figure("roost_queue_messages", count, (queue,)) for queue, count in sorted(queues.items())),
        *(Figure("roost_queue_waiting", count, labels) for labels, count in waiting.items()),
        *(Figure("roost_queue_oldest_seconds", age, (home,)) for home, age in oldest.items()),
        Figure("roost_queue_cut", int(cut)),
    )


def _looked_at(host: Host, config: str) -> tuple[list[Waits], bool]:
    """Return the messages, and whether there are more."""
    running = host.start(["postqueue", "-c", config, "-j"])
    os.close(running.stdin)
    # Should Postfix never answer, this thread goes on all the same.
    limit = threading.Timer(_LIST_SECONDS, running.kill)
    limit.start()
    found: list[Waits] = []
    cut = False
    try:
        with os.fdopen(running.stdout, "rb") as stream:
            for message in _read(stream):
                if len(found) == MOST:
                    cut = True
                    break
                found.append(message)
    finally:
        limit.cancel()
        if cut:
            running.kill()
        code, words = running.wait(_LIST_SECONDS)
    if code not in (0, _NO_QUEUE) and not cut:
        raise DaemonFailed(f"The queue cannot be listed (postqueue: {code}): {words}")
    return found, cut


def _read(lines: Iterable[bytes]) -> Iterator[Waits]:
    for line in lines:
        try:
            told = json.loads(line)
            recipients = tuple(str(recipient["address"]) for recipient in told["recipients"])
            yield Waits(str(told["queue_name"]), int(told["arrival_time"]), recipients)
        except (ValueError, KeyError, TypeError) as error:
            raise DaemonFailed(f"What postqueue lists is not understood: {error!r}.") from error
