"""The life of a node: a table of states.

::

    active <───> draining ───> drained ───> retired: it is gone, and its name stays in the audit log
       ^                          │
       └──────────────────────────┘

============  ==================================================  ===============================================
state         what is true in it                                  what ends it
============  ==================================================  ===============================================
``active``    the others count on it                              an administrator drains it
``draining``  nothing new comes to it: no mailbox is placed       nothing is left there
              there, the others do not name it in DNS and send    (``roost.control.drain_steps``), or an
              it nothing; what it has leaves, and what still      administrator has it back
              comes is served as before
``drained``   it may be switched off, and nobody would notice     an administrator retires it, or has it back
============  ==================================================  ===============================================

A crash leaves nothing half done: the state is one field of the node in the store, and what follows from it is looked
at anew each time. A drained node goes on with what it has been told, for as long as it runs; nobody waits for it.
"""

from __future__ import annotations

from enum import StrEnum


class Life(StrEnum):
    """Where a node is in its life; the module's table says what each means."""

    ACTIVE = "active"
    DRAINING = "draining"
    DRAINED = "drained"

    @property
    def leaving(self) -> bool:
        """Say whether the others no longer count on the node."""
        return self is not Life.ACTIVE


NEXT: dict[Life, frozenset[Life]] = {
    Life.ACTIVE: frozenset({Life.DRAINING}),
    Life.DRAINING: frozenset({Life.DRAINED, Life.ACTIVE}),
    Life.DRAINED: frozenset({Life.ACTIVE}),
}
"""Which state may follow which; everything else is a fault of ours."""
