"""The cluster's policy: settings that are not about one node or domain."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace

from roost.control.move_limits import hours
from roost.control.writing import Done, writing
from roost.domain.cluster import Policy
from roost.domain.errors import BadSetting
from roost.domain.names import host_name
from roost.ports.store import Store

_PROBE_SECONDS_LEAST = 10
_ENDING = re.compile(r"[a-z0-9]{1,16}")


def change(store: Store, actor: str, wanted: Mapping[str, object], *, dry_run: bool = False) -> Done:
    """Set fields of the policy; raises ``BadSetting`` for one that does not exist. The border checks types."""
    known = {field.name for field in fields(Policy)}
    for name in wanted:
        if name not in known:
            raise BadSetting(
                f"There is no setting {name!r}.", field=name, remedy=f"The settings are: {', '.join(sorted(known))}."
            )
    if "move_hours" in wanted:
        hours(str(wanted["move_hours"]))
    checked = {name: _list(name, value) if name in _LISTS else value for name, value in wanted.items()}
    if 0 < int(str(wanted.get("probe_seconds", 0))) < _PROBE_SECONDS_LEAST:
        raise BadSetting(
            f"probe_seconds cannot be less than {_PROBE_SECONDS_LEAST}, but 0.",
            field="probe_seconds",
            remedy="'roost probe --now' asks for a round at once.",
        )
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        new = replace(cluster.policy, **checked)  # type: ignore[arg-type]
        _require_order(new)
        if new != cluster.policy:
            old = asdict(cluster.policy)
            said = [f"{name} {old[name]} -> {value}" for name, value in asdict(new).items() if value != old[name]]
            done.add(tx.set_cluster(cluster.domain, new), f"Policy: {', '.join(said)}.")
    return done


def _require_order(policy: Policy) -> None:
    """Raise ``BadSetting`` unless mail is marked before it is refused, and asked to come again before either."""
    if policy.spam_score >= policy.reject_score:
        raise BadSetting(
            f"spam_score ({policy.spam_score}) must be below reject_score ({policy.reject_score}).",
            field="spam_score",
            remedy="Set the other of the two first.",
        )
    if policy.greylist_score >= policy.spam_score:
        raise BadSetting(
            f"greylist_score ({policy.greylist_score}) must be below spam_score ({policy.spam_score}).",
            field="greylist_score",
            remedy="Give a smaller number, or 0 to ask nobody to come again.",
        )


def _list(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadSetting(f"{name} is a list.", field=name)
    return _LISTS[name](name, value)


def _addresses(name: str, value: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_address(item)) for item in value)
    except ValueError as error:
        raise BadSetting(f"{name}: {error}.", field=name, remedy="Give IP addresses.") from error


def _networks(name: str, value: Sequence[str]) -> tuple[str, ...]:
    try:
        networks = {ipaddress.ip_network(item.strip()) for item in value}
    except ValueError as error:
        remedy = "Give IP addresses or networks, such as 192.0.2.0/28."
        raise BadSetting(f"{name}: {error}.", field=name, remedy=remedy) from error
    return tuple(map(str, sorted(networks, key=lambda n: (n.version, int(n.network_address), n.prefixlen))))


def _endings(name: str, value: Sequence[str]) -> tuple[str, ...]:
    endings = {item.strip().lower().removeprefix(".") for item in value}
    for ending in endings:
        if not _ENDING.fullmatch(ending):
            raise BadSetting(
                f"{name}: {ending!r} is not the ending of a file name.",
                field=name,
                remedy="Give endings of letters and digits, such as exe,scr.",
            )
    return tuple(sorted(endings))


def _zones(name: str, value: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host_name(item, field=name) for item in value))


_LISTS: dict[str, Callable[[str, Sequence[str]], tuple[str, ...]]] = {
    "forwarders": _addresses,
    "notify_secondaries": _addresses,
    "metrics_from": _networks,
    "forbidden_attachments": _endings,
    "dns_lists": _zones,
}
"""How the items of each list are read."""
