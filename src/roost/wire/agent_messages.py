"""What an agent and the controller say to each other: JSON over HTTPS with client certificates.

An agent always asks, the controller always answers. ``FeedRequest`` carries how far the node has each table: that
is the acknowledgement of everything before. The controller holds the request until there is something newer or
``wait`` seconds have passed.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from roost.domain.desired import NodeSettings, Scalar
from roost.domain.figures import Glance

FEED_ROWS = 2000
"""Most rows of one table in one answer, so that neither side needs much memory."""


class Message(BaseModel):
    """Base of all: unknown fields are errors, so that two versions that do not fit say so."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinRequest(Message):
    """A node that joins: its token, and certificate requests (PEM, PKCS #10) for keys that never leave it."""

    token: str = Field(max_length=200)
    identity_request: str = Field(max_length=10_000)
    service_request: str = Field(max_length=10_000)


class Certificates(Message):
    """Signed certificates, PEM: ``identity`` for the agent, ``service`` for the node's daemons."""

    node: str
    authority: str
    identity: str
    service: str


class CertificateRequest(Message):
    """A renewal, asked with the certificate that is still valid."""

    identity_request: str = Field(max_length=10_000)
    service_request: str = Field(max_length=10_000)


class FeedRequest(Message):
    """How far the node is. ``positions`` maps table names, and ``settings``, to revisions.

    ``epoch`` names the store that the positions belong to. ``held`` is the revision of the settings that the node
    has, though it may not have applied them yet (its position says that). ``paused`` lists tables that it cannot
    take rows of at the moment. ``health`` maps drivers that are not well to a
    sentence; ``checked`` is the number of the last drift check that the node has done. ``glance`` has the few figures
    that ``roost status`` shows.
    """

    epoch: str = ""
    positions: dict[str, int]
    held: int = -1
    paused: list[str] = []
    health: dict[str, str] = {}
    checked: int = 0
    glance: Glance = Glance()
    wait: float = Field(default=25.0, ge=0, le=60)


class TableNews(Message):
    """Rows of one table after the node's position; value None where the row is to go."""

    rows: list[tuple[str, dict[str, Scalar] | None]]
    upto: int
    more: bool


class FeedReply(Message):
    """What is newer than the request's positions; ``settings`` only where they changed.

    Where ``epoch`` differs from the node's, its tables are to be loaded anew from position 0. ``check`` asks for
    a drift check where it is greater than the node's ``checked``; ``lifted`` says that the brake is off for it.
    """

    epoch: str
    settings: NodeSettings | None = None
    tables: dict[str, TableNews] = {}
    check: int = 0
    lifted: bool = False


class DigestRequest(Message):
    """The node's digests of one table at a position: for each bucket how many rows, and the sum of their digests."""

    table: str
    position: int
    buckets: list[tuple[int, int]]


class DigestReply(Message):
    """``comparable`` is false where the store has moved on: ask again. ``differ`` lists the buckets that differ.

    ``head`` is the revision of the table's last change.
    """

    comparable: bool
    differ: list[int] = []
    head: int = 0


class BucketRequest(Message):
    """Asks for the rows that one bucket should have."""

    table: str
    position: int
    bucket: int = Field(ge=0, le=255)


class BucketReply(Message):
    """The rows of a bucket; ``comparable`` as above."""

    comparable: bool
    rows: list[tuple[str, dict[str, Scalar]]] = []


class DriftFinding(Message):
    """One thing on the node that was not as it should be. Says what, never a secret."""

    driver: str
    what: str
    """A path, or ``table: key``."""

    found: str
    """``missing``, ``changed`` or ``foreign`` (should not be there)."""

    repaired: bool


class DriftReport(Message):
    """The result of a drift check; ``number`` is the last one asked for that the node has done.

    ``whole`` is false where only files and daemons were looked at, as a node does every minute by itself.
    """

    number: int
    whole: bool = True
    findings: list[DriftFinding]
    rows_checked: int
    seconds: float
    refused: str = ""
    """Why the brake held repairs back, '' where it did not."""


class MoveReport(Message):
    """What a node says of its part in a move; ``said`` is one of ``roost.domain.move.Said``.

    ``body`` is JSON text: for ``copying`` and ``ready`` the progress, for ``moved`` the evidence of both sides. The
    ``attempt`` is that of the order which it answers.
    """

    move: int
    part: str
    said: str
    attempt: int
    words: str = Field(default="", max_length=4000)
    body: str = Field(default="", max_length=4_000_000)


class MoveReports(Message):
    """Several reports; the answer is empty once all are taken down."""

    reports: list[MoveReport] = Field(max_length=1000)
