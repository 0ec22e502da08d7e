"""The tables of the store, alike on SQLite and PostgreSQL.

=============  =========================================================================================
counter        the last that was given: ``revision``, ``number`` (of a mailbox), ``move`` (its id)
event          one row for each revision: the audit log, and the concerns of the change feed
cluster        one row: the cluster's own domain and the policy (JSON)
node, domain   as in ``roost.domain.cluster``; ``mailboxes`` counts those that live there, so that no
               write and no placement has to count a million rows
mailbox_load   what a mailbox is used, as its home said last: codes of ``roost.domain.usage``
node_load      what a storage node did, a row for each minute of the last two days
mailbox        one row each; sorted by address within the cluster, a domain and a home. ``place`` is
               ``LABEL@DOMAIN``, in one column, because PostgreSQL, where it knows little of a table that
               grows, would rather read a whole domain than ask an index of two columns. Its ties
               (``roost.domain.ties``) are NULL where it has none, so that their indexes hold only the few
               that have: of an index whose condition is that a column is not NULL, both databases know that
               it does for one value of the column
move           one row for each move that was ever asked for; a mailbox has at most one that is open, which
               the index ``uq_move_open`` sees to
alias          one row each; ``targets`` is JSON
alias_target   which aliases lead to an address, its subaddress taken off: to ask backwards
sender         whom a domain or an address (``owner``) allows and denies; ``domain`` is the owner's
feed           one row for each (table, scope): a small id, and the revision of its last change
feed_row       the rows that nodes should have, or had: ``value`` NULL is a tombstone
position       how far each node is with each table
api_key, join_token, report, own_value   small things without a feed
=============  =========================================================================================

Text is compared byte by byte on both (``C`` collation in PostgreSQL, ``BINARY`` in SQLite), so that both sort as
Python does. Instants are text in ISO 8601, UTC; structured values are canonical JSON text, since nothing searches
inside of them and hashes are computed over them.

``METADATA`` must equal what the migrations make; a contract test compares the two on both databases.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)

from roost.domain.node_load import NODE_LOAD
from roost.domain.usage import Counts

SCHEMA = "0007"
"""The alembic revision that this code needs; a test compares it with the migrations' head."""

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

TEXT = String().with_variant(String(collation="C"), "postgresql")
# Only INTEGER makes a SQLite primary key the table's own key instead of one more index.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

counter = Table(
    "counter",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("n", NUMBER, nullable=False),
)

