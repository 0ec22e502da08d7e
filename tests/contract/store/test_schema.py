"""Opening a store: the schema, and what is refused."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from roost.domain.errors import BadSetting, Refused, Unavailable
from roost.store import open_store, schema
from roost.store.engine import Database, Mode
from roost.store.store import SqlStore


def test_migrated_schema_is_the_fresh_one(empty_url: str) -> None:
    """What the migrations make has no difference to what the code says."""
    store = open_store(empty_url)
    with store.database.begin(Mode.READ) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.METADATA) == []
    store.close()


def test_the_code_wants_the_last_migration() -> None:
    """A migration that is added without its number in the code would never run."""
    config = Config()
    config.set_main_option("script_location", "roost.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [schema.SCHEMA]


def test_an_older_store_is_brought_up_to_date(empty_url: str) -> None:
    """What is in it stays; what is new has its default."""
    old = Database(empty_url, busy_seconds=5)
    config = Config()
    config.set_main_option("script_location", "roost.store:migrations")
    config.set_main_option("path_separator", "os")
    with old.begin(Mode.WRITE) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO counter VALUES ('revision', 0), ('number', 1)",
            "INSERT INTO own_value VALUES ('epoch', 'old')",
            "INSERT INTO cluster VALUES (1, 'example.net', '{\"ttl\": 30}')",
            "INSERT INTO node VALUES ('ms1', '[\"storage\"]', '[]', true, 1)",
            "INSERT INTO domain VALUES ('example.com', 'pop.example.com', 0, 'accept', 1)",
            "INSERT INTO mailbox VALUES (1, 'j@example.com', 'example.com', 'j@a', 'ms1', '{X}y', 0, false)",
        ):
            connection.exec_driver_sql(statement)
    old.engine.dispose()
    store = open_store(empty_url)
    with store.write("me") as tx:
        [mailbox] = tx.mailboxes()
        assert (mailbox.format, mailbox.home) == ("mdbox", "ms1")
        assert (tx.cluster().policy.ttl, tx.cluster().policy.hold_seconds) == (30, 5)
        assert list(tx.new_move_ids(2)) == [1, 2]
        assert tx.value("epoch") == "old"
    store.close()


def test_two_controllers_that_begin_together(empty_url: str) -> None:
    """One makes the schema, the other waits for it."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_store, [empty_url] * 4))
    epochs = set()
    for store in stores:
        with store.read() as view:
            epochs.add(view.value("epoch"))
    for store in stores:
        store.close()
    assert len(epochs) == 1


def test_opening_again_changes_nothing(store: SqlStore, url: str) -> None:
    """The epoch stays."""
    with store.read() as view:
        epoch = view.value("epoch")
    again = open_store(url)
    with again.read() as view:
        assert epoch
        assert view.value("epoch") == epoch
        assert view.revision() == 0
    again.close()


def test_a_newer_schema_is_refused(store: SqlStore, url: str) -> None:
    """An older program does not touch what it does not know."""
    with store.database.begin(Mode.WRITE) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match="newer"):
        open_store(url)


def test_no_migration_unless_allowed(empty_url: str) -> None:
    """A program that only looks does not make a schema."""
    with pytest.raises(Refused, match="schema none"):
        open_store(empty_url, migrate=False)


@pytest.mark.parametrize("address", ["", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "roost.db"])
def test_other_addresses_are_refused(address: str) -> None:
    """Only files and PostgreSQL."""
    with pytest.raises(BadSetting):
        open_store(address)


def test_a_password_in_an_address_is_not_repeated() -> None:
    """An error goes to logs."""
    with pytest.raises(BadSetting) as caught:
        open_store("mysql://someone:verysecret@host/name")
    assert "verysecret" not in str(caught.value)


def test_a_server_that_is_away_is_temporary(tmp_path: Path) -> None:
    """The controller may try again."""
    with pytest.raises(Unavailable):
        open_store(f"postgresql+psycopg://roost@/roost?host={tmp_path}")
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{tmp_path}/no/such/folder/roost.db")


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    """Password hashes are in it, and in the files beside it."""
    store = open_store(f"sqlite:///{tmp_path}/roost.db")
    store.put_value("a", "b")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("roost.db*")} == {0o600}
    assert len(list(tmp_path.glob("roost.db*"))) == 3
    store.close()
