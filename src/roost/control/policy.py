"""The cluster's policy: settings that are not about one node or domain."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, fields, replace

from roost.control.move_limits import hours
from roost.control.writing import Done, writing
from roost.domain.cluster import Policy
from roost.domain.errors import BadSetting
from roost.ports.store import Store

_LISTS = ("forwarders", "notify_secondaries")


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
    checked = {name: _addresses(name, value) if name in _LISTS else value for name, value in wanted.items()}
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        new = replace(cluster.policy, **checked)  # type: ignore[arg-type]
        if new != cluster.policy:
            old = asdict(cluster.policy)
            said = [f"{name} {old[name]} -> {value}" for name, value in asdict(new).items() if value != old[name]]
            done.add(tx.set_cluster(cluster.domain, new), f"Policy: {', '.join(said)}.")
    return done


def _addresses(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadSetting(f"{name} is a list of IP addresses.", field=name)
    try:
        return tuple(str(ipaddress.ip_address(item)) for item in value)
    except ValueError as error:
        raise BadSetting(f"{name}: {error}.", field=name, remedy="Give IP addresses.") from error
