"""Alembic's entry: runs the migrations on the connection, and in the transaction, that ``engine`` hands in.

There is no ``alembic.ini`` and no offline mode: a store is only ever migrated by opening it.
"""

from __future__ import annotations

from alembic import context

from roost.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
