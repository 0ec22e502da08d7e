"""What administrators' programs and the API say to each other; the CLI is one of them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from roost.domain.cluster import FORBIDDEN_ATTACHMENTS, Suspended
from roost.domain.node_life import Life


class Resource(BaseModel):
    """Base of all: unknown fields are errors that name the field."""

    model_config = ConfigDict(extra="forbid")


class Problem(Resource):
    """Why a request failed (RFC 9457, problem details), with Roost's stable ``code`` and a ``remedy``."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    remedy: str = ""
    field: str = ""
    findings: list[ImportFinding] = []


class ImportFinding(Resource):
    """One fault of an import: 1-based line and column."""

    line: int
    column: int
    field: str
    message: str


class Written(Resource):
    """What a write did, or would do where ``dry_run``. ``revision`` leads to its receipt; 0 where nothing changed."""

    revision: int
    dry_run: bool = False
    did: list[str] = []
    """One sentence for each thing that changed."""


class NewDomain(Resource):
    """A domain to add. ``access_zone`` is ``pop.<name>`` where not given; ``quota`` in bytes, 0 for none."""

    name: str
    access_zone: str | None = None
    quota: int = Field(default=0, ge=0)
    suspended: Suspended = Suspended.ACCEPT


class DomainChange(Resource):
    """Fields of a domain to change; those left out stay."""

    quota: int | None = Field(default=None, ge=0)
    suspended: Suspended | None = None


class DomainView(Resource):
    """A domain as it is. ``records`` are those that the world's DNS should have for it."""

    name: str
    access_zone: str
    quota: int
    suspended: Suspended
    mailboxes: int = 0
    records: list[str] = []


class NewMailbox(Resource):
    """A mailbox to add: ``password`` in clear, or ``password_hash`` with Dovecot's scheme prefix.

    ``together`` is the group with which it lives on one node, ``apart`` the group of which no two live on one node,
    ``pin`` the only node on which it may live; ``service_class`` must be offered by its node.
    """

    address: str
    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)
    home: str | None = None
    quota: int = Field(default=0, ge=0)
    format: str | None = Field(default=None, pattern="^(mdbox|sdbox|maildir)$")
    """Format in which Dovecot keeps it; None as the policy says."""

    together: str | None = None
    apart: str | None = None
    pin: str | None = None
    service_class: str | None = None


class MailboxChange(Resource):
    """Fields of a mailbox to change; those left out stay. Of the last four, '' takes away; nobody moves by that."""

    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)
    quota: int | None = Field(default=None, ge=0)
    suspended: bool | None = None
    together: str | None = None
    apart: str | None = None
    pin: str | None = None
    service_class: str | None = None


class MailboxView(Resource):
    """A mailbox as it is; never its password or hash. ``moving_to`` names a node while a move to it is open."""

    address: str
    hostname: str
    target: str
    home: str
    quota: int
    suspended: bool
    number: int
    format: str = "mdbox"
    moving_to: str = ""
    together: str = ""
    apart: str = ""
    pin: str = ""
    service_class: str = ""


class NewMailboxes(Resource):
    """Mailboxes to add together: all or none. ``lines`` are their places in a file, for findings."""

    mailboxes: list[NewMailbox] = Field(max_length=1_000_000)


class NewAlias(Resource):
    """An alias to add, or to set."""

    address: str
    targets: list[str] = Field(min_length=1, max_length=1000)


class AliasView(Resource):
    """An alias as it is."""

    address: str
    targets: list[str]


class SenderView(Resource):
    """What a domain or an address (``owner``) says of a sender: ``allow`` or ``deny``."""

    owner: str
    sender: str
    verdict: str = Field(pattern="^(allow|deny)$")


class NewNode(Resource):
    """A node to add. ``valid_minutes`` is how long its join token lives; ``classes`` are the classes of service that
    it offers."""

    name: str
    roles: list[str]
    addresses: list[str]
    classes: list[str] = []
    valid_minutes: int = Field(default=60, ge=1, le=10_080)


class Declared(Resource):
    """How strong a node is said to be: ``cpu`` in reference processors, ``io`` in synced writes a second, the rest in
    bytes. None leaves a figure as it is; 0 takes it back, so that what the node has measured counts.
    """

    cpu: float | None = Field(default=None, ge=0, lt=1e6)
    io: float | None = Field(default=None, ge=0, lt=1e9)
    memory: float | None = Field(default=None, ge=0, lt=1e18)
    disk: float | None = Field(default=None, ge=0, lt=1e18)


