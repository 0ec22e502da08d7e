"""How nodes leave: drained, had back, retired. ``roost.control.drain_steps`` says what a drained node is rid of.

Draining and having back only write down what should be; the rest is the drainer's (``roost.control.drainer``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from roost.control import nodes
from roost.control.drain_steps import copies_until
from roost.control.move_steps import turned
from roost.control.writing import Done, writing
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.errors import Refused, StillInUse
from roost.domain.move import UNDER_WAY, State
from roost.domain.node_life import Life
from roost.domain.ties import Ties
from roost.ports.store import Store, Writer

_CHUNK = 2000
_NEEDED = {
    Role.MX: "nobody would take mail",
    Role.DNS: "nobody would find his mailbox",
    Role.STORAGE: "its mailboxes could go nowhere",
}
"""Roles that some node must have, and what would be if none had."""


def drain(store: Store, actor: str, name: str, now: datetime, *, dry_run: bool = False) -> Done:
    """Have a node emptied; nothing happens to one that is leaving already.

    Refused for the controller's own node, for the last one in a role that the cluster needs, and for the last that
    offers a class of service that mailboxes have.
    """
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        node = nodes.find(cluster, name)
        if node.life.leaving:
            return done
        if not node.joined:
            raise Refused(
                f"{node.name} has not joined: nothing lives there.",
                field="node",
                remedy=f"Remove it with 'roost node retire {node.name}'.",
            )
        _refuse_control(node)
        _refuse_last(cluster, node)
        nodes.refuse_last_class(tx, cluster, node, node.classes)
        batch = f"drain-{tx.new_move_ids(1)[0]}" if Role.STORAGE in node.roles else ""
        wanted = replace(node, life=Life.DRAINING, since=now, batch=batch)
        done.add(tx.put_node(wanted, "node draining"), f"Node {node.name} is being drained.")
        done.did += _follows(tx, cluster, wanted)
    return done


def _follows(tx: Writer, cluster: Cluster, node: Node) -> Iterator[str]:
    """Yield in sentences what comes of a drain."""
    if Role.STORAGE in node.roles:
        others = [n.name for n in cluster.serving(Role.STORAGE) if n.joined and n.name != node.name]
        pinned = tx.count_mailboxes(home=node.name, ties=Ties(pin=node.name))
        count = tx.count_mailboxes(home=node.name) - pinned
        yield f"{count} mailboxes move to {', '.join(others)} (batch {node.batch})."
        if pinned:
            yield f"{pinned} are pinned to it and stay: 'roost user list --pin {node.name}' shows them."
        if not cluster.policy.moves:
            yield "The policy lets no move begin: see 'roost policy set moves'."
    if node.roles & {Role.MX, Role.BACKUP_MX}:
        yield "Take it out of the domains' MX records; what is in its queue is delivered meanwhile."
    if Role.DNS in node.roles:
        yield "Our zones no longer name it; take it out of the delegations above them, too."
    if Role.LOG in node.roles:
        others = [n.name for n in cluster.serving(Role.LOG) if n.joined and n.name != node.name]
        if others:
            yield f"Logs go to {' and '.join(others)} only."
        else:
            yield "No other node collects logs: they still go to it, and nowhere once it is retired."


def undrain(store: Store, actor: str, name: str, now: datetime, *, dry_run: bool = False) -> Done:
    """Have a node back: others count on it again. Moves that have not begun are taken back; what has moved stays."""
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        node = nodes.find(tx.cluster(), name)
        if not node.life.leaving:
            return done
        if node.batch:
            taken = _take_back(tx, node.batch, now, f"{node.name} is had back by {actor}.")
            going = sum(tx.count_moves(UNDER_WAY, parent=node.batch).values())
            moved = sum(tx.count_moves([State.SETTLING, State.DONE], parent=node.batch).values())
            told = ((taken, "moves had not begun and are taken back"), (going, "moves are under way and go on"))
            done.did += [f"{count} {words}." for count, words in told if count]
            done.did += [f"{moved} mailboxes have moved already and stay where they are."] if moved else []
        back = replace(node, life=Life.ACTIVE, since=None, batch="")
        revision = tx.put_node(back, "node undrained")
        done.revision = revision
        done.did.insert(0, f"Node {node.name} is active again.")
        if node.roles & {Role.MX, Role.BACKUP_MX, Role.DNS}:
            done.did.append("Put its records back: see 'roost domain records'.")
    return done


def _take_back(tx: Writer, batch: str, now: datetime, reason: str) -> int:
    """Undo the moves of a batch that have not begun; returns how many."""
    count, after = 0, 0
    while some := tx.moves(states=[State.ASKED], parent=batch, after=after, limit=_CHUNK):
        tx.put_moves([turned(move, State.UNDONE, now, reason=reason) for move in some])
        count, after = count + len(some), some[-1].id
    return count


def retire(
    store: Store, actor: str, name: str, now: datetime, *, give_up: bool = False, dry_run: bool = False
) -> Done:
    """Take a node out of the cluster: its certificate is worth nothing from then on, and no node knows it any more.

    A node that has joined must be drained, and the copies of mailboxes that left it be over. ``give_up``: neither is
    asked for, because the machine is lost or its copies are not wanted. No mailbox and no open move may name it in
    any case.
    """
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        cluster = tx.cluster()
        node = nodes.find(cluster, name)
        _refuse_control(node)
        nodes.refuse_home(tx, node.name)
        nodes.refuse_moves(tx, node.name)
        nodes.refuse_pins(tx, node.name)
        nodes.refuse_last_class(tx, cluster, node, node.classes)
        if node.joined:
            # Mailboxes it has none, so of storage nodes the last one may go.
            _refuse_last(cluster, replace(node, roles=node.roles - {Role.STORAGE}))
            if not give_up:
                _refuse_living(cluster, node, now)
        done.add(tx.remove_node(node.name), f"Node {node.name} retired.")
        if node.joined:
            done.did.append(f"Its certificate is worthless now. On it: 'apt purge roost', or switch {node.name} off.")
    return done


def _refuse_living(cluster: Cluster, node: Node, now: datetime) -> None:
    if node.life is not Life.DRAINED:
        raise StillInUse(
            f"{node.name} is {node.life}: something may live there or be on its way to it.",
            field="node",
            remedy=f"See 'roost node drain {node.name} --watch'; if the machine is lost, give --now.",
        )
    until = copies_until(node, cluster.policy.keep_days)
    if until and now < until:
        raise StillInUse(
            f"{node.name} keeps copies of mailboxes that moved or were removed until {until:%Y-%m-%d %H:%M} UTC.",
            field="node",
            remedy="Wait, or give them up with --now: then 'roost move back' cannot use them.",
        )


def _refuse_control(node: Node) -> None:
    if Role.CONTROL in node.roles:
        raise StillInUse(
            f"{node.name} is the controller's own node.",
            field="node",
            remedy="'roost node set' takes other roles from it; the controller itself moves by backup and restore.",
        )


def _refuse_last(cluster: Cluster, node: Node) -> None:
    for role, words in sorted(_NEEDED.items()):
        others = [n for n in cluster.serving(role) if n.joined and n.name != node.name]
        if role in node.roles and not others:
            raise StillInUse(
                f"{node.name} is the last node in the role {role}: without it {words}.",
                field="node",
                remedy=f"Add another: 'roost node add NAME --role {role} --address ADDRESS', and let it join.",
            )
