"""The first schema. Types are written out here again, since this file must stay as it is when the schema moves on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "counter",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("n", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counter"),
    )
    op.create_table(
        "event",
        sa.Column("revision", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("verb", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("concerns", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_event"),
    )
    op.create_table(
        "cluster",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("domain", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cluster"),
    )
    op.create_table(
        "node",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("roles", TEXT, nullable=False),
        sa.Column("addresses", TEXT, nullable=False),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.Column("mailboxes", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_node"),
    )
    op.create_table(
        "domain",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("access_zone", TEXT, nullable=False),
        sa.Column("quota", NUMBER, nullable=False),
        sa.Column("suspended", TEXT, nullable=False),
        sa.Column("mailboxes", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_domain"),
    )
    op.create_index("uq_domain_access_zone", "domain", ["access_zone"], unique=True)
    _mail()
    _feeds()
    _small()


def _mail() -> None:
    op.create_table(
        "mailbox",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("domain", TEXT, nullable=False),
        sa.Column("place", TEXT, nullable=False),
        sa.Column("home", TEXT, nullable=False),
        sa.Column("password", TEXT, nullable=False),
        sa.Column("quota", NUMBER, nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_mailbox"),
        sa.ForeignKeyConstraint(["domain"], ["domain.name"], name="fk_mailbox_domain"),
        sa.ForeignKeyConstraint(["home"], ["node.name"], name="fk_mailbox_home"),
    )
    op.create_index("uq_mailbox_address", "mailbox", ["address"], unique=True)
    op.create_index("uq_mailbox_place", "mailbox", ["place"], unique=True)
    op.create_index("ix_mailbox_domain_address", "mailbox", ["domain", "address"])
    op.create_index("ix_mailbox_home_address", "mailbox", ["home", "address"])
    op.create_table(
        "alias",
        sa.Column("address", TEXT, nullable=False),
        sa.Column("domain", TEXT, nullable=False),
        sa.Column("targets", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_alias"),
        sa.ForeignKeyConstraint(["domain"], ["domain.name"], name="fk_alias_domain"),
    )
    op.create_index("ix_alias_domain_address", "alias", ["domain", "address"])
    op.create_table(
        "alias_target",
        sa.Column("target", TEXT, nullable=False),
        sa.Column("alias", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("target", "alias", name="pk_alias_target"),
        sa.ForeignKeyConstraint(["alias"], ["alias.address"], name="fk_alias_target_alias", ondelete="CASCADE"),
    )
    op.create_index("ix_alias_target_alias", "alias_target", ["alias"])


def _feeds() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("head", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed"),
    )
    op.create_index("uq_feed_table_name_scope", "feed", ["table_name", "scope"], unique=True)
    op.create_table(
        "feed_row",
        sa.Column("feed", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT),
        sa.Column("digest", NUMBER, nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("feed", "key", name="pk_feed_row"),
    )
    op.create_index("ix_feed_row_feed_revision", "feed_row", ["feed", "revision"])
    live = sa.text("value IS NOT NULL")
    op.create_index(
        "ix_feed_row_live",
        "feed_row",
        ["feed", "bucket", "digest"],
        sqlite_where=live,
        postgresql_where=live,
    )


def _small() -> None:
    op.create_table(
        "position",
        sa.Column("node", TEXT, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("node", "table_name", name="pk_position"),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name="fk_position_node", ondelete="CASCADE"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("secret_hash", TEXT, nullable=False),
        sa.Column("created", TEXT, nullable=False),
        sa.Column("expires", TEXT),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
    )
    op.create_table(
        "join_token",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("node", TEXT, nullable=False),
        sa.Column("secret_hash", TEXT, nullable=False),
        sa.Column("expires", TEXT, nullable=False),
        sa.Column("used", TEXT),
        sa.PrimaryKeyConstraint("id", name="pk_join_token"),
    )
    op.create_table(
        "report",
        sa.Column("node", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("node", "kind", name="pk_report"),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name="fk_report_node", ondelete="CASCADE"),
    )
    op.create_index("ix_report_kind", "report", ["kind"])
    op.create_table(
        "own_value",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_own_value"),
    )