class NodeChange(Resource):
    """What to change of a node; None leaves it as it is, a list replaces the whole."""

    roles: list[str] | None = None
    addresses: list[str] | None = None
    declared: Declared | None = None
    classes: list[str] | None = None


class WaitingView(Resource):
    """Mail that has yet to get to a home: how many messages, and the age of the oldest in seconds."""

    messages: int
    oldest: int


class NodeFigures(Resource):
    """What a node told of itself last, with its question to the controller; ``at`` is when, by its own clock.

    ``load`` is for each processor; ``disk`` the share in use of the fullest file system, which is ``disk_path``;
    ``memory`` the share that is available. ``queue`` and ``sessions`` are null on a node that has none. ``skew`` is
    by how many seconds its clock is ahead of the controller's.
    """

    at: datetime
    load: float
    memory: float
    disk: float
    disk_path: str
    queue: int | None = None
    oldest: int = 0
    waiting: dict[str, WaitingView] = {}
    sessions: int | None = None
    lessons: int = 0
    certificate_ends: datetime | None = None
    log_delay: float = 0.0
    braked: bool = False
    skew: float = 0.0


class NodeView(Resource):
    """A node as it is, with what it last said. ``late`` is by how many changes it is behind."""

    name: str
    roles: list[str]
    addresses: list[str]
    joined: bool
    classes: list[str] = []
    life: Life = Life.ACTIVE
    since: datetime | None = None
    """When it came into this state of its life; null for one that was never drained."""

    seen: datetime | None = None
    connected: bool = False
    positions: dict[str, int] = {}
    late: int = 0
    mailboxes: int = 0
    health: dict[str, str] = {}
    figures: NodeFigures | None = None


class RestView(Resource):
    """One thing that is left on a node that is drained; ``until``: it goes by itself at that time."""

    what: str
    words: str
    remedy: str = ""
    until: datetime | None = None


class DrainView(Resource):
    """How far a node is on its way out.

    ``moves`` counts the moves of its batch by state, ``failed`` names mailboxes that could not be moved yet, with the
    reason. ``left`` is all that keeps it from being drained, ``notes`` what is to be known besides. ``seconds_left``
    is until the last mailbox has moved, at the rate so far; null where that cannot be told. ``stalled`` is since when
    nothing has changed, where that is for long.
    """

    node: str
    life: Life
    since: datetime | None = None
    batch: str = ""
    mailboxes: int = 0
    bytes: int = 0
    moves: dict[str, int] = {}
    failed: dict[str, str] = {}
    left: list[RestView] = []
    notes: list[str] = []
    seconds_left: int | None = None
    stalled: datetime | None = None


class NodeAdded(Written):
    """A node was added: the token is shown this once."""

    token: str = ""
    expires: datetime | None = None


class ReceiptLine(Resource):
    """One node that a change concerns."""

    node: str
    table: str
    applied: bool
    position: int
    at: datetime | None
    connected: bool


class Receipt(Resource):
    """Which nodes have applied a revision. ``done`` when all that it concerns have."""

    revision: int
    done: bool
    lines: list[ReceiptLine]


class Warned(Resource):
    """Something that an administrator should know, with what to do."""

    subject: str
    warning: str
    remedy: str
    name: str = ""


class Status(Resource):
    """The cluster at a glance."""

    cluster: str
    version: str
    revision: int
    domains: int
    mailboxes: int
    nodes: list[NodeView]
    warnings: list[Warned]
    queue: int = 0
    sessions: int = 0
    waiting: dict[str, WaitingView] = {}
    moves: dict[str, int] = {}


class DriftLine(Resource):
    """One thing that a node found not to be as it should."""

    node: str
    at: datetime
    driver: str
    what: str
    found: str
    repaired: bool


class Drift(Resource):
    """Drift checks: ``check`` is the number of the last one asked for; ``waiting`` the nodes that have not done it.

    ``lines`` are of each node's last check, ``earlier`` of the last time before that something was found on it.
    """

    check: int
    waiting: list[str]
    rows_checked: int
    lines: list[DriftLine]
    earlier: list[DriftLine] = []
    refused: dict[str, str] = {}


