"""One LMDB file that Postfix reads while the agent writes it.

Format
    As postmap(1) writes it with ``lmdb:``: one unnamed database, key and value each with a final NUL. Keys that
    begin with NUL are ours alone: no address can hold one, so Postfix never asks for them. liblmdb must be 0.9,
    as Postfix's is: 1.0 has another file format.

Locks
    Postfix opens the file without LMDB's own locks and takes a shared fcntl(2) lock on it around each lookup
    (lmdb_table(5)). Whoever writes must hold the exclusive lock until the commit is done, else a reader may meet
    a page that is being used again. Such a lock belongs to the process and is lost as soon as the process closes
    any descriptor of the file: so a file is opened once and stays open, and threads exclude each other besides.

Guarantee
    A transaction is on the disk when ``write`` ends, whole or not at all, and Postfix sees it at its next lookup.
    The map grows before it is full. A file that was replaced by hand is opened anew. One that is missing or
    damaged is made anew by ``make`` only: Postfix defers mail while it has no file, and refuses it by an empty one.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from roost.domain.errors import DaemonFailed

_LOCK_SECONDS = 20.0
_FIRST_SIZE = 16 * 2**20
_READ_AT_ONCE = 1000

Raw = tuple[bytes, bytes]


def raw(text: str) -> bytes:
    """Return a text as the file holds it."""
    return text.encode() + b"\0"


def text(data: bytes | memoryview | None) -> str | None:
    """Return the text that the file holds, or None where there is nothing or nothing that ``raw`` could make."""
    if data is None or bytes(data[-1:]) != b"\0":
        return None
    try:
        return bytes(data[:-1]).decode()
    except UnicodeDecodeError:
        return None


def require_liblmdb() -> None:
    """Raise ``DaemonFailed`` where the Python package was built with a liblmdb whose files Postfix cannot read."""
    version = lmdb.version()
    if tuple(version[:2]) != (0, 9):
        found = ".".join(str(part) for part in version)
        raise DaemonFailed(
            f"The Python package lmdb holds liblmdb {found}; Postfix reads files of liblmdb 0.9 only.",
            remedy="Install a release of the package with liblmdb 0.9.",
        )


class NoFile(DaemonFailed):
    """There is no such file, or one that is damaged beyond reading."""


class Transaction:
    """Reading and writing texts inside one transaction."""

    def __init__(self, inner: lmdb.Transaction) -> None:
        self.inner = inner

    def get(self, key: str) -> str | None:
        """Return the value, or None."""
        return text(self.inner.get(raw(key)))

    def put(self, key: str, value: str) -> None:
        """Set a value."""
        self.inner.put(raw(key), raw(value))

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        self.inner.delete(raw(key))


class MapFile:
    """One LMDB file; ``path`` is without ``.lmdb``. May be used from several threads."""

    def __init__(self, path: str) -> None:
        self.path = Path(f"{path}.lmdb")
        self._lock = threading.RLock()
        self._environment: lmdb.Environment | None = None
        self._descriptor = -1

    def make(self) -> None:
        """Make the file where there is none that can be read; raises ``DaemonFailed``."""
        with self._lock:
            try:
                self._current()
            except NoFile:
                try:
                    # Postfix notices that the file it has open is gone, and opens this one.
                    self.path.unlink(missing_ok=True)
                    self._open()
                except (lmdb.Error, OSError) as error:
                    raise DaemonFailed(f"{self.path} cannot be made: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._environment is not None:
                self._environment.close()
                os.close(self._descriptor)
                self._environment = None

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Begin a reading transaction: keep it short, writers wait for it."""
        with self._locked(fcntl.LOCK_SH) as environment, environment.begin() as inner:
            yield Transaction(inner)

    @contextmanager
    def write(self, size: int) -> Iterator[Transaction]:
        """Begin a transaction that commits as the block ends; ``size`` is about how many bytes it will put."""
        with self._locked(fcntl.LOCK_EX) as environment:
            _make_room(environment, size)
            with environment.begin(write=True) as inner:
                yield Transaction(inner)

    def chunks(self) -> Iterator[list[Raw]]:
        """Yield all keys and values as they are, some at a time: what changes in between may or may not be seen."""
        after: bytes | None = None
        while True:
            found: list[Raw] = []
            with self.read() as transaction:
                cursor = transaction.inner.cursor()
                there = cursor.first() if after is None else cursor.set_range(after)
                if there and cursor.key() == after:
                    there = cursor.next()
                while there and len(found) < _READ_AT_ONCE:
                    found.append((bytes(cursor.key()), bytes(cursor.value())))
                    there = cursor.next()
            if not found:
                return
            yield found
            after = found[-1][0]

    def empty(self) -> None:
        """Remove everything."""
        with self.write(0) as transaction:
            inner = transaction.inner
            inner.drop(self._current().open_db(None, txn=inner), delete=False)

    def _open(self) -> None:
        environment = lmdb.open(
            str(self.path), map_size=_FIRST_SIZE, subdir=False, lock=False, mode=0o644, max_dbs=0, readahead=False
        )
        try:
            size, pages = self.path.stat().st_size, environment.info()["last_pgno"] + 1
            with environment.begin() as transaction:
                if size and size < pages * transaction.stat()["psize"]:
                    # Reading behind the end of a mapped file would kill the process.
                    raise lmdb.CorruptedError(f"{self.path} is shorter than it should be.")
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            environment.close()
            raise
        self._environment = environment

    def _is_current(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _current(self) -> lmdb.Environment:
        """Return the file that stands there, opened; raises ``NoFile``."""
        if self._environment is not None and not self._is_current():
            self.close()
        if self._environment is None:
            if not self.path.exists():
                raise NoFile(f"There is no {self.path}.")
            try:
                self._open()
            except lmdb.Error as error:
                raise NoFile(f"{self.path} is damaged: {error}") from error
            except OSError as error:
                raise DaemonFailed(f"{self.path} cannot be opened: {error}") from error
        assert self._environment is not None  # noqa: S101 - opened above
        return self._environment

    @contextmanager
    def _locked(self, how: int) -> Iterator[lmdb.Environment]:
        with self._lock:
            environment = self._current()
            self._take(how)
            try:
                yield environment
            except (lmdb.Error, OSError) as error:
                raise DaemonFailed(f"{self.path}: {error}") from error
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _take(self, how: int) -> None:
        """Take the lock, but do not wait for ever for a reader that was stopped in the middle of a lookup."""
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._descriptor, how | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    raise DaemonFailed(f"{self.path} is locked by another process.") from None
                time.sleep(0.001)
            else:
                return


def _make_room(environment: lmdb.Environment, size: int) -> None:
    """Grow the map, so that it can hold twice what is there and several times what comes."""
    info = environment.info()
    used = (info["last_pgno"] + 1) * environment.stat()["psize"]
    need = 2 * used + 8 * size + _FIRST_SIZE // 2
    if info["map_size"] < need:
        environment.set_mapsize(1 << need.bit_length())
