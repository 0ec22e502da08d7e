"""The SQLite file of the accounts: how it is opened, and how one writer and many readers share it.

Format
    SQLite 3 in write-ahead logging, so a reader never waits for a writer, not even for its fsync
    (https://www.sqlite.org/wal.html). The tables are in ``schema.sql``; ``PRAGMA user_version`` is ``VERSION``.

Rights
    ``root:dovecot`` 0640 in a folder of 0750. Dovecot's auth workers open it read-only, which in this mode needs
    the files ``-wal`` and ``-shm`` to be there already (section 5 of the page above). SQLite deletes both when the
    last connection that may write is closed. So a read-only connection, the *keeper*, stays open for as long as
    the agent runs, and writers are opened and closed below it: no closing one is the last that may write. If the
    agent dies the files stay. If an administrator's tool has deleted them all the same, the next opening here
    makes them again.

Guarantee
    A commit is on the disk when ``write`` returns (``synchronous=FULL``), unless it was asked not to be. A file that
    is damaged or of another version is set aside as ``accounts.db.damaged`` and an empty one takes its place: the
    agent then loads everything anew. What is lost with it is the list of departed accounts, so their mail is kept for
    good. What became of mailboxes in a move is found again on the disk (``lost.py``); until then their fences keep
    such a mailbox closed rather than open in two places.
"""

from __future__ import annotations

import importlib.resources
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from roost.domain.desired import Table
from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.layout import Layout
from roost.ports.host import File, Host

VERSION = 4

_DAMAGE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_BUSY_SECONDS = 30.0


class Database:
    """One accounts file. May be used from several threads; writers wait for each other."""

    def __init__(self, layout: Layout, host: Host) -> None:
        self._layout = layout
        self._host = host
        self._path = Path(layout.database)
        self._keeper: sqlite3.Connection | None = None
        self._opening = threading.Lock()

    def prepare(self) -> bool:
        """Make sure that a sound file is there and stays readable; True where an empty one had to be made."""
        with self._opening:
            made = False
            version = self._version()
            if version != VERSION:
                if version != 0:
                    self._set_aside()
                self._create()
                made = True
            if self._keeper is None:
                try:
                    self._keeper = self._connect("ro")
                    self._keeper.execute("SELECT revision FROM position").fetchone()
                except sqlite3.Error as error:
                    raise self._failed(error) from error
            return made

    def close(self) -> None:
        """Let go of the file; Dovecot can still read it."""
        with self._opening:
            if self._keeper is not None:
                self._keeper.close()
                self._keeper = None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Open for reading; every statement sees the last commit. Raises ``DaemonFailed``, also for no file."""
        try:
            with closing(self._connect("ro")) as connection:
                yield connection
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, undone if it raises. Raises ``DaemonFailed``.

        Not ``durable``: all see it at once, but a power cut may undo it; that saves the fsync.
        """
        self.prepare()
        try:
            with closing(self._connect("rw")) as connection:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.execute("PRAGMA cache_size = -65536")
                # The log shrinks back to this after a bulk load.
                connection.execute("PRAGMA journal_size_limit = 8388608")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def rebuild(self) -> None:
        """Set the file aside, whatever it holds, and begin with an empty one."""
        self.close()
        with self._opening:
            self._set_aside()
        self.prepare()

    def _version(self) -> int | None:
        """Return the version of the file: 0 for none or an empty one, None for one that is not to be read."""
        if not self._path.exists():
            return 0
        try:
            with closing(self._connect("ro")) as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                return None
            raise self._failed(error) from error
        if version == 0 and tables:
            return None
        return version

    def _create(self) -> None:
        """Make the file. It gets its owner and mode while it is empty: SQLite gives -wal and -shm the same."""
        owner = f"root:{self._layout.auth_group}"
        try:
            if not self._path.exists() or self._path.stat().st_size == 0:
                self._host.write(File(str(self._path), "", 0o640, owner))
            schema = importlib.resources.files(__package__ or "").joinpath("schema.sql").read_text("utf-8")
            with closing(self._connect("rw")) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version = {VERSION};\nCOMMIT;")
                # Opened below the writer, so that closing the writer leaves -wal and -shm in place.
                self._keeper = self._connect("ro")
                self._keeper.execute("SELECT revision FROM position").fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _set_aside(self) -> None:
        with suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(self._path.name + ".damaged"))
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _failed(self, error: sqlite3.Error) -> DaemonFailed:
        return DaemonFailed(f"The accounts in {self._path} cannot be used: {error}.")


def advance(connection: sqlite3.Connection, table: Table, since: int, upto: int) -> None:
    """Move a table's position. A batch whose position is reached already is one that is applied again."""
    position = connection.execute("SELECT revision FROM position WHERE of = ?", (str(table),)).fetchone()[0]
    if position not in (since, upto):
        raise DaemonFailed(f"The {table} are at revision {position}, not at {since}.")
    connection.execute("UPDATE position SET revision = ? WHERE of = ?", (upto, str(table)))


def is_damage(error: BaseException | None) -> bool:
    """Say whether an error means that the file itself is bad, rather than away or locked."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and (code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_ERROR)
