"""What the controller tells a monitoring system: the picture that ``roost status`` shows, as figures.

This is the one place for it: a figure of the controller is a line in ``domain.figures`` and one here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from roost.control.status import Status
from roost.domain import probe
from roost.domain.cluster import Role
from roost.domain.figures import Figure, Spread, Told
from roost.domain.node_life import Life


def figures(
    found: Status, pauses: Spread, authority_ends: float, rounds: Iterable[probe.Round] = ()
) -> Iterator[Told]:
    """Yield the figures of a picture; ``pauses`` are those of hand-overs, ``authority_ends`` when the CA does.

    ``rounds`` are the probers' last ones; of several that tried the same, the first tells.
    """
    yield Figure("roost_certificate_expires_timestamp_seconds", authority_ends, ("ca",))
    yield Figure("roost_cluster_revision", found.revision)
    yield Figure("roost_cluster_domains", len(found.cluster.domains))
    for entry in found.nodes:
        name = entry.node.name
        if Role.STORAGE in entry.node.roles or entry.mailboxes:
            yield Figure("roost_cluster_mailboxes", entry.mailboxes, (name,))
        yield Figure("roost_node_joined", int(entry.node.joined), (name,))
        yield Figure("roost_node_leaving", int(entry.node.life.leaving), (name,))
        if entry.connected or entry.node.life is not Life.DRAINED:
            # One that may be switched off wakes nobody.
            yield Figure("roost_node_connected", int(entry.connected), (name,))
            yield Figure("roost_node_late_revisions", entry.late, (name,))
        if entry.connected and entry.figures.at:
            yield Figure("roost_node_clock_skew_seconds", round(entry.seen.skew, 3), (name,))
    for state, count in found.moves.items():
        yield Figure("roost_moves", count, (state,))
    yield pauses
    tried: set[tuple[str, ...]] = set()
    for one in (one for found_ in rounds for one in probe.figures(found_)):
        labels = (one.kind, one.by, one.store)
        if labels not in tried:
            tried.add(labels)
            yield Figure("roost_probe_ok", int(one.ok), labels)
            if one.ok:
                yield Figure("roost_probe_seconds", round(one.seconds, 3), labels)
    warned = Counter(warned.name for warned in found.warnings)
    for warning, count in sorted(warned.items()):
        yield Figure("roost_warnings", count, (warning,))
