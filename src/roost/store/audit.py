"""The audit log: one event for each revision, chained by hashes.

An event's hash is the SHA-256, in hex, of the hash before it followed by the canonical JSON of
``[revision, at, actor, verb, subject, detail, concerns]``, the last two as the texts that are stored; before the
first event stands the empty text. So a change to any event, or an event taken out or put in, breaks the chain at
that place, unless everything behind it is computed anew: keep a copy of a late hash elsewhere (a backup has one)
to know of that too. A missing end shows because the last event's revision must be the store's.

Revisions have no gap, except before ``controller restored``, where the counter jumps (``roost.store.backup``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from roost.ports.store import Concern, Event
from roost.store import schema

RESTORED = "controller restored"
"""The verb of the one event before which revisions may jump."""

KEY_REMOVED = "key removed"
"""The verb of the event after which a restore does not bring a key back."""

_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_CHUNK = 2_000


class Log:
    """Appends events to the log, within one write transaction."""

    def __init__(self, connection: Connection, actor: str) -> None:
        self._connection = connection
        self._actor = actor
        self._last: str | None = None

    def forget(self) -> None:
        """Drop what is remembered of the log's end: a savepoint was rolled back."""
        self._last = None

    def append(self, entries: Sequence[tuple[int, str, str, Mapping[str, str], Iterable[tuple[str, str]]]]) -> None:
        """Write events, in order: (revision, verb, subject, detail, concerns as (table, scope))."""
        last = self._last if self._last is not None else _last_hash(self._connection)
        at = datetime.now(UTC).isoformat()
        written = []
        for revision, verb, subject, detail, concerns in entries:
            entry = {
                "revision": revision,
                "at": at,
                "actor": self._actor,
                "verb": verb,
                "subject": subject,
                "detail": _canonical(detail),
                "concerns": _canonical(sorted(concerns)),
            }
            last = entry["hash"] = link(last, entry)
            written.append(entry)
        self._connection.execute(schema.event.insert(), written)
        self._last = last


def link(previous: str, entry: Mapping[Any, Any]) -> str:
    """Return the hash of an event, given as its columns, behind the hash of the one before."""
    fields = ("revision", "at", "actor", "verb", "subject", "detail", "concerns")
    return hashlib.sha256((previous + _canonical([entry[f] for f in fields])).encode()).hexdigest()


def event_of(entry: Mapping[Any, Any]) -> Event:
    """Return an event from its columns."""
    return Event(
        int(entry["revision"]),
        datetime.fromisoformat(entry["at"]),
        entry["actor"],
        entry["verb"],
        entry["subject"],
        json.loads(entry["detail"]),
    )


def concerns_of(text: str) -> tuple[Concern, ...]:
    """Return the concerns of an event from their column."""
    return tuple(Concern(table, scope) for table, scope in json.loads(text))


def broken(connection: Connection) -> Iterator[str]:
    """Walk the whole log and yield a sentence for every place where it does not hold."""
    events = schema.event
    last_hash, last_revision = "", 0
    statement = select(events).order_by(events.c.revision).execution_options(yield_per=_CHUNK)
    # Closed at once where the caller stops in the middle: PostgreSQL holds a cursor for it.
    with connection.execute(statement) as found:
        for entry in found.mappings():
            revision = int(entry["revision"])
            if revision != last_revision + 1 and entry["verb"] != RESTORED:
                yield f"Between revision {last_revision} and {revision} events are missing."
            if link(last_hash, entry) != entry["hash"]:
                yield (
                    f"Event {revision} ({entry['verb']} {entry['subject']}, {entry['at']}) does not fit the one "
                    "before it: one of them was changed, or something between them was removed."
                )
            last_hash, last_revision = entry["hash"], revision
    counted = connection.execute(select(schema.counter.c.n).where(schema.counter.c.name == "revision")).scalar_one()
    if counted != last_revision:
        yield f"The log ends at revision {last_revision}, the store is at {counted}: events are missing."


def _last_hash(connection: Connection) -> str:
    events = schema.event
    found = connection.execute(select(events.c.hash).order_by(events.c.revision.desc()).limit(1)).scalar()
    return str(found) if found is not None else ""
