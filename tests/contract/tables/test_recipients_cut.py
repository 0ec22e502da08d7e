"""Postfix's three files, cut off after their first step: what no alias followed goes, whatever the feed says next."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from roost.domain.desired import Value
from roost.drivers.postfix.layout import Layout
from roost.drivers.postfix.recipients import Recipients
from roost.ports.driver import Batch

OLD: Value = {"to": ["old@old.pop.example.test"], "hop": "ms1.cluster.test", "refuse": ""}
NEW: Value = {"to": ["new@new.pop.example.test"], "hop": "ms2.cluster.test", "refuse": ""}
SUSPENDED: Value = {**NEW, "refuse": "550 5.2.1 This mailbox is suspended"}


@pytest.mark.parametrize(
    "rows",
    [
        [("new@example.test", NEW)],
        [("new@example.test", SUSPENDED)],
        [("new@example.test", NEW), ("old@example.test", {**OLD, "hop": "ms3.cluster.test"})],
    ],
    ids=["added", "added suspended", "added beside a move"],
)
@pytest.mark.parametrize("comes_again", [True, False])
def test_cut_before_the_aliases(tmp_path: Path, rows: list[tuple[str, Value]], *, comes_again: bool) -> None:
    layout = Layout(maps=str(tmp_path))
    aliases, kept = Path(f"{layout.recipients}.lmdb"), tmp_path / "kept"
    table = Recipients(layout)
    table.apply(Batch([("old@example.test", OLD)], 1, 0))
    table.close()
    shutil.copy(aliases, kept)
    table.apply(Batch(rows, 2, 1))
    table.close()
    # As it is when the power goes between the next hops and the aliases.
    kept.replace(aliases)

    table = Recipients(layout)
    assert table.position() == 1
    if comes_again:
        table.apply(Batch(rows, 2, 1))
        assert dict(table.rows()) == {"old@example.test": OLD, **dict(rows)}
    else:
        table.settle()
        # A next hop may be ahead of its alias: the batch, or what has taken its place in the feed, comes for sure.
        assert dict(table.rows()).keys() == {"old@example.test"}
        table.apply(Batch([("old@example.test", OLD), ("new@example.test", None)], 3, 1))
        assert dict(table.rows()) == {"old@example.test": OLD}
    table.close()


def test_comparing_and_settling_at_once(tmp_path: Path) -> None:
    """An agent's two threads do so; whoever holds two files takes them in one order, or both would wait for ever."""
    table = Recipients(Layout(maps=str(tmp_path)))
    table.complete()
    ending = threading.Event()

    def change() -> None:
        for number in range(1, 300):
            gone = number % 2 == 0
            table.apply(
                Batch([("new@example.test", None if gone else NEW), ("old@example.test", OLD)], number, number - 1)
            )
            table.settle()
        ending.set()

    def look() -> None:
        while not ending.is_set():
            list(table.rows())

    threads = [threading.Thread(target=act, daemon=True) for act in (change, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    table.close()
