"""A move of one mailbox from its home, the *source*, to another storage node, the *target*: a table of states.

::

    asked ──> preparing ──> copying ──> holding ──> settling ──> done
      │           │            │  ^        │
      │           │            │  └────────┤   the hold was lifted: nothing happened, copy on
      v           v            v           v
      └───────────┴────> undoing ──> undone

=============  ===================================================  ============================================
state          what is true in it                                   what ends it
=============  ===================================================  ============================================
``asked``      checked and written down; nothing else was done      a free place within the limits and the hours
``preparing``  both nodes have their orders; the account on the     both nodes acknowledge these rows
               target is closed
``copying``    passes run while the user works                      the target says ``ready``: the last pass was
                                                                    short, and both sides compared equal
``holding``    the nodes may hand the mailbox over by themselves    the source says ``moved``; or the target
                                                                    says ``failed``: back to ``copying``
``settling``   the store has the new home; the source passes on     every node has the rows, the old DNS answers
               whoever still comes to it                            have expired, nobody comes any more
``done``       the source holds a closed copy for ``keep_days``
``undoing``    both nodes are told to drop their part               both say ``dropped``
``undone``     as if nothing had been asked; ``reason`` says why
=============  ===================================================  ============================================

Who owns the mailbox
    At every moment exactly one node does. It is the source until the source itself, on its own disk and before its
    deadline, has written that it gave the mailbox away; from then on it is the target. So no clock is compared
    with another, and the controller may be away: it takes down afterwards what has happened. That is why ``holding``
    cannot be undone by the controller alone: it asks the source to drop, and the source may answer ``moved``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from roost.domain.desired import Guest, Place, Row, Table, Value
from roost.domain.names import Address


class State(StrEnum):
    """Where a move is; the module's table says what each means."""

    ASKED = "asked"
    PREPARING = "preparing"
    COPYING = "copying"
    HOLDING = "holding"
    SETTLING = "settling"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


NEXT: dict[State, frozenset[State]] = {
    State.ASKED: frozenset({State.PREPARING, State.UNDONE}),
    State.PREPARING: frozenset({State.COPYING, State.UNDOING}),
    # A restored controller may have lost the hand-over that the source has done since.
    State.COPYING: frozenset({State.HOLDING, State.SETTLING, State.UNDOING}),
    State.HOLDING: frozenset({State.COPYING, State.SETTLING, State.UNDOING}),
    # The source may have given the mailbox away before it was told to drop.
    State.UNDOING: frozenset({State.UNDONE, State.SETTLING}),
    State.SETTLING: frozenset({State.DONE}),
    State.DONE: frozenset(),
    State.UNDONE: frozenset(),
}
"""Which state may follow which; everything else is a fault of ours."""

UNDER_WAY = frozenset({State.PREPARING, State.COPYING, State.HOLDING, State.UNDOING})
"""States that count against the limits: both nodes work."""

ARRIVING = frozenset({State.ASKED, State.PREPARING, State.COPYING, State.HOLDING})
"""States in which a mailbox lives at its source and will live at its target."""

OPEN = UNDER_WAY | {State.ASKED, State.SETTLING}
"""States in which no other move of the mailbox may be asked for."""


class Part(StrEnum):
    """What a node is in a move."""

    SOURCE = "source"
    TARGET = "target"


class Wanted(StrEnum):
    """What a node is to do for a move: the one field of its order that changes."""

    PREPARE = "prepare"
    COPY = "copy"
    PAUSE = "pause"
    """Like ``copy``, but begin no pass."""

    HAND_OVER = "hand-over"
    SETTLE = "settle"
    DROP = "drop"


class Said(StrEnum):
    """What a node reports of its part. The same report may come any number of times."""

    COPYING = "copying"
    """Target: progress."""

    READY = "ready"
    """Target: the last pass was short enough and the proof without a hold agrees."""

    HELD = "held"
    """Source: the hold began."""

    FAILED = "failed"
    """Target: this attempt ended without a hand-over, and the hold is lifted or runs out by itself."""

    REFUSED = "refused"
    """Either: it cannot be done at all; the words say why."""

    MOVED = "moved"
    """Source: it has given the mailbox away; with the evidence of both sides."""

    PASSED_ON = "passed-on"
    """Source, while settling: how many sessions still came to it."""

    DROPPED = "dropped"
    """Either: its part is undone."""


