"""The port ``TableStore``: any feed, any damage by hand, any feed after it; then a check puts everything right.

Run over the stores that need no running daemon: SQLite of Dovecot, LMDB of Postfix, and their twin in memory.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.agent import tables
from roost.domain.desired import BUCKETS, Table, Value, bucket_of, digest_of
from roost.drivers.dovecot.accounts import Accounts
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.layout import Layout as DovecotLayout
from roost.drivers.dovecot.sessions import Sessions
from roost.drivers.null import MemoryTable
from roost.drivers.postfix.layout import Layout as PostfixLayout
from roost.drivers.postfix.recipients import Recipients
from roost.host.machine import Machine
from roost.ports.driver import Batch, TableStore
from roost.wire.agent_messages import BucketReply, BucketRequest, DigestReply, DigestRequest

LOCALS = ("john", "mary", "o.neill", "zoë", "x", "sales")
Rows = dict[str, Value]


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)


class Controller:
    """The store's side of a comparison."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def digests(self, request: DigestRequest) -> DigestReply:
        counts, sums = [0] * BUCKETS, [0] * BUCKETS
        for key, value in self._rows.items():
            counts[bucket_of(key)] += 1
            sums[bucket_of(key)] += digest_of(key, value)
        pairs = list(zip(counts, sums, strict=True))
        differ = [index for index in range(BUCKETS) if tuple(request.buckets[index]) != pairs[index]]
        return DigestReply(comparable=True, differ=differ, head=request.position)

    def bucket(self, request: BucketRequest) -> BucketReply:
        found = [(key, value) for key, value in self._rows.items() if bucket_of(key) == request.bucket]
        return BucketReply(comparable=True, rows=found)


@dataclass
class Kind:
    """One implementation: how to open it in a folder, what a row of it is, how hands can damage it."""

    name: str
    opened: Callable[[Path], Iterator[tuple[TableStore, Callable[[int, str], None]]]]
    row: Callable[[str, int], Value]


def _account(local: str, number: int) -> Value:
    label = local if local.isascii() else "xn--zo-8la"
    return {
        "number": number + 1,
        "hostname": f"{label.replace('.', '-')}.pop.example.test",
        "target": f"{label}@{label.replace('.', '-')}.pop.example.test",
        "password": f"{{PLAIN}}{number}",
        "quota": number * 1000,
        "login": number % 3 != 0,
        "deliver": number % 2 == 0,
        "format": ("mdbox", "sdbox", "maildir")[number % 3],
        "place": "home" if number % 3 else "moved",
        "peer": "" if number % 3 else "ms2.cluster.test",
    }


_COLUMNS = "address, number, hostname, target, password, quota, login, deliver, format, place, peer"
_SQL = (
    "DELETE FROM account WHERE address = :a",
    "DELETE FROM login WHERE name = :a",
    "DELETE FROM login",
    "DELETE FROM account",
    "UPDATE account SET password = '' WHERE address = :a",
    "UPDATE OR IGNORE account SET address = 'stranger@example.test' WHERE address = :a",
    "UPDATE account SET number = 7",
    "UPDATE account SET login = 'yes', quota = NULL, deliver = -1 WHERE 0",
    "UPDATE login SET rank = 9",
    "UPDATE account SET id = id + 40",
    "UPDATE account SET place = 'incoming', peer = 'ms3.cluster.test', format = 'mbox' WHERE address = :a",
    f"INSERT OR IGNORE INTO account ({_COLUMNS}) VALUES ('!odd', 99, 'h.test', '', '', 0, 1, 1, 'mdbox', 'home', '')",  # noqa: S608
    "INSERT OR IGNORE INTO login VALUES (:a, 77, 0)",
    "INSERT OR IGNORE INTO login SELECT 'evil', id, 0 FROM account",
)


@contextmanager
def _accounts(folder: Path) -> Iterator[tuple[TableStore, Callable[[int, str], None]]]:
    layout = DovecotLayout(accounts=str(folder), run=str(folder / "no-dovecot"), auth_group="root")
    host, clock = Machine(), Clock()
    database = Database(layout, host)
    store = Accounts(database, Sessions(database, layout, host, clock), clock)
    store.prepare()

    def damage(number: int, address: str) -> None:
        with closing(sqlite3.connect(layout.database)) as connection, connection:
            connection.execute(_SQL[number % len(_SQL)], {"a": address})

    yield store, damage
    database.close()


