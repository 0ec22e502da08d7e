"""What every node can tell of itself, as figures: machine, certificates, tables, daemons, what is to be learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from cryptography import x509

import roost
from roost.agent.figures.sampler import Source
from roost.agent.learning.spool import Spool
from roost.agent.node import Node
from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.figures import Figure, Told
from roost.domain.node_load import NodeLoad
from roost.ports.host import IDENTITY_CERTIFICATE, TLS_CERTIFICATE, Host, Load

_CERTIFICATES = {"identity": IDENTITY_CERTIFICATE, "service": TLS_CERTIFICATE}


def sources(
    node: Node,
    host: Host,
    spool: Spool,
    look: Callable[[], Load],
    counts: Callable[[NodeSettings], list[Told]],
    *,
    usage: Source,
) -> Mapping[str, Source]:
    """Return what there is to ask on this node now.

    ``counts`` tells what its log files say, on a log node; ``usage`` what its mailboxes are used, on a storage node.
    """
    settings = node.settings
    found: dict[str, Source] = {
        "machine": lambda: of_machine(look()),
        "certificates": lambda: of_certificates(host),
        "node": lambda: of_node(node),
    }
    if settings is not None:
        if Role.STORAGE in settings.roles:
            found["lessons"] = partial(of_lessons, spool, settings)
            found["usage"] = usage
        if Role.LOG in settings.roles:
            found["log"] = partial(counts, settings)
        for name, driver in node.metered().items():
            found[name] = partial(driver.figures, settings, host)
    return found


def of_machine(load: Load) -> Iterator[Figure]:
    """Yield load, memory and file systems."""
    yield Figure("roost_load_ratio", load.ratio)
    yield Figure("roost_memory_size_bytes", load.memory)
    yield Figure("roost_memory_available_bytes", load.available)
    for volume in load.volumes:
        yield Figure("roost_disk_size_bytes", volume.size, (volume.path,))
        yield Figure("roost_disk_free_bytes", volume.free, (volume.path,))
        yield Figure("roost_disk_inodes_free_ratio", volume.inodes_free, (volume.path,))


def of_certificates(host: Host) -> Iterator[Figure]:
    """Yield when the node's own certificates end; one that cannot be read ended long ago."""
    for name, path in _CERTIFICATES.items():
        file = host.read(path)
        if file is None:
            continue
        try:
            ends = x509.load_pem_x509_certificate(file.content.encode()).not_valid_after_utc.timestamp()
        except ValueError:
            ends = 0.0
        yield Figure("roost_certificate_expires_timestamp_seconds", ends, (name,))


def of_node(node: Node) -> Iterator[Figure]:
    """Yield how far the node is and how its daemons are."""
    settings = node.settings
    roles = " ".join(settings.roles) if settings else ""
    yield Figure("roost_node_info", 1, (roost.__version__, roles))
    for daemon, well in node.daemons().items():
        yield Figure("roost_daemon_up", int(well), (daemon,))
    paused = set(node.paused())
    for table, revision in node.positions().items():
        yield Figure("roost_table_revision", revision, (table,))
        if table != "settings":
            yield Figure("roost_table_paused", int(table in paused), (table,))
    yield Figure("roost_controller_answered_timestamp_seconds", node.answered)
    yield Figure("roost_drift_findings_total", node.findings)
    yield Figure("roost_drift_braked", int(node.braked))


def of_usage(last: NodeLoad | None, refused: Mapping[str, int]) -> Iterator[Figure]:
    """Yield what all mailboxes together were used in the last minute, and how long work had to wait."""
    for reason, count in sorted(refused.items()):
        yield Figure("roost_usage_refused_total", count, (reason,))
    if last is not None:
        yield Figure("roost_usage_logins_per_second", round(last.logins, 4))
        yield Figure("roost_usage_deliveries_per_second", round(last.deliveries, 4))
        yield Figure("roost_usage_processor_ratio", round(last.mail_cpu, 4))
        yield Figure("roost_pressure_ratio", round(last.pressure_cpu, 4), ("cpu",))
        yield Figure("roost_pressure_ratio", round(last.pressure_io, 4), ("io",))
        yield Figure("roost_pressure_ratio", round(last.pressure_memory, 4), ("memory",))


def of_lessons(spool: Spool, settings: NodeSettings) -> Iterator[Figure]:
    """Yield what each MX is still to learn."""
    for peer in settings.peers:
        if {Role.MX, Role.BACKUP_MX} & set(peer.roles) and not peer.leaving:
            yield Figure("roost_lessons_waiting", len(spool.waiting(peer.name)), (peer.name,))
