"""Between the domain's values and the columns of the tables, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from roost.domain.cluster import Alias, Domain, Mailbox, Node, Policy, Role, Suspended
from roost.domain.move import Move, State
from roost.domain.names import Address
from roost.domain.node_life import Life
from roost.domain.senders import SenderEntry, Verdict
from roost.domain.ties import FREE, Ties
from roost.ports.store import JoinToken, Key, Position, Report
from roost.store.schema import TIES

Columns = Mapping[Any, Any]


def address_of(text: str) -> Address:
    """Return an address that the store wrote, so that nothing has to be checked."""
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def place_of(label: str, domain: str) -> str:
    """Return a label and its domain as the one text that is unique."""
    return f"{label}@{domain}"


def label_in(place: str) -> str:
    """Return the label of such a text."""
    return place.partition("@")[0]


def instant(at: datetime) -> str:
    """Return an instant as text: ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat()


def _when(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def node_columns(node: Node) -> dict[str, Any]:
    """Return a node's columns, all but the count of its mailboxes."""
    return {
        "name": node.name,
        "roles": json.dumps(sorted(node.roles)),
        "addresses": json.dumps(node.addresses),
        "joined": node.joined,
        "declared": json.dumps(dict(sorted(node.declared.items()))),
        "life": str(node.life),
        "since": None if node.since is None else instant(node.since),
        "batch": node.batch,
        "classes": json.dumps(node.classes),
    }


def node_of(row: Columns) -> Node:
    """Return a node from its columns."""
    return Node(
        row["name"],
        frozenset(Role(role) for role in json.loads(row["roles"])),
        tuple(json.loads(row["addresses"])),
        bool(row["joined"]),
        json.loads(row["declared"]),
        Life(row["life"]),
        _when(row["since"]),
        row["batch"],
        tuple(json.loads(row["classes"])),
    )


def domain_columns(domain: Domain) -> dict[str, Any]:
    """Return a domain's columns, all but the count of its mailboxes."""
    return {
        "name": domain.name,
        "access_zone": domain.access_zone,
        "quota": domain.quota,
        "suspended": str(domain.suspended),
    }


def domain_of(row: Columns) -> Domain:
    """Return a domain from its columns."""
    return Domain(row["name"], row["access_zone"], row["quota"], Suspended(row["suspended"]))


def mailbox_columns(mailbox: Mailbox) -> dict[str, Any]:
    """Return a mailbox's columns."""
    return {
        "number": mailbox.number,
        "address": str(mailbox.address),
        "domain": mailbox.address.domain,
        "place": place_of(mailbox.label, mailbox.address.domain),
        "home": mailbox.home,
        "password": mailbox.password,
        "quota": mailbox.quota,
        "suspended": mailbox.suspended,
        "format": mailbox.format,
        **{tie: getattr(mailbox.ties, tie) or None for tie in TIES},
    }


def mailbox_of(row: Columns) -> Mailbox:
    """Return a mailbox from its columns."""
    return Mailbox(
        row["number"],
        address_of(row["address"]),
        label_in(row["place"]),
        row["home"],
        row["password"],
        row["quota"],
        bool(row["suspended"]),
        row["format"],
        ties_of(*(row[tie] for tie in TIES)),
    )


def ties_of(*columns: str | None) -> Ties:
    """Return a mailbox's ties from their columns."""
    return Ties(*(column or "" for column in columns)) if any(columns) else FREE


def move_columns(move: Move) -> dict[str, Any]:
    """Return a move's columns."""
    return {
        **vars(move),
        "address": str(move.address),
        "state": str(move.state),
        "asked": instant(move.asked),
        "changed": instant(move.changed),
    }


def move_of(row: Columns) -> Move:
    """Return a move from its columns."""
    values = dict(row)
    for name in ("deep", "paused", "aborting"):
        values[name] = bool(values[name])
    for name in ("asked", "changed"):
        values[name] = datetime.fromisoformat(values[name])
    return Move(**values | {"address": address_of(row["address"]), "state": State(row["state"])})


def alias_columns(alias: Alias) -> dict[str, Any]:
    """Return an alias's columns."""
    return {
        "address": str(alias.address),
        "domain": alias.address.domain,
        "targets": json.dumps([str(target) for target in alias.targets], ensure_ascii=False),
    }


def alias_of(row: Columns) -> Alias:
    """Return an alias from its columns."""
    return Alias(address_of(row["address"]), tuple(address_of(t) for t in json.loads(row["targets"])))


def sender_of(row: Columns) -> SenderEntry:
    """Return an entry about a sender from its columns."""
    return SenderEntry(row["owner"], row["sender"], Verdict(row["verdict"]))


def without_subaddress(address: Address) -> str:
    """Return an address as text, without what begins at its first ``+``."""
    return f"{address.local.partition('+')[0]}@{address.domain}"


def policy_text(policy: Policy) -> str:
    """Return the policy as JSON text."""
    return json.dumps(asdict(policy), sort_keys=True)


def policy_of(text: str) -> Policy:
    """Return the policy from its text; a setting that is not in it has its default."""
    stored = json.loads(text)
    known = {field.name: stored[field.name] for field in fields(Policy) if field.name in stored}
    settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    return Policy(**settings)


def key_columns(key: Key) -> dict[str, Any]:
    """Return an administrator's key as columns."""
    return {
        "id": key.id,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "created": instant(key.created),
        "expires": None if key.expires is None else instant(key.expires),
    }


def key_of(row: Columns) -> Key:
    """Return an administrator's key from its columns."""
    created = datetime.fromisoformat(row["created"])
    return Key(row["id"], row["name"], row["secret_hash"], created, _when(row["expires"]))


def token_columns(token: JoinToken) -> dict[str, Any]:
    """Return a join token as columns."""
    return {
        "id": token.id,
        "node": token.node,
        "secret_hash": token.secret_hash,
        "expires": instant(token.expires),
        "used": None if token.used is None else instant(token.used),
    }


def token_of(row: Columns) -> JoinToken:
    """Return a join token from its columns."""
    expires = datetime.fromisoformat(row["expires"])
    return JoinToken(row["id"], row["node"], row["secret_hash"], expires, _when(row["used"]))


def position_columns(position: Position) -> dict[str, Any]:
    """Return a position as columns."""
    return {
        "node": position.node,
        "table_name": position.table,
        "revision": position.revision,
        "at": instant(position.at),
    }


def position_of(row: Columns) -> Position:
    """Return a position from its columns."""
    return Position(row["node"], row["table_name"], row["revision"], datetime.fromisoformat(row["at"]))


def report_of(row: Columns) -> Report:
    """Return a report from its columns."""
    return Report(row["node"], row["kind"], datetime.fromisoformat(row["at"]), row["body"])


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, str]:
    """Return what an event tells of a change: ``old -> new`` for each field that differs.

    Without an old value, each field that says something. A password is only ever ``changed``.
    """
    detail = {}
    for name, value in new.items():
        before = None if old is None else old[name]
        if before == value or (old is None and (not value or value == "[]")):
            continue
        if name == "password":
            if old is not None:
                detail[name] = "changed"
        elif old is None:
            detail[name] = _said(value)
        else:
            detail[name] = f"{_said(before)} -> {_said(value)}"
    return detail


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"