def _recipient(local: str, number: int) -> Value:
    label = local.replace(".", "-") if local.isascii() else "xn--zo-8la"
    refuse = "" if number % 3 else "550 5.2.1 This mailbox is suspended"
    hop = f"ms{number % 3 + 1}.cluster.test"
    return {"to": [f"{label}@{label}.pop.example.test"], "hop": hop, "refuse": refuse}


@contextmanager
def _recipients(folder: Path) -> Iterator[tuple[TableStore, Callable[[int, str], None]]]:
    layout = PostfixLayout(maps=str(folder))
    store = Recipients(layout)

    def damage(number: int, address: str) -> None:
        path = (layout.recipients, layout.hops, layout.refusals)[number % 3] + ".lmdb"
        if not Path(path).exists():
            return
        # LMDB opens a file only once in a process (lmdb.h, "Caveats").
        store.close()
        with lmdb.open(path, subdir=False, lock=False) as env, env.begin(write=True) as tx:
            keys = [bytes(key) for key, _ in tx.cursor() if not key.startswith(b"\1")]
            mine = [key for key in keys if key.startswith(address.encode())] or keys
            what = number // 3 % 4
            if what == 0 and mine:
                tx.delete(mine[0])
            elif what == 1 and mine:
                tx.put(mine[0], b"elsewhere@outside.test\0")
            elif what == 2:
                tx.put(b"stranger@example.test\0", b"lmtp:inet:[evil.test]:24\0")
            elif what == 3:
                tx.put(b"\xff\xfe", b"\xff")

    yield store, damage
    store.close()


@contextmanager
def _memory(folder: Path) -> Iterator[tuple[TableStore, Callable[[int, str], None]]]:
    del folder
    store = MemoryTable(Table.ACCOUNTS)

    def damage(number: int, address: str) -> None:
        if number % 2:
            store.held.pop(address, None)
        else:
            store.held["!stranger"] = {"number": number}

    yield store, damage


KINDS = (
    Kind("accounts", _accounts, _account),
    Kind("recipients", _recipients, _recipient),
    Kind("memory", _memory, _account),
)

_changes = st.lists(
    st.tuples(st.sampled_from(LOCALS), st.one_of(st.none(), st.integers(0, 11))),
    min_size=1,
    max_size=6,
    unique_by=lambda change: change[0],
)
_feeds = st.lists(_changes, max_size=4)
_damages = st.lists(st.tuples(st.integers(0, 23), st.sampled_from(LOCALS)), max_size=5)


def _feed(kind: Kind, store: TableStore, model: Rows, feed: list[list[tuple[str, int | None]]]) -> None:
    for changes in feed:
        rows = [
            (f"{local}@example.test", None if number is None else kind.row(local, number))
            for local, number in changes
        ]
        since = store.position()
        store.apply(Batch(rows, since + 1, since))
        assert store.position() == since + 1
        for key, value in rows:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=_feeds, damages=_damages, between=_feeds, after=_feeds)
def test_what_hands_have_damaged_is_put_right(
    kind: Kind,
    before: list[list[tuple[str, int | None]]],
    damages: list[tuple[int, str]],
    between: list[list[tuple[str, int | None]]],
    after: list[list[tuple[str, int | None]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, kind.opened(Path(folder)) as (store, damage):
        model: Rows = {}
        _feed(kind, store, model, [[("john", 1)], *before])
        assert dict(store.rows()) == model
        for number, local in damages:
            damage(number, f"{local}@example.test")
        _feed(kind, store, model, between)
        controller = Controller(model)
        position = store.position()
        # A repair may bring to light what the damage had hidden; two looks find everything.
        for _ in range(2):
            found, rows, _ = tables.compare(store, controller)
            tables.repair(store, found, max(rows, 1000))
        assert dict(store.rows()) == model
        assert store.position() == position
        _feed(kind, store, model, after)
        assert dict(store.rows()) == model