class EventView(Resource):
    """One entry of the audit log."""

    revision: int
    at: datetime
    actor: str
    verb: str
    subject: str
    detail: dict[str, str]


class KeyView(Resource):
    """An administrator's key, without its secret."""

    id: str
    name: str
    created: datetime
    expires: datetime | None


class NewKey(Resource):
    """A key to make."""

    name: str = Field(min_length=1, max_length=100)
    valid_days: int | None = Field(default=None, ge=1)


class KeyMade(KeyView):
    """A key that was made: ``key`` is shown this once."""

    key: str


class NewMonitoringCertificate(Resource):
    """Asks for a certificate that may read figures: a request (PEM, PKCS #10) for a key that stays where it is."""

    request: str = Field(max_length=10_000)
    valid_days: int = Field(default=365, ge=1, le=1095)


class MonitoringCertificate(Resource):
    """The certificate and the CA's own, PEM."""

    certificate: str
    authority: str
    expires: datetime


class PolicyView(Resource):
    """The cluster's policy; every field may be set."""

    ttl: int = Field(default=60, ge=5, le=86_400)
    message_size: int = Field(default=52_428_800, ge=100_000)
    over_quota: str = Field(default="defer", pattern="^(defer|refuse)$")
    forwarders: list[str] = []
    keep_days: int = Field(default=7, ge=0, le=3650)
    login_processes: str = Field(default="performance", pattern="^(performance|security)$")
    notify_secondaries: list[str] = []
    mailbox_format: str = Field(default="mdbox", pattern="^(mdbox|sdbox|maildir)$")
    hold_seconds: int = Field(default=5, ge=1, le=60)
    moves: int = Field(default=32, ge=0, le=10_000)
    moves_per_node: int = Field(default=8, ge=0, le=10_000)
    moves_per_pair: int = Field(default=4, ge=0, le=10_000)
    move_bandwidth: int = Field(default=0, ge=0)
    move_hours: str = Field(default="", pattern="^(|[0-9]{1,2}-[0-9]{1,2})$")
    balance_auto: str = Field(default="off", pattern="^(on|off)$")
    balance_every: int = Field(default=24, ge=1, le=720)
    balance_moves: int = Field(default=100, ge=0, le=1_000_000)
    balance_bytes: int = Field(default=50 * 2**30, ge=0)
    balance_pauses: int = Field(default=60, ge=0, le=86_400)
    balance_rest_days: int = Field(default=14, ge=0, le=365)
    filter: str = Field(default="on", pattern="^(on|off)$")
    filter_down: str = Field(default="defer", pattern="^(defer|accept)$")
    spam_score: int = Field(default=6, ge=1, le=1000)
    reject_score: int = Field(default=15, ge=1, le=1000)
    greylist_score: int = Field(default=0, ge=0, le=1000)
    dmarc: str = Field(default="honour", pattern="^(honour|quarantine|off)$")
    forbidden_attachments: list[str] = Field(default=list(FORBIDDEN_ATTACHMENTS), max_length=200)
    client_rate: int = Field(default=0, ge=0, le=10_000_000)
    sender_rate: int = Field(default=0, ge=0, le=10_000_000)
    backscatter: str = Field(default="refuse", pattern="^(refuse|accept)$")
    dns_lists: list[str] = Field(default=[], max_length=20)
    clamav: str = Field(default="off", pattern="^(on|off)$")
    redirects_per_message: int = Field(default=4, ge=0, le=32)
    vacation_min_days: int = Field(default=1, ge=1, le=365)
    sieve_script_size: int = Field(default=262_144, ge=1024, le=16 * 2**20)
    sieve_scripts: int = Field(default=32, ge=1, le=1000)
    rules_rate: int = Field(default=10_000, ge=0, le=10_000_000)
    logs_keep_days: int = Field(default=30, ge=1, le=3650)
    logs_compress_after_days: int = Field(default=3, ge=1, le=3650)
    logs_journal_size: int = Field(default=4 * 2**30, ge=16 * 2**20)
    logs_local_copy: str = Field(default="off", pattern="^(on|off)$")
    metrics_from: list[str] = Field(default=[], max_length=100)
    probe_seconds: int = Field(default=60, ge=0, le=3600)


class Restored(Resource):
    """A restore was done."""

    revision: int
    did: list[str]


Problem.model_rebuild()
