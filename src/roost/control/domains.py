"""Mail domains: add, change, remove, and the records that the world's DNS should have for them."""

from __future__ import annotations

import dataclasses

from roost.control.writing import Done, writing
from roost.domain.cluster import Cluster, Domain, Role, Suspended
from roost.domain.errors import AlreadyExists, BadName, BadSetting, NotFound, StillInUse
from roost.domain.names import host_name, lies_in
from roost.ports.store import Reader, Store


def find(cluster: Cluster, name: str, *, field: str = "domain") -> Domain:
    """Return the domain of this name; raises ``NotFound``."""
    wanted = host_name(name, field=field)
    for domain in cluster.domains:
        if domain.name == wanted:
            return domain
    raise NotFound(f"There is no domain {wanted}.", field=field, remedy=f"Add it with 'roost domain add {wanted}'.")


def add(
    store: Store,
    actor: str,
    name: str,
    access_zone: str | None,
    *,
    quota: int = 0,
    suspended: Suspended = Suspended.ACCEPT,
    dry_run: bool = False,
) -> Done:
    """Add a domain. Its access zone lies in no other and around no other, and holds no domain's or node's name."""
    domain = dataclasses.replace(Domain.parse(name, access_zone), quota=_quota(quota), suspended=suspended)
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        if domain.name in {other.name for other in cluster.domains}:
            raise AlreadyExists(f"The domain {domain.name} exists already.", field="name")
        _refuse_overlap(cluster, domain)
        done.add(
            tx.put_domain(domain, "domain added"),
            f"Domain {domain.name} added; personal hostnames lie in {domain.access_zone}.",
        )
    return done


def _refuse_overlap(cluster: Cluster, domain: Domain) -> None:
    """Personal hostnames can be any label, so what else lies in an access zone would meet one of them some day."""
    zone = domain.access_zone
    own = next((name for name in (domain.name, zone) if lies_in(name, cluster.probe_name)), None)
    if own is not None:
        raise BadName(f"{own} is kept for the cluster's test mailboxes.", field="name", remedy="Use another name.")
    remedy = "An access zone holds personal hostnames and nothing else."
    zones = [other.access_zone for other in cluster.domains]
    if zone in (*zones, cluster.domain):
        raise AlreadyExists(f"The zone {zone} is in use already.", field="access_zone")
    around = next((other for other in zones if lies_in(domain.name, other)), None)
    if around is not None:
        raise BadName(f"{domain.name} lies in the access zone {around}.", field="name", remedy=remedy)
    around = next((other for other in zones if lies_in(zone, other)), None)
    if around is not None:
        raise BadName(f"The access zone {zone} lies in {around}.", field="access_zone", remedy=remedy)
    names = [domain.name, *(d.name for d in cluster.domains), *zones]
    names += [cluster.domain, *(node.name for node in cluster.nodes)]
    inside = next((name for name in names if lies_in(name, zone)), None)
    if inside is not None:
        raise BadName(f"The access zone {zone} would hold {inside}.", field="access_zone", remedy=remedy)


def change(
    store: Store,
    actor: str,
    name: str,
    *,
    quota: int | None = None,
    suspended: Suspended | None = None,
    dry_run: bool = False,
) -> Done:
    """Change what is given; the rows of the domain's mailboxes follow."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        old = find(tx.cluster(), name)
        new = old
        if quota is not None:
            new = dataclasses.replace(new, quota=_quota(quota))
        if suspended is not None:
            new = dataclasses.replace(new, suspended=suspended)
        if new != old:
            done.add(tx.put_domain(new, "domain changed"), f"Domain {new.name} changed.")
    return done


def remove(store: Store, actor: str, name: str, *, dry_run: bool = False) -> Done:
    """Remove a domain that has neither mailboxes nor aliases."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        domain = find(tx.cluster(), name)
        count = tx.count_mailboxes(domain=domain.name)
        if count or tx.aliases(domain=domain.name, limit=1):
            raise StillInUse(
                f"The domain {domain.name} still has {count} mailboxes or has aliases.",
                field="domain",
                remedy="Remove them first: 'roost user list --domain' and 'roost alias list --domain' show them.",
            )
        done.add(tx.remove_domain(domain.name), f"Domain {domain.name} removed.")
    return done


def records(view: Reader, domain: Domain) -> list[str]:
    """Return the records that the domain's own zone, wherever it is served, should have."""
    cluster = view.cluster()
    lines = [f"{domain.name}. MX 10 {node.name}." for node in cluster.serving(Role.MX)]
    lines += [f"{domain.name}. MX 20 {node.name}." for node in cluster.serving(Role.BACKUP_MX)]
    lines += [f"{domain.access_zone}. NS {node.name}." for node in cluster.serving(Role.DNS)]
    return lines


def _quota(quota: int) -> int:
    if quota < 0:
        raise BadSetting("A quota cannot be negative.", field="quota", remedy="0 means no limit.")
    return quota
