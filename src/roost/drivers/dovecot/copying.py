"""The copy of a mailbox: the two commands of dsync, and what is on the target where the copy is to be.

dsync(1) compares both sides and makes the target like the source: ``doveadm backup -R`` runs on the target and
pulls. It is several times quicker than pushing. The first pass copies everything, a later one what is new, and one
that is given the last pass's *state* does not even look at what was there before. A state is refused (exit status
75 or 2) when the source's log has been rotated since.

Whose a copy is says a file ``.roost-copy`` in the home: the move that made it, or, in the copy that stays on the
source, the move by which the mailbox left and the proof as it was then.
"""

from __future__ import annotations

import base64
import json
import shlex
import sqlite3
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.move import Order
from roost.drivers.dovecot import fence, tickets
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.layout import Layout
from roost.ports.host import File, Host
from roost.ports.mailstore import Pulled

MARK = ".roost-copy"

_PARTLY = 2
"""doveadm-sync(1): it worked, but not all could be done; another run is needed."""

_TEMPFAIL = 75
"""sysexits.h: also what a refused state ends with."""

_STATE_VERSION, _FOLDER, _GUID, _CRC = bytes((1, 0, 0, 0)), 44, 16, 4

_WORDS_MAX = 500
_DESYNC = "caused a desync"
_HARMLESS = "Can't rename mailbox to itself"
"""2.3 says so of a folder with a percent sign in its name, which has its name and everything else."""

_REFUSED_STATE = "retry with a full sync"


@dataclass(frozen=True)
class Mark:
    """What ``.roost-copy`` says; ``evidence``, as ``give_away`` got it, is '' in a copy that is being made."""

    move: int
    evidence: str = ""


def server_argv(layout: Layout, user: str) -> tuple[str, ...]:
    """Return the source's end of a stream."""
    return ("doveadm", "-c", layout.conf, "dsync-server", "-u", user)


def pull_argv(layout: Layout, order: Order, state: str, carrier: tuple[str, ...]) -> tuple[str, ...]:
    """Return one pass. With ``-s`` and an empty state the pass is a full one and says the state for the next.

    dsync puts the word ``dsync-server`` behind the command that carries its stream; as ``$0`` of a shell it does no
    harm.
    """
    carried = ("sh", "-c", f"exec {shlex.join(carrier)}")
    return ("doveadm", "-c", layout.conf, "backup", "-R", "-u", order.address, "-s", state, *carried)


def doubted(state: str, only: Collection[str] | None = None) -> str:
    """Return dsync's state so that every folder is looked at, or those with ``only`` these GUIDs.

    '' for a state that cannot be read; with that every folder is compared message by message.

    The side that runs ``doveadm backup`` goes through its own folders and skips those of which nothing has changed
    *there* since the state; when it pulls, it so misses what is new on the other side. A number of messages that is
    one too high makes each folder a changed one; nothing else reads it. The format: in base64, a version (1, 0, 0,
    0), for each folder GUID (16 bytes), UIDVALIDITY, last common UID (4 bytes each), two modseqs (8 bytes each) and
    the number of messages (4 bytes), all little-endian; then a CRC-32 (dsync-mailbox-state.c of Dovecot 2.2 to 2.4).
    """
    try:
        data = bytearray(base64.b64decode(state, validate=True))
    except ValueError:
        return ""
    end = len(data) - _CRC
    if end < len(_STATE_VERSION) or data[: len(_STATE_VERSION)] != _STATE_VERSION:
        return ""
    if (end - len(_STATE_VERSION)) % _FOLDER or data[end:] != zlib.crc32(data[:end]).to_bytes(_CRC, "little"):
        return ""
    for place in range(len(_STATE_VERSION), end, _FOLDER):
        if only is None or data[place : place + _GUID].hex() in only:
            count = slice(place + _FOLDER - 4, place + _FOLDER)
            data[count] = ((int.from_bytes(data[count], "little") + 1) % 2**32).to_bytes(4, "little")
    data[end:] = zlib.crc32(data[:end]).to_bytes(_CRC, "little")
    return base64.b64encode(data).decode("ascii")