event = Table(
    "event",
    METADATA,
    Column("revision", NUMBER, primary_key=True, autoincrement=False),
    Column("at", TEXT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("verb", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("concerns", TEXT, nullable=False),
    Column("hash", TEXT, nullable=False),
    # What happened to one mailbox, without a walk through everybody's changes.
    Index("ix_event_subject_revision", "subject", "revision"),
)

cluster = Table(
    "cluster",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("domain", TEXT, nullable=False),
    Column("policy", TEXT, nullable=False),
)

node = Table(
    "node",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("roles", TEXT, nullable=False),
    Column("addresses", TEXT, nullable=False),
    Column("joined", Boolean, nullable=False),
    Column("mailboxes", NUMBER, nullable=False),
    Column("declared", TEXT, nullable=False, server_default="{}"),
    Column("life", TEXT, nullable=False, server_default="active"),
    Column("since", TEXT),
    Column("batch", TEXT, nullable=False, server_default=text("''")),
    Column("classes", TEXT, nullable=False, server_default="[]"),
)

domain = Table(
    "domain",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("access_zone", TEXT, nullable=False),
    Column("quota", NUMBER, nullable=False),
    Column("suspended", TEXT, nullable=False),
    Column("mailboxes", NUMBER, nullable=False),
    Index("uq_domain_access_zone", "access_zone", unique=True),
)

TIES = ("together", "apart", "pin", "service_class")
"""The columns of a mailbox's ties."""

mailbox = Table(
    "mailbox",
    METADATA,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("address", TEXT, nullable=False),
    Column("domain", TEXT, ForeignKey("domain.name"), nullable=False),
    Column("place", TEXT, nullable=False),
    Column("home", TEXT, ForeignKey("node.name"), nullable=False),
    Column("password", TEXT, nullable=False),
    Column("quota", NUMBER, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("format", TEXT, nullable=False, server_default="mdbox"),
    *(Column(tie, TEXT) for tie in TIES),
    Index("uq_mailbox_address", "address", unique=True),
    Index("uq_mailbox_place", "place", unique=True),
    Index("ix_mailbox_domain_address", "domain", "address"),
    Index("ix_mailbox_home_address", "home", "address"),
    *(
        Index(f"ix_mailbox_{tie}_address", tie, "address", sqlite_where=tied, postgresql_where=tied)
        for tie, tied in ((tie, text(f"{tie} IS NOT NULL")) for tie in TIES)
    ),
)

MOVE_IS_OPEN = text("state NOT IN ('done', 'undone')")
"""What makes a move an open one, in the words of the index ``uq_move_open``, so that it is used."""

move = Table(
    "move",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=False),
    Column("number", NUMBER, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("target", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("asked", TEXT, nullable=False),
    Column("changed", TEXT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("format", TEXT, nullable=False),
    Column("format_before", TEXT, nullable=False),
    Column("deep", Boolean, nullable=False),
    Column("back_of", NUMBER, nullable=False),
    Column("parent", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("aborting", Boolean, nullable=False),
    Column("attempts", NUMBER, nullable=False),
    Column("revision", NUMBER, nullable=False),
    Column("progress", TEXT, nullable=False),
    Column("certificate", TEXT, nullable=False),
    Index("uq_move_open", "number", unique=True, sqlite_where=MOVE_IS_OPEN, postgresql_where=MOVE_IS_OPEN),
    Index("ix_move_state_id", "state", "id"),
    # To begin moves: which pairs of nodes wait, and the first of each.
    Index("ix_move_state_source_target_paused_id", "state", "source", "target", "paused", "id"),
    Index("ix_move_parent_id", "parent", "id"),
    Index("ix_move_address_id", "address", "id"),
)

alias = Table(
    "alias",
    METADATA,
    Column("address", TEXT, primary_key=True),
    Column("domain", TEXT, ForeignKey("domain.name"), nullable=False),
    Column("targets", TEXT, nullable=False),
    Index("ix_alias_domain_address", "domain", "address"),
)

alias_target = Table(
    "alias_target",
    METADATA,
    Column("target", TEXT, primary_key=True),
    Column("alias", TEXT, ForeignKey("alias.address", ondelete="CASCADE"), primary_key=True),
    Index("ix_alias_target_alias", "alias"),
)

sender = Table(
    "sender",
    METADATA,
    Column("owner", TEXT, primary_key=True),
    Column("sender", TEXT, primary_key=True),
    Column("domain", TEXT, ForeignKey("domain.name"), nullable=False),
    Column("verdict", TEXT, nullable=False),
    Index("ix_sender_domain_owner_sender", "domain", "owner", "sender"),
)

feed = Table(
    "feed",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("table_name", TEXT, nullable=False),
    Column("scope", TEXT, nullable=False),
    Column("head", NUMBER, nullable=False),
    Index("uq_feed_table_name_scope", "table_name", "scope", unique=True),
)

feed_row = Table(
    "feed_row",
    METADATA,
    Column("feed", Integer, primary_key=True, autoincrement=False),
    Column("key", TEXT, primary_key=True),
    Column("value", TEXT),
    Column("digest", NUMBER, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("revision", NUMBER, nullable=False),
    Index("ix_feed_row_feed_revision", "feed", "revision"),
    # Holds the digest, so that the digests of a whole table come from this index alone.
    Index(
        "ix_feed_row_live",
        "feed",
        "bucket",
        "digest",
        sqlite_where=text("value IS NOT NULL"),
        postgresql_where=text("value IS NOT NULL"),
    ),
)

position = Table(
    "position",
    METADATA,
    Column("node", TEXT, ForeignKey("node.name", ondelete="CASCADE"), primary_key=True),
    Column("table_name", TEXT, primary_key=True),
    Column("revision", NUMBER, nullable=False),
    Column("at", TEXT, nullable=False),
)

api_key = Table(
    "api_key",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("secret_hash", TEXT, nullable=False),
    Column("created", TEXT, nullable=False),
    Column("expires", TEXT),
)

join_token = Table(
    "join_token",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("node", TEXT, nullable=False),
    Column("secret_hash", TEXT, nullable=False),
    Column("expires", TEXT, nullable=False),
    Column("used", TEXT),
)

report = Table(
    "report",
    METADATA,
    Column("node", TEXT, ForeignKey("node.name", ondelete="CASCADE"), primary_key=True),
    Column("kind", TEXT, primary_key=True),
    Column("at", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),
    Index("ix_report_kind", "kind"),
)

mailbox_load = Table(
    "mailbox_load",
    METADATA,
    Column("number", NUMBER, ForeignKey("mailbox.number", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("node", TEXT, nullable=False),
    Column("since", NUMBER, nullable=False),
    Column("at", NUMBER, nullable=False),
    *(Column(f"{life}_{name}", SmallInteger, nullable=False) for life in ("hour", "week") for name in Counts._fields),
    Column("bytes", NUMBER),
    Column("messages", NUMBER),
    Column("pattern", TEXT, nullable=False),
)

node_load = Table(
    "node_load",
    METADATA,
    Column("node", TEXT, ForeignKey("node.name", ondelete="CASCADE"), primary_key=True),
    Column("at", NUMBER, primary_key=True, autoincrement=False),
    *(Column(name, Float, nullable=False) for name in NODE_LOAD),
)

own_value = Table(
    "own_value",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
)
