"""What the files of the logs should be: pure, from the settings of the node."""

from __future__ import annotations

import re

import jinja2

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.logs import STEP_BACK, ports_of
from roost.drivers.rsyslog.place import Place
from roost.ports.host import Facts, File

MESSAGE_SIZE = 320 * 1024
"""Longest line in bytes: 64 kB, of which every byte may be a control character that is written as four; a head."""

WINDOW = 128
"""Lines that may be under way without an acknowledgement."""

PERSIST_INTERVAL = 100
"""Lines after which a sender notes its place. With the window it must be less than ``STEP_BACK``."""

MEND_TRIES = 20
"""How often a starting collector looks for room, every two seconds, before it fails and systemd begins anew."""

_LOG_NODES = re.compile(r"^# log nodes: (.+)$", re.MULTILINE)
_PORT = re.compile(r'^input\(type="imrelp" .*port="(\d+)"', re.MULTILINE)

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.rsyslog"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - these are not pages; every name was parsed at the border
)


def render(settings: NodeSettings, facts: Facts, place: Place) -> tuple[File, ...]:
    """Return the files. Nothing differs between rsyslog 8.2302 and 8.2504, so the versions are not looked at."""
    ports = ports_of(peer.name for peer in settings.peers)
    values = {"place": place, "certificate": facts.certificate, "message_size": MESSAGE_SIZE, "ports": ports}
    log_nodes = settings.serving(Role.LOG)
    policy = settings.policy

    def file(path: str, template: str, mode: int = 0o644, **more: object) -> File:
        return File(path, _TEMPLATES.get_template(f"{template}.j2").render(values, **more), mode)

    files = [
        file(
            place.journald,
            "journald.conf",
            log_nodes=[peer.name for peer in log_nodes],
            size=policy.logs_journal_size,
            local_copy=policy.logs_local_copy == "on",
        )
    ]
    if log_nodes:
        files += [
            file(f"{place.units}/roost-send-logs@.service", "sender.service"),
            file(f"{place.conf}/step-back", "step-back", 0o755, lines=STEP_BACK),
            file(f"{place.conf}/give-up", "give-up", 0o755),
        ]
    files += [
        file(
            place.sender(peer.name),
            "sender.conf",
            log_node=peer.name,
            address=peer.addresses[0],
            port=ports[settings.node],
            window=WINDOW,
            persist_interval=PERSIST_INTERVAL,
        )
        for peer in log_nodes
    ]
    if Role.LOG in settings.roles:
        files += [
            file(place.collector, "collector.conf"),
            file(f"{place.conf}/mend", "mend", 0o755, room=place.room, tries=MEND_TRIES),
            file(
                f"{place.conf}/tidy",
                "tidy",
                0o755,
                compress_after=policy.logs_compress_after_days,
                keep=policy.logs_keep_days,
            ),
            file(f"{place.units}/roost-collect-logs.service", "collector.service"),
            file(f"{place.units}/roost-tidy-logs.service", "tidy.service"),
            file(f"{place.units}/roost-tidy-logs.timer", "tidy.timer"),
        ]
    return tuple(files)


def log_nodes_in(journald: str) -> tuple[str, ...]:
    """Return the log nodes that a rendered file for journald names."""
    found = _LOG_NODES.search(journald)
    return () if found is None or found.group(1) == "none" else tuple(found.group(1).split())


def local_copy_in(journald: str) -> bool:
    """Say whether a rendered file for journald hands lines to Debian's rsyslog."""
    return "\nForwardToSyslog=yes\n" in journald


def ports_in(collector: str) -> frozenset[str]:
    """Return the ports on which a rendered configuration of the collector listens."""
    return frozenset(_PORT.findall(collector))