@dataclass(frozen=True)
class Move:
    """One move. ``number`` is the mailbox's; ``id`` the move's own, never given twice.

    ``parent`` is the id of the batch that it belongs to, '' for none. ``aborting`` and ``paused`` are what an
    administrator wants. ``attempts`` counts the hand-overs that were begun. ``progress`` and ``certificate`` are
    JSON texts, '' while there is nothing: what the target said last, and the proof (``roost.domain.evidence``).
    ``revision`` is the one of the last change of state: what acknowledgements are compared with.
    """

    id: int
    address: Address
    number: int
    source: str
    target: str
    state: State
    asked: datetime
    changed: datetime
    actor: str
    format: str = ""
    """Format of the copy: ``mdbox``, ``sdbox``, ``maildir``; '' as the mailbox has it."""

    deep: bool = False
    """Whether contents are compared, too."""

    back_of: int = 0
    """The move that this one takes back, 0 for none: the target has a kept copy."""

    parent: str = ""
    reason: str = ""
    paused: bool = False
    aborting: bool = False
    attempts: int = 0
    revision: int = 0
    progress: str = ""
    certificate: str = ""
    format_before: str = ""
    """Format of the copy that stays on the source; known from the hand-over on."""

    @property
    def open(self) -> bool:
        """Say whether it is not over."""
        return self.state in OPEN


def guest_of(move: Move, format: str) -> Guest | None:
    """Return which other node has the mailbox's account; ``format`` is what the mailbox has now."""
    if move.state in UNDER_WAY:
        return Guest(move.target, Place.INCOMING, move.format or format)
    if move.state is State.SETTLING:
        return Guest(move.source, Place.MOVED, move.format_before or format)
    return None


_WANTED = {
    State.PREPARING: Wanted.PREPARE,
    State.COPYING: Wanted.COPY,
    State.HOLDING: Wanted.HAND_OVER,
    State.SETTLING: Wanted.SETTLE,
    State.UNDOING: Wanted.DROP,
}


def rows_of_move(move: Move, hostname: str, bandwidth: int, hold_seconds: int) -> tuple[Row, ...]:
    """Return the orders that a move gives to its two nodes; none before it begins and after it is over.

    ``bandwidth`` in bytes a second, 0 for no limit. While settling, only the source has anything to do.
    """
    wanted = _WANTED.get(move.state)
    if wanted is None:
        return ()
    if wanted is Wanted.COPY and move.paused:
        wanted = Wanted.PAUSE
    parts = [(move.source, Part.SOURCE, move.target)]
    if move.state is not State.SETTLING:
        parts.append((move.target, Part.TARGET, move.source))
    rows = []
    for node, part, peer in parts:
        value: Value = {
            "part": str(part),
            "address": str(move.address),
            "number": move.number,
            "hostname": hostname,
            "peer": peer,
            "wanted": str(wanted),
            "attempt": move.attempts,
            "bandwidth": bandwidth,
            "hold": hold_seconds,
            "deep": move.deep,
            "kept": move.back_of,
        }
        rows.append(Row(Table.MOVES, node, str(move.id), value))
    return tuple(rows)


@dataclass(frozen=True)
class Order:
    """One row of the table ``moves`` on a node, read."""

    move: int
    part: Part
    address: str
    number: int
    hostname: str
    peer: str
    wanted: Wanted
    attempt: int
    bandwidth: int
    hold: int
    deep: bool
    kept: int

    @classmethod
    def of_row(cls, key: str, value: Value) -> Order:
        """Read a row; raises ``ValueError`` or ``KeyError`` where it is none."""
        if set(value) != {
            "part", "address", "number", "hostname", "peer", "wanted", "attempt", "bandwidth", "hold", "deep", "kept"
        }:  # fmt: skip
            raise ValueError(f"the fields of an order are not {', '.join(sorted(value))}")
        return cls(
            move=int(key),
            part=Part(str(value["part"])),
            address=str(value["address"]),
            number=_int(value["number"]),
            hostname=str(value["hostname"]),
            peer=str(value["peer"]),
            wanted=Wanted(str(value["wanted"])),
            attempt=_int(value["attempt"]),
            bandwidth=_int(value["bandwidth"]),
            hold=_int(value["hold"]),
            deep=bool(value["deep"]),
            kept=_int(value["kept"]),
        )


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no number")
    return value