def pulled(code: int, out: str, err: str) -> Pulled:
    """Say what the end of a pass means; raises ``DaemonFailed`` where another pass would not help."""
    words = err.strip()[-_WORDS_MAX:].rstrip(".")
    refused = _REFUSED_STATE in err
    if code == _PARTLY and err.count(_DESYNC) == err.count(_HARMLESS) > 0:
        # It would be said of every pass.
        return Pulled("", again=False, full=False, words="")
    if code not in (0, _PARTLY, _TEMPFAIL):
        raise DaemonFailed(f"'doveadm backup' ended with {code}{words and ': '}{words}.")
    if code == _TEMPFAIL and not refused:
        raise DaemonFailed(f"'doveadm backup' could not go on{words and ': '}{words}.")
    state = out.strip().splitlines()[-1] if code == 0 and out.strip() else ""
    return Pulled(state, again=code == _PARTLY and not refused, full=refused, words=words if code else "")


class Admitted(IntEnum):
    """Who is let in where a copy is; the view ``door`` (``schema.sql``) knows the numbers."""

    NOBODY = 0
    SOURCE = 1
    """Connections that the source passes on."""

    EVERYONE = 2
    """The source has given the mailbox away."""


class Notes:
    """What the target notes of a copy: dsync's state, and whether the source may pass somebody on to it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep_state(self, move: int, state: str) -> None:
        """Keep dsync's state."""
        with self._database.write(durable=False) as connection:
            _note(connection, move, "state", state)

    def state(self, move: int) -> str:
        """Return what was kept."""
        with self._database.read() as connection:
            found = connection.execute("SELECT state FROM incoming WHERE move = ?", (move,)).fetchone()
        return str(found[0]) if found else ""

    def let_in(self, move: int, who: Admitted) -> None:
        """Note who is let in; on the disk when it returns."""
        with self._database.write() as connection:
            _note(connection, move, "admitted", int(who))

    def admit(self, order: Order, ticket: str) -> None:
        """Note that the source is, and its word. On the disk when it returns: the source gives away after it."""
        with self._database.write() as connection:
            _note(connection, order.move, "admitted", int(Admitted.SOURCE))
            tickets.issue(connection, order, ticket)

    def forget(self, move: int) -> None:
        """Forget both."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM incoming WHERE move = ?", (move,))


def _note(connection: sqlite3.Connection, move: int, column: str, value: str | int) -> None:
    connection.execute(
        f"INSERT INTO incoming (move, {column}) VALUES (?, ?)"  # noqa: S608 - two names of columns
        f" ON CONFLICT (move) DO UPDATE SET {column} = excluded.{column}",
        (move, value),
    )


def mark_of(home: Path) -> Mark | None:
    """Return what a home's mark says; None for none that can be read."""
    try:
        found = json.loads((home / MARK).read_text("utf-8"))
        return Mark(int(found["move"]), str(found["evidence"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mark(host: Host, layout: Layout, home: Path, said: Mark) -> None:
    """Write a home's mark; raises ``DaemonFailed``."""
    text = json.dumps({"move": said.move, "evidence": said.evidence})
    host.write(File(str(home / MARK), f"{text}\n", 0o600, f"{layout.uid}:{layout.uid}"))


def unmark(home: Path) -> None:
    """Take back the mark of a mailbox that was to leave and stays; raises ``DaemonFailed``."""
    found = mark_of(home)
    if found is not None and found.evidence:
        try:
            (home / MARK).unlink()
        except OSError as error:
            raise DaemonFailed(f"{home / MARK} cannot be removed: {error.strerror}.") from error


def is_empty(home: Path) -> bool:
    """Say whether there is nothing where a copy is to be."""
    try:
        return not any(home.iterdir())
    except FileNotFoundError:
        return True


def discard(host: Host, layout: Layout, order: Order) -> None:
    """Remove a copy that this very move has made; raises ``DaemonFailed``."""
    home = Path(layout.mail) / fence.home_of(order)
    found = mark_of(home)
    if found is None or found.move != order.move or found.evidence:
        return
    if home.parent.resolve() != Path(layout.mail).resolve() / home.parent.name or home.is_symlink():
        raise DaemonFailed(f"{home} leads elsewhere by a symbolic link: it is left alone.")
    host.run(["rm", "-rf", "--one-file-system", "--", str(home)], seconds=600)
