"""The table ``accounts`` as Dovecot reads it: a ``TableStore`` (``roost.ports.driver``) in SQLite.

Every row of the controller is one row of ``account`` and its login names in ``login``. The position is in the same
file and is written in the same transaction as the rows. In that transaction also stands what the running Dovecot
must be told (``sessions.py``) and, for accounts that go, from when on their mail is kept (``departed.py``).

A row that is already as it should be is not written and nobody is told, so a batch may be applied again. Applying
costs some twenty microseconds a row; while it lasts, readers see the state before it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator

from roost.domain.desired import Place, Scalar, Table, Value
from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.database import Database, advance, is_damage
from roost.drivers.dovecot.names import checked, login_names
from roost.drivers.dovecot.sessions import Sessions
from roost.ports.clock import Clock
from roost.ports.driver import Batch

_COLUMNS = "address, number, hostname, target, password, quota, login, deliver, format, place, peer"
_ROWS = f"""
SELECT id, {_COLUMNS},
    (SELECT group_concat(name || ' ' || rank, char(10)) FROM login WHERE login.account = account.id)
FROM account
"""  # noqa: S608 - constants
_ORPHANS = "SELECT account, name FROM login WHERE account NOT IN (SELECT id FROM account)"
_TELL = """
INSERT INTO unsettled (name, kick) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET kick = max(kick, excluded.kick), told = 0
"""
_DEPART = "INSERT OR REPLACE INTO departed (number, home, since) VALUES (?, ?, ?)"


class Accounts:
    """Implements ``TableStore`` for ``Table.ACCOUNTS``."""

    def __init__(self, database: Database, sessions: Sessions, clock: Clock) -> None:
        self._database = database
        self._sessions = sessions
        self._clock = clock
        self._applying = threading.Lock()

    @property
    def table(self) -> Table:
        """Return ``accounts``."""
        return Table.ACCOUNTS

    def position(self) -> int:
        """Return the revision; 0 for a file that is new, damaged or lacks a table."""
        self._database.prepare()
        try:
            with self._database.read() as connection:
                connection.execute("SELECT 1 FROM account, login, departed, unsettled, door WHERE 0").fetchone()
                found = connection.execute("SELECT revision FROM position WHERE of = 'accounts'").fetchone()
        except DaemonFailed as error:
            if is_damage(error.__cause__):
                return 0
            raise
        return int(found[0]) if found and isinstance(found[0], int) else 0

    def apply(self, batch: Batch) -> None:
        """Make the rows so, with the position; then tell Dovecot. Raises ``DaemonFailed``."""
        with self._applying:
            now = int(self._clock.now().timestamp())
            with self._database.write() as connection:
                if batch.since is not None:
                    advance(connection, self.table, batch.since, batch.upto)
                for key, value in batch.rows:
                    if value is not None:
                        _put(connection, key, value, now)
                    elif key.startswith("!"):
                        _remove_strange(connection, key)
                    else:
                        _remove(connection, key, now)
            self._sessions.settle()

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield every account; what was changed by hand shows in the value, or under a key that begins with ``!``."""
        with self._database.read() as connection:
            for account, *fields, names in connection.execute(_ROWS):
                address, number, hostname, target, password, quota, login, deliver, format_, place, peer = fields
                value: Value = {
                    "number": _scalar(number),
                    "hostname": _scalar(hostname),
                    "target": _scalar(target),
                    "password": _scalar(password),
                    "quota": _scalar(quota),
                    "login": _flag(login),
                    "deliver": _flag(deliver),
                    "format": _scalar(format_),
                    "place": _scalar(place),
                    "peer": _scalar(peer),
                }
                if not isinstance(address, str) or address.startswith("!"):
                    yield f"!account/{account}", value
                    continue
                if _logins(names) != login_names(address, str(hostname), str(target)):
                    value["login names"] = sorted(_logins(names))
                yield address, value
            for account, name in connection.execute(_ORPHANS):
                yield f"!login/{account}/{name}", {"name": _scalar(name)}

    def complete(self) -> None:
        """Do nothing: Dovecot is not started before (``waits_for_table``)."""

    def clear(self) -> None:
        """Empty it; all mail counts as departed until its account is there again. Raises ``DaemonFailed``."""
        with self._applying:
            try:
                with self._database.write() as connection:
                    now = int(self._clock.now().timestamp())
                    connection.execute("INSERT OR IGNORE INTO unsettled (name, kick) SELECT name, 0 FROM login")
                    connection.execute("INSERT OR REPLACE INTO unsettled (name, kick) SELECT address, 1 FROM account")
                    connection.execute(
                        "INSERT OR REPLACE INTO departed (number, home, since) SELECT number, home, ? FROM account",
                        (now,),
                    )
                    connection.execute("DELETE FROM login")
                    connection.execute("DELETE FROM account")
                    connection.execute("INSERT OR REPLACE INTO position VALUES ('accounts', 0)")
            except DaemonFailed as error:
                if not is_damage(error.__cause__):
                    raise
                self._database.rebuild()
                # Dovecot's workers still read the file that was set aside.
                self._sessions.reload()

    def prepare(self) -> None:
        """Make the file if it is missing, so that Dovecot never starts without one."""
        if self._database.prepare():
            self._sessions.reload()


