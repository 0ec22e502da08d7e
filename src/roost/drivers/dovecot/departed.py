"""Mail of accounts that are gone: kept for ``policy.keep_days``, then removed, with care.

An account that goes leaves its number, its home and the time in the table ``departed``. An account that comes back
with the same number is struck off there and finds its mail; one of the same address with a new number has another
home, because the number is part of the path.

A home is removed only if its path has exactly the form ``<mail>/<domain>/<label>.<number>`` with the number that
departed, if no account has that number, and if nothing on the way is a symbolic link (the folders belong to the
user of all mail, so what stands there is not trusted). It is first renamed, in the transaction that makes sure of
all this, so that an account coming back at the same moment cannot write into a folder that is being removed.

A mailbox that left by a move is kept like one that was removed: its mail is at ``<home>.moving`` behind its fence
(``fence.py``). One that is still held, or of which the controller does not know yet that it left, is left alone.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot import fence
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.names import home_number
from roost.ports.host import Host

GONE = ".gone"
_AT_ONCE = 3
_SECONDS_A_DAY = 86_400

_DUE = """
SELECT number, home FROM departed
WHERE since <= ? AND number NOT IN (SELECT number FROM account UNION SELECT number FROM standing)
ORDER BY since LIMIT ?
"""


def purge(database: Database, layout: Layout, host: Host, keep_days: int, now: datetime) -> tuple[str, ...]:
    """Remove a few homes whose time is over and return their paths; raises ``DaemonFailed``."""
    before = int(now.timestamp()) - keep_days * _SECONDS_A_DAY
    with database.read() as connection:
        due = connection.execute(_DUE, (before, _AT_ONCE)).fetchall()
    removed = []
    for number, home in due:
        path = _set_apart(database, layout, number, home, before)
        if path is None:
            continue
        host.run(["rm", "-rf", "--one-file-system", "--", str(path)], seconds=600)
        with database.write() as connection:
            connection.execute("DELETE FROM departed WHERE number = ? AND home = ?", (number, _plain(home) + GONE))
        removed.append(str(path))
    return tuple(removed)


def _set_apart(database: Database, layout: Layout, number: int, home: str, before: int) -> Path | None:
    """Rename a home to what is to be removed and return that, or None where the account is there again."""
    if home_number(_plain(home)) != number:
        raise DaemonFailed(f"{home!r} is not the home of the departed account {number}: it is left alone.")
    path = Path(layout.mail) / _plain(home)
    apart = path.with_name(path.name + GONE)
    with database.write() as connection:
        still = connection.execute(_DUE, (before, -1)).fetchall()
        if (number, home) not in still:
            return None
        if path.parent.resolve() != Path(layout.mail).resolve() / path.parent.name or path.is_symlink():
            raise DaemonFailed(f"{path} leads elsewhere by a symbolic link: it is left alone.")
        kept = fence.moving(path)
        for place in (path, kept):
            if fence.is_fence(place):
                place.rmdir()
        # The mail of a mailbox that left by a move is in the second place.
        for place in (path, kept):
            if place.exists() and not apart.exists():
                place.rename(apart)
        connection.execute("UPDATE departed SET home = ? WHERE number = ?", (_plain(home) + GONE, number))
    return apart


def _plain(home: str) -> str:
    return home.removesuffix(GONE)
