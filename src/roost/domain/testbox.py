"""The test mailbox of each storage node: what the prober sends to and logs in to.

It is no mailbox of the store. It follows from its node and the cluster's probe secret alone, like the node's address
records: it comes when the node has joined and goes with it, it cannot be moved, suspended, listed or counted, and
another secret makes all of them anew. Its rows are those of any mailbox, so the way of its mail and of its logins is
that of everybody's.

Local part and password are keyed hashes of the node's name (HMAC, RFC 2104). So no stranger can guess an address to
fill or to trouble, and who is known to write to one may be believed to be the prober.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from roost.domain.cluster import Cluster, Domain, Mailbox, Node, Policy, Role
from roost.domain.desired import Row, rows_of_mailbox, rows_of_node
from roost.domain.names import Address

_SHOWN_MAX = 40
_NUMBERS = 1 << 50
"""Numbers of test mailboxes begin here, where no other mailbox's number will ever come."""

_FORMAT = "sdbox"
"""A file for each message, which goes when the message goes; in ``mdbox`` it would stay until the night."""


def has(node: Node) -> bool:
    """Say whether a node has a test mailbox."""
    return node.joined and Role.STORAGE in node.roles


def of_node(node: Node, domain: Domain, secret: str) -> Mailbox:
    """Return the test mailbox of a storage node."""
    first = node.name.partition(".")[0]
    label = f"{first[:_SHOWN_MAX].rstrip('-')}-{_text(secret, 'label', node.name)[:16]}"
    number = _NUMBERS + int.from_bytes(_hash(secret, "number", node.name)[:6], "big")
    # With 256 bits of chance, SHA-256 needs no salt and no slowness; a login costs the home next to nothing.
    digest = base64.b64encode(hashlib.sha256(password_of(node.name, secret).encode()).digest()).decode()
    return Mailbox(
        number, Address(label, domain.name), label, node.name, f"{{SHA256}}{digest}", domain.quota, format=_FORMAT
    )


def password_of(node: str, secret: str) -> str:
    """Return the password of a storage node's test mailbox."""
    return _text(secret, "password", node)


def rows_with_node(cluster: Cluster, node: Node) -> tuple[Row, ...]:
    """Return every row that a node gives: its address records, and what its test mailbox needs where it has one."""
    rows = rows_of_node(node, cluster.domain)
    domain = cluster.probe_domain
    if domain is None or not has(node):
        return rows
    # Not the policy's TTL: whoever asks for this name asks the servers themselves.
    return rows + rows_of_mailbox(of_node(node, domain, cluster.probe), domain, Policy())


def _hash(secret: str, what: str, name: str) -> bytes:
    return hmac.digest(secret.encode(), f"{what} {name}".encode(), "sha256")


def _text(secret: str, what: str, name: str) -> str:
    return base64.b32encode(_hash(secret, what, name)).decode().rstrip("=").lower()
