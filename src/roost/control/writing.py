"""One shape for every write: a transaction, what was done in sentences; a dry run is the same code, undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from roost.ports.store import Store, Writer


@dataclass
class Done:
    """What a write did: the ``revision`` of its last change (0 where nothing changed) and sentences saying what."""

    revision: int = 0
    did: list[str] = field(default_factory=list)

    def add(self, revision: int, sentence: str) -> None:
        """Note one change."""
        self.revision = max(self.revision, revision)
        self.did.append(sentence)


class _Undo(Exception):
    """Ends the transaction of a dry run."""


@contextmanager
def writing(store: Store, actor: str, *, dry_run: bool = False) -> Iterator[tuple[Writer, Done]]:
    """Begin a write. A dry run does everything, with every check of the store, and is rolled back at the end."""
    done = Done()
    try:
        with store.write(actor) as tx:
            yield tx, done
            if dry_run:
                raise _Undo
    except _Undo:
        done.revision = 0
