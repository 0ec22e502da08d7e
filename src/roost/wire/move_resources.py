"""What administrators' programs and the API say to each other about moves."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from roost.domain.move import State
from roost.wire.resources import Resource, Written


class NewMove(Resource):
    """A mailbox to move; ``to`` names its new home, '' as the request says."""

    address: str
    to: str = ""


class NewMoves(Resource):
    """Moves to ask for: all or none. Either ``mailboxes``, or all of a ``domain``, of ``from_node``, of a group that
    is kept ``together``, or what these have in common.

    ``to`` is the new home of all that name none; where it is '' too, Roost chooses the node with most room.
    ``format`` '' leaves each as it is. ``parent`` puts them into a batch that there is already, or names
    a new one; '' lets Roost name it.
    """

    mailboxes: list[NewMove] = Field(default=[], max_length=1_000_000)
    domain: str = ""
    from_node: str = ""
    together: str = ""
    to: str = ""
    format: str = Field(default="", pattern="^(|mdbox|sdbox|maildir)$")
    deep: bool = False
    parent: str = Field(default="", pattern="^[a-z0-9-]{0,40}$")


class MovesAsked(Written):
    """What was asked for: the ids of the moves, and the batch that they are, '' for a single one."""

    ids: list[int] = Field(default=[])
    parent: str = ""


class MoveProgress(Resource):
    """How a move is going. ``phase`` says it in a word or two; ``rate`` is in bytes a second.

    ``bytes`` is what went over the wire, so it may be more or less than the mailbox's own ``total_bytes``.
    ``trouble`` is what keeps the target from going on at the moment.
    """

    phase: str
    passes: int
    messages: int
    bytes: int
    total_messages: int
    total_bytes: int
    rate: int
    expected_pause_ms: int
    trouble: str = ""


class MoveView(Resource):
    """A move as it is. ``changed`` is when it came into its state, ``parent`` its batch.

    ``pause_ms`` is for how long the mailbox was closed, ``passed_on`` how many came to the old home after that.
    ``kept_until`` is until when the old home keeps its copy, so that the move can be taken back.
    """

    id: int
    address: str
    source: str
    target: str
    state: State
    reason: str
    actor: str
    asked: datetime
    changed: datetime
    parent: str
    paused: bool
    aborting: bool
    attempts: int
    format: str
    deep: bool
    back_of: int
    progress: MoveProgress
    pause_ms: int
    passed_on: int
    kept_until: datetime | None = None


class MoveCertificate(Resource):
    """The proof of a hand-over: ``body`` is the JSON text that was signed, byte by byte in UTF-8.

    ``signature`` is ECDSA with SHA-256 by the cluster's authority (DER, base64); ``authority`` its certificate, PEM;
    ``valid`` whether the controller finds that they fit.
    """

    move: int
    body: str
    signature: str
    authority: str
    valid: bool