def _put(connection: sqlite3.Connection, key: str, value: Value, now: int) -> None:
    """Make one account so."""
    new = checked(key, value)
    names = login_names(key, new[2], new[3])
    if new[9] == Place.INCOMING:
        # It comes back: what this node gave away once is settled.
        connection.execute("DELETE FROM standing WHERE number = ? AND stand = 'moved'", (new[1],))
    old = connection.execute(f"SELECT id, home, {_COLUMNS} FROM account WHERE address = ?", (key,)).fetchone()  # noqa: S608
    if old is None:
        marks = ", ".join("?" * len(new))
        cursor = connection.execute(f"INSERT INTO account ({_COLUMNS}) VALUES ({marks})", new)  # noqa: S608
        account = cursor.lastrowid
    else:
        account, home, *fields = old
        known = _names_of(connection, account)
        if tuple(fields) == new and known == names:
            return
        number, password, login = fields[1], fields[4], fields[6]
        if number != new[1]:
            _depart(connection, number, home, now)
        kick = (number, password) != (new[1], new[4]) or (login == 1 and not new[6])
        # He was led on already, and his sessions are those that pass through.
        kick = kick and new[9] != Place.MOVED
        _tell(connection, {*known, *names}, key, kick=kick)
        connection.execute(
            "UPDATE account SET number = ?, hostname = ?, target = ?, password = ?, quota = ?, login = ?,"
            " deliver = ?, format = ?, place = ?, peer = ? WHERE id = ?",
            (*new[1:], account),
        )
        if known == names:
            connection.execute("DELETE FROM departed WHERE number = ?", (new[1],))
            return
        connection.execute("DELETE FROM login WHERE account = ?", (account,))
    connection.executemany(
        "INSERT INTO login (name, account, rank) VALUES (?, ?, ?)",
        [(name, account, rank) for name, rank in names.items()],
    )
    connection.execute("DELETE FROM departed WHERE number = ?", (new[1],))


def _remove(connection: sqlite3.Connection, key: str, now: int) -> None:
    """Remove one account; its mail is kept and its number remembered."""
    found = connection.execute("SELECT id, number, home FROM account WHERE address = ?", (key,)).fetchone()
    if found is None:
        return
    account, number, home = found
    _tell(connection, {*_names_of(connection, account), key}, key, kick=True)
    connection.execute("DELETE FROM login WHERE account = ?", (account,))
    connection.execute("DELETE FROM account WHERE id = ?", (account,))
    _depart(connection, number, home, now)


def _depart(connection: sqlite3.Connection, number: object, home: object, now: int) -> None:
    """Remember a home that its account has left; ``departed.py`` looks again whether anybody has it."""
    if isinstance(number, int) and isinstance(home, str):
        connection.execute(_DEPART, (number, home, now))


def _remove_strange(connection: sqlite3.Connection, key: str) -> None:
    """Remove what ``rows`` yielded under a key of its own; the mail of a strange account is not touched."""
    kind, _, rest = key.partition("/")
    if kind == "!account":
        connection.execute("DELETE FROM login WHERE account = ?", (rest,))
        connection.execute("DELETE FROM account WHERE id = ?", (rest,))
    if kind == "!login":
        account, _, name = rest.partition("/")
        connection.execute("DELETE FROM login WHERE account = ? AND name = ?", (account, name))
        _tell(connection, {name}, name, kick=False)


def _tell(connection: sqlite3.Connection, names: set[str], user: str, *, kick: bool) -> None:
    connection.executemany(_TELL, [(name, int(kick and name == user)) for name in sorted(names)])


def _names_of(connection: sqlite3.Connection, account: int) -> dict[str, int]:
    return dict(connection.execute("SELECT name, rank FROM login WHERE account = ?", (account,)).fetchall())


def _logins(text: str | None) -> dict[str, int]:
    """Read the login names as the query of ``rows`` gives them."""
    pairs = (line.rpartition(" ") for line in (text or "").split("\n") if line)
    return {name: int(rank) if rank.isdigit() else -1 for name, _, rank in pairs}


def _flag(value: object) -> Scalar:
    """Return 0 and 1 as what they mean; anything else as it is, so that it differs from what should be."""
    return bool(value) if value in (0, 1) and isinstance(value, int) else _scalar(value)


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, (str, int)) else repr(value)
