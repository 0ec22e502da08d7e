"""A process that writes to a store: ``writer_process.py URL NAME COUNT``; prints NAME:REVISION for each change."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import world

from roost.store import open_store


def say(name: str, revision: int) -> None:
    """Tell the test what was written."""
    sys.stdout.write(f"{name}:{revision}\n")
    sys.stdout.flush()


def main() -> None:
    """Add mailboxes one after another; with a COUNT of 0 whole batches of them, until killed."""
    url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = open_store(url)
    for turn in range(count):
        say(name, world.add(store, f"{name}{turn}"))
    while count == 0:
        with store.write(name) as tx:
            numbers = tx.new_numbers(300)
            boxes = [world.box(n, f"{name}{n}") for n in numbers]
            say(name, tx.put_mailboxes(boxes, "mailbox added"))
    store.close()


if __name__ == "__main__":
    main()
