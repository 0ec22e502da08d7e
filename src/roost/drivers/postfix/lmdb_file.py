"""One LMDB file that Postfix reads while it is written.

Postfix opens it with MDB_NOLOCK and takes a shared fcntl lock around each lookup instead (lmdb_table(5)); so whoever
writes holds the exclusive one. Keys and values end in a NUL byte, as postmap(1) writes them. A write is seen by the
next lookup, with no reload. LMDB 1.0 has another file format than the 0.9 that Debian's Postfix is linked with.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmdb

from roost.domain.errors import DaemonFailed

_FIRST_SIZE = 64 << 20


class LmdbFile:
    """The file ``<path>.lmdb``, made where it is missing. ``path`` is the name that Postfix knows."""

    def __init__(self, path: str) -> None:
        if lmdb.version()[:2] != (0, 9):
            raise DaemonFailed(
                f"Python's LMDB is {'.'.join(map(str, lmdb.version()))}, Postfix reads files of 0.9.",
                remedy="Install a py-lmdb that bundles LMDB 0.9.",
            )
        self._file = Path(f"{path}.lmdb")
        self._open()

    def _open(self) -> None:
        try:
            self._env = lmdb.open(
                str(self._file), subdir=False, lock=False, map_size=_FIRST_SIZE, mode=0o644, max_dbs=0
            )
        except lmdb.Error as error:
            raise DaemonFailed(f"{self._file} cannot be opened: {error}.") from error
        self._file.chmod(0o644)
        # Held open for as long as the environment: closing any descriptor of the file would drop the lock.
        self._lock = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        self._inode = os.fstat(self._lock).st_ino

    def check(self) -> None:
        """Open the file again if somebody has removed or replaced it."""
        try:
            same = self._file.stat().st_ino == self._inode
        except FileNotFoundError:
            same = False
        if not same:
            self._env.close()
            os.close(self._lock)
            self._open()

    def get(self, key: str) -> str | None:
        """Return a value."""
        with self._env.begin() as reading:
            found = reading.get(_packed(key))
        return None if found is None else _unpacked(found)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield all, in the order of the keys, in pages, so that no reading transaction stays open for long."""
        after = b""
        while True:
            page: list[tuple[bytes, bytes]] = []
            with self._env.begin() as reading, reading.cursor() as cursor:
                there = cursor.set_range(after) if after else cursor.first()
                if there and after and cursor.key() == after:
                    there = cursor.next()
                while there and len(page) < 5000:
                    page.append((bytes(cursor.key()), bytes(cursor.value())))
                    there = cursor.next()
            if not page:
                return
            for key, value in page:
                yield _unpacked(key), _unpacked(value)
            after = page[-1][0]

    def count(self) -> int:
        """Return the number of entries."""
        return int(self._env.stat()["entries"])

    def write(self, changes: Iterable[tuple[str, str | None]]) -> None:
        """Put what has a value and delete what has none, in one transaction; nothing at all where nothing differs."""
        changes = list(changes)
        if not changes:
            return
        while True:
            try:
                self._write(changes)
            except lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
            except lmdb.Error as error:
                raise DaemonFailed(f"{self._file} cannot be written: {error}.") from error
            else:
                return

    def _write(self, changes: list[tuple[str, str | None]]) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            with self._env.begin(write=True) as writing:
                for key, value in changes:
                    if value is None:
                        writing.delete(_packed(key))
                    else:
                        writing.put(_packed(key), _packed(value))
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def empty(self) -> None:
        """Delete everything."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            with self._env.begin(write=True) as writing:
                writing.drop(self._env.open_db(txn=writing), delete=False)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close it."""
        self._env.close()
        os.close(self._lock)


def _packed(text: str) -> bytes:
    return text.encode() + b"\0"


def _unpacked(data: bytes) -> str:
    return bytes(data).removesuffix(b"\0").decode(errors="replace")
