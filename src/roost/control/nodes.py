"""Nodes: added with a one-time token, joined with it, changed. How they leave: ``roost.control.node_lives``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from roost.control import passwords
from roost.control.writing import Done, writing
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.errors import AlreadyExists, BadName, BadSetting, NotAuthenticated, NotFound, Refused, StillInUse
from roost.domain.move import OPEN
from roost.domain.names import host_name, lies_in
from roost.domain.ties import CLASSES_MOST, Ties, tie_name
from roost.ports.store import JoinToken, Store, Writer

_REFUSED = "Make a new one with 'roost node token NAME'."


@dataclass
class Token:
    """A join token, shown once. ``text`` is ``ID.SECRET.FINGERPRINT``: the node pins the CA by the last part."""

    text: str
    expires: datetime


def find(cluster: Cluster, name: str) -> Node:
    """Return the node of this name; raises ``NotFound``."""
    wanted = host_name(name)
    for node in cluster.nodes:
        if node.name == wanted:
            return node
    raise NotFound(f"There is no node {wanted}.", field="node", remedy="See 'roost node list'.")


def add(
    store: Store,
    actor: str,
    name: str,
    roles: Sequence[str],
    addresses: Sequence[str],
    *,
    classes: Sequence[str] = (),
    dry_run: bool = False,
) -> Done:
    """Add a node; it does nothing until it joins. Its name and its addresses must be its own."""
    node = dataclasses.replace(Node.parse(name, list(roles), list(addresses)), classes=_parsed(classes))
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        if any(other.name == node.name for other in cluster.nodes):
            raise AlreadyExists(
                f"There is a node {node.name} already.",
                field="name",
                remedy="Choose another name, or 'roost node token' to let it join again.",
            )
        _refuse_shared(cluster, node)
        _check_classes(cluster, node)
        if lies_in(node.name, cluster.probe_name):
            raise BadName(f"{cluster.probe_name} is kept for the cluster's test mailboxes.", field="name")
        for domain in cluster.domains:
            if lies_in(node.name, domain.access_zone):
                raise BadName(f"{node.name} lies in the access zone of {domain.name}.", field="name")
        done.add(tx.put_node(node, "node added"), f"Node {node.name} added as {', '.join(sorted(node.roles))}.")
    return done


def change(
    store: Store,
    actor: str,
    name: str,
    roles: Sequence[str] | None,
    addresses: Sequence[str] | None,
    *,
    declared: Mapping[str, float] | None = None,
    classes: Sequence[str] | None = None,
    dry_run: bool = False,
) -> Done:
    """Give a node other roles, addresses or classes of service, or declare how strong it is; None leaves them.

    A role that others depend on stays. Of what is declared, 0 takes back: what the node has measured counts.
    """
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        old = find(cluster, name)
        wanted = Node.parse(
            old.name,
            sorted(old.roles) if roles is None else list(roles),
            list(old.addresses) if addresses is None else list(addresses),
        )
        kept = {name: value for name, value in {**old.declared, **(declared or {})}.items() if value}
        new = dataclasses.replace(
            old,
            roles=wanted.roles,
            addresses=wanted.addresses,
            declared=kept,
            classes=old.classes if classes is None else _parsed(classes),
        )
        if new == old:
            return done
        _refuse_shared(cluster, new)
        _check_classes(cluster, new)
        if Role.STORAGE in old.roles - new.roles:
            refuse_home(tx, new.name)
            refuse_moves(tx, new.name)
            refuse_pins(tx, new.name)
        gone = sorted(set(old.classes) - set(new.classes))
        refuse_last_class(tx, cluster, old, gone)
        if Role.CONTROL in old.roles - new.roles:
            raise StillInUse(f"{new.name} is the controller's own node.", field="roles")
        said = []
        if new.roles != old.roles:
            said.append(f"it is {', '.join(sorted(new.roles))}")
        if new.addresses != old.addresses:
            said.append(f"it has {', '.join(new.addresses)}")
        if new.declared != old.declared:
            words = ", ".join(f"{name} {value:g}" for name, value in sorted(new.declared.items()))
            said.append(f"it is declared to have {words}" if words else "nothing is declared of it")
        if new.classes != old.classes:
            said.append(f"it offers the classes {', '.join(new.classes)}" if new.classes else "it offers no class")
        done.add(tx.put_node(new, "node changed"), f"Node {new.name}: {', '.join(said)}.")
        for withdrawn in gone:
            if count := tx.count_mailboxes(home=new.name, ties=Ties(service_class=withdrawn)):
                done.did.append(
                    f"{count} mailboxes of the class {withdrawn} live there; a plan of 'roost balance' moves them."
                )
    return done


def _parsed(classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({tie_name(text, field="class") for text in classes} - {""}))


def _check_classes(cluster: Cluster, node: Node) -> None:
    if node.classes and Role.STORAGE not in node.roles:
        raise BadSetting(
            f"{node.name} is no storage node, so it can offer no class of service.",
            field="class",
            remedy="Give it the role storage, or take the classes away: --class ''.",
        )
    others = {name for other in cluster.nodes if other.name != node.name for name in other.classes}
    if len(others.union(node.classes)) > CLASSES_MOST:
        raise Refused(
            f"The nodes would offer more than {CLASSES_MOST} classes of service.",
            field="class",
            remedy="Use one that there is: 'roost node list' shows them.",
        )


def _refuse_shared(cluster: Cluster, node: Node) -> None:
    for other in cluster.nodes:
        shared = set(other.addresses) & set(node.addresses)
        if shared and other.name != node.name:
            raise AlreadyExists(f"{other.name} has the address {shared.pop()} already.", field="addresses")


def refuse_home(tx: Writer, name: str) -> None:
    """Raise ``StillInUse`` where mailboxes live on a node."""
    count = tx.count_mailboxes(home=name)
    if count:
        raise StillInUse(
            f"{name} is the home of {count} mailboxes.", field="node", remedy=f"'roost node drain {name}' moves them."
        )


def refuse_moves(tx: Writer, name: str) -> None:
    """Raise ``StillInUse`` where a node has a part in a move that is not over."""
    count = sum(count for pair, count in tx.count_moves(OPEN).items() if name in pair)
    if count:
        raise StillInUse(
            f"{name} has a part in {count} moves that are not over.",
            field="node",
            remedy="Wait until they are done, or abort them: see 'roost move list'.",
        )


def refuse_pins(tx: Writer, name: str) -> None:
    """Raise ``StillInUse`` where mailboxes are pinned to a node."""
    if count := tx.count_mailboxes(ties=Ties(pin=name)):
        raise StillInUse(
            f"{count} mailboxes are pinned to {name}.",
            field="node",
            remedy=f"'roost user list --pin {name}' shows them; 'roost user set ADDRESS --pin NODE' changes it.",
        )


def refuse_last_class(tx: Writer, cluster: Cluster, node: Node, classes: Iterable[str]) -> None:
    """Raise ``StillInUse`` where a node is the last that offers one of the classes, and mailboxes have it."""
    for name in classes:
        others = [other for other in cluster.offering(name) if other.joined and other.name != node.name]
        count = 0 if others else tx.count_mailboxes(ties=Ties(service_class=name))
        if count:
            raise StillInUse(
                f"{node.name} is the last node that offers the class {name}, which {count} mailboxes have.",
                field="class",
                remedy=f"Let another offer it first ('roost node set NODE --class {name}'); "
                f"'roost user list --class {name}' shows them.",
            )


def new_token(store: Store, actor: str, name: str, fingerprint: str, *, now: datetime, minutes: int) -> Token:
    """Make a one-time join token for a node that exists."""
    with store.read() as view:
        node = find(view.cluster(), name)
    identity, secret = passwords.new_identity(), passwords.new_secret()
    expires = now + timedelta(minutes=minutes)
    store.put_token(JoinToken(identity, node.name, passwords.digest_secret(secret), expires, None), actor)
    return Token(f"{identity}.{secret}.{fingerprint}", expires)


def redeem(store: Store, token: str, now: datetime) -> Node:
    """Use a join token: return its node, which counts as joined from now. Raises ``NotAuthenticated``.

    The answer does not tell an unknown token from a wrong secret, nor does it take measurably longer.
    """
    identity, _, rest = token.strip().partition(".")
    secret = rest.split(".")[0]
    with store.read() as view:
        held = view.token(identity)
        cluster = view.cluster()
    if held is None or not passwords.matches(secret, held.secret_hash):
        raise NotAuthenticated("The join token is wrong.", field="token", remedy=_REFUSED)
    if held.expires <= now:
        raise NotAuthenticated("The join token has expired.", field="token", remedy=_REFUSED)
    node = find(cluster, held.node)
    if not store.use_token(identity, now):
        raise NotAuthenticated("The join token was used before.", field="token", remedy=_REFUSED)
    with writing(store, f"node {node.name}") as (tx, done):
        joined = dataclasses.replace(find(tx.cluster(), node.name), joined=True)
        done.add(tx.put_node(joined, "node joined"), f"Node {node.name} joined.")
    return joined
