"""A writer that is killed in the middle: whole transactions, nothing else, and the next writer goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import world

from roost.domain.desired import Table
from roost.store.store import SqlStore

WRITER = Path(__file__).parent / "writer_process.py"
BATCH = 300


@pytest.mark.parametrize("lines", [1, 3, 4])
def test_killed_in_the_middle(store: SqlStore, url: str, lines: int) -> None:
    """The process says a revision before it commits, so it dies before, in or after a commit."""
    world.found(store)
    writer = subprocess.Popen([sys.executable, str(WRITER), url, "w", "0"], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline().split(":")[1]) for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    writer.stdout.close()
    with store.read() as view:
        revision, count = view.revision(), view.count_mailboxes()
        assert count % BATCH == 0
        assert revision == 7 + count
        assert revision >= said[-1] - BATCH
        assert len(view.mailboxes(limit=10 * BATCH * lines)) == count
        assert view.page(Table.ACCOUNTS, world.MS1, 0, 10_000).upto == (revision if count else 0)
        assert sum(n for n, _ in view.digests(Table.ACCOUNTS, world.MS1)) == count
    assert list(store.verify_audit()) == []
    assert world.add(store, "next") == revision + 1
    with store.read() as view:
        mailbox = view.mailbox(world.address("next"))
        assert mailbox is not None
        assert mailbox.number == count + 1
