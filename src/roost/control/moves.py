"""Moves as administrators ask for them: one mailbox or many, to a node or wherever there is room; and the way back.

Asking checks and writes down; what follows is the mover's (``roost.control.mover``). All moves of one request are
asked for, or none. A move keeps what ties the mailbox (``roost.control.kin``): those of a group that are all in the
request go together to one node, one alone goes to where the others are.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from roost.control import domains, headroom, mailboxes, nodes
from roost.control.followers import Followers
from roost.control.kin import Hindrance, Kin, Only
from roost.control.placing import Placer
from roost.control.warnings import DISK_NEARLY_FULL
from roost.control.writing import Done, writing
from roost.domain.cluster import FORMATS, Cluster, Mailbox, Node, Role, Suspended
from roost.domain.errors import BadImport, BadSetting, Finding, NotFound, Refused, RoostError
from roost.domain.move import OPEN, Move, State
from roost.domain.names import Address, host_name
from roost.domain.ties import FREE, tie_name
from roost.ports.store import Reader, Step, Store, Writer

_CHUNK = 2000
_SAID_MAX = 100
_FINDINGS_MAX = 100


@dataclass(frozen=True)
class Wanted:
    """Moves that somebody wants. Either ``mailboxes``, as (address, target or ''), or all of a ``domain``, of a node
    (``home``), of a group that is kept ``together``, or what these have in common. ``to`` is the target of all that
    name none; '' lets Roost choose."""

    mailboxes: Sequence[tuple[str, str]] = ()
    domain: str = ""
    home: str = ""
    together: str = ""
    to: str = ""
    format: str = ""
    deep: bool = False
    parent: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why mailboxes move, by address, where somebody has said so."""


@dataclass
class Asked(Done):
    """What was asked for: the ids of the moves, and the batch that they are, '' for a single one."""

    ids: list[int] = field(default_factory=list)
    parent: str = ""


def find(view: Reader, identity: int) -> Move:
    """Return a move, with its certificate; raises ``NotFound``."""
    move = view.move(identity)
    if move is None:
        raise NotFound(f"There is no move {identity}.", field="move", remedy="See 'roost move list'.")
    return move


def ask(
    store: Store, followers: Followers, actor: str, wanted: Wanted, now: datetime, *, dry_run: bool = False
) -> Asked:
    """Ask for moves. A single refusal is raised as it is, several as ``BadImport``, by the place in the request.

    Of a whole domain or node, mailboxes that are at home on the target already, or are being moved, are left out.
    """
    _check(wanted)
    asked = Asked()
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        asker = _Asker(tx, followers, wanted, actor, now)
        findings: list[Finding] = []
        moves: list[Move] = []
        for some in _meant(tx, asker.cluster, wanted):
            asker.learn([meant for _, meant, _ in some if isinstance(meant, Mailbox)])
            for place, meant, to in some:
                try:
                    if isinstance(meant, RoostError):
                        raise meant
                    move = asker.move(meant, to, leave_out=not wanted.mailboxes)
                except RoostError as error:
                    if len(wanted.mailboxes) <= 1:
                        raise
                    findings.append(Finding(place, 1, error.field, error.message))
                    continue
                if move is not None:
                    moves.append(move)
        if findings:
            raise BadImport(
                f"{len(findings)} of {len(wanted.mailboxes)} mailboxes cannot be moved; nothing was asked for.",
                tuple(findings[:_FINDINGS_MAX]),
                remedy="Leave them out, or put right what is in the way.",
            )
        if moves:
            ids = tx.new_move_ids(len(moves))
            asked.ids, asked.parent = list(ids), wanted.parent or (f"b{ids[0]}" if len(ids) > 1 else "")
            moves = [replace(move, id=own, parent=asked.parent) for own, move in zip(ids, moves, strict=True)]
            done.revision = tx.put_moves([Step(None, move, "move asked") for move in moves])
        asked.did = _said(moves, asked.parent, asker.left_out)
    asked.revision = done.revision
    return asked


def ask_away(
    tx: Writer,
    followers: Followers,
    pages: Iterable[Sequence[Mailbox]],
    *,
    home: str,
    parent: str,
    most: int,
    now: datetime,
) -> tuple[int, dict[Address, str]]:
    """Ask for moves of mailboxes of a node to wherever there is room, as part of a batch, until there are so many.
    All of the node is to go, sooner or later.

    Returns how many were asked for, and why each of the others cannot be moved, of as many.
    """
    asker = _Asker(tx, followers, Wanted(home=home, parent=parent), "controller", now)
    moves, without = list[Move](), dict[Address, str]()
    for some in pages:
        asker.learn(some)
        for mailbox in some[: most - len(moves)]:
            try:
                move = asker.move(mailbox, "", leave_out=False)
            except Refused as error:
                if len(without) < most:
                    without[mailbox.address] = str(error)
            else:
                assert move is not None  # noqa: S101 - nothing is left out
                moves.append(move)
        if len(moves) >= most:
            break
    if moves:
        ids = tx.new_move_ids(len(moves))
        named = [replace(move, id=own, parent=parent) for own, move in zip(ids, moves, strict=True)]
        tx.put_moves([Step(None, move, "move asked") for move in named])
    return len(moves), without


def _check(wanted: Wanted) -> None:
    if bool(wanted.mailboxes) == bool(wanted.domain or wanted.home or wanted.together):
        raise BadSetting(
            "Either mailboxes are named, or a domain, a node or a group of which all are moved.",
            field="mailboxes",
            remedy="Name addresses; or give a domain, a node to move from, a group, or several of these.",
        )
    if wanted.format and wanted.format not in FORMATS:
        raise BadSetting(
            f"There is no format {wanted.format!r}.", field="format", remedy=f"The formats are: {', '.join(FORMATS)}."
        )


def _meant(tx: Reader, cluster: Cluster, wanted: Wanted) -> Iterator[list[tuple[int, Mailbox | RoostError, str]]]:
    """Yield in chunks what is meant: its place in the request, the mailbox or why there is none, and its target."""
    for first in range(0, len(wanted.mailboxes), _CHUNK):
        named = wanted.mailboxes[first : first + _CHUNK]
        yield [(first + n, _found(tx, address), to or wanted.to) for n, (address, to) in enumerate(named, 1)]
    if wanted.mailboxes:
        return
    domain = domains.find(cluster, wanted.domain).name if wanted.domain else ""
    home = nodes.find(cluster, wanted.home).name if wanted.home else ""
    ties, after = FREE.changed({"together": wanted.together}), ""
    if ties and not tx.count_mailboxes(ties=ties):
        raise NotFound(f"There is no group {ties.together}.", field="together", remedy="See 'roost user list'.")
    while some := tx.mailboxes(domain=domain, home=home, ties=ties, after=after, limit=_CHUNK):
        yield [(0, mailbox, wanted.to) for mailbox in some]
        after = str(some[-1].address)


def _found(tx: Reader, address: str) -> Mailbox | RoostError:
    try:
        return mailboxes.find(tx, address)
    except RoostError as error:
        return error


class _Asker:
    """Makes the moves of one request."""

    def __init__(self, tx: Writer, followers: Followers, wanted: Wanted, actor: str, now: datetime) -> None:
        self.cluster = tx.cluster()
        self.left_out = Counter[str]()
        self._tx = tx
        self._moving: dict[int, Move] = {}
        self._followers = followers
        self._wanted = wanted
        self._actor = actor
        self._now = now
        self._seen: set[int] = set()
        self._kin = Kin(tx, self.cluster)
        storage = self.cluster.with_role(Role.STORAGE)
        self._able = [node for node in storage if not self._fault(node) and self._has_room(node)]
        homes = Counter(tx.homes())
        for (_, target), count in tx.count_moves(OPEN - {State.SETTLING}).items():
            homes[target] += count
        self._placer = Placer(replace(self.cluster, nodes=tuple(self._able)), homes, headroom.known(tx))
        self._refusing = {d.name for d in self.cluster.domains if d.suspended is Suspended.REFUSE}

    def learn(self, some: Sequence[Mailbox]) -> None:
        """Ask once for many mailboxes which of them are being moved, and to whom they are tied."""
        self._moving = self._tx.open_moves(mailbox.number for mailbox in some)
        self._kin.learn(mailbox.ties for mailbox in some)

    def move(self, mailbox: Mailbox, to: str, *, leave_out: bool, back_of: int = 0) -> Move | None:
        """Return the move of a mailbox, without its id, or None where it is left out; raises ``Refused``."""
        target = self._target(to).name if to else ""
        for why, reason in self._hindrances(mailbox, target):
            if leave_out:
                self.left_out[why] += 1
                return None
            raise Refused(reason, field="to" if why == _THERE else "address", remedy=_REMEDIES[why])
        if mailbox.ties and (tied := self._hindrance(mailbox, target)):
            if leave_out:
                self.left_out[_TIED[tied.tie]] += 1
                return None
            raise Refused(tied.sentence, field="to" if to else "address", remedy=tied.remedy)
        try:
            target = target or self._choose(mailbox)
        except Refused:
            if not (leave_out and mailbox.ties):
                raise
            self.left_out[_NOWHERE] += 1
            return None
        self._seen.add(mailbox.number)
        self._kin.settle(replace(mailbox, home=target))
        wanted = self._wanted
        return Move(
            id=0,
            address=mailbox.address,
            number=mailbox.number,
            source=mailbox.home,
            target=target,
            state=State.ASKED,
            asked=self._now,
            changed=self._now,
            actor=self._actor,
            format="" if wanted.format == mailbox.format else wanted.format,
            deep=wanted.deep,
            back_of=back_of,
            reason=wanted.reasons.get(str(mailbox.address), ""),
        )

    def _hindrances(self, mailbox: Mailbox, target: str) -> Iterator[tuple[str, str]]:
        """Yield why a mailbox cannot be moved: in short, and in a sentence."""
        if mailbox.home == target:
            yield _THERE, f"{mailbox.address} is at home on {target} already."
        if mailbox.number in self._seen:
            yield _TWICE, f"{mailbox.address} occurs twice."
        if other := self._moving.get(mailbox.number):
            yield _MOVING, f"{mailbox.address} is being moved to {other.target} already (move {other.id})."
        if mailbox.suspended and mailbox.address.domain in self._refusing:
            yield _REFUSED, f"{mailbox.address} is suspended, and its domain refuses mail for such mailboxes."

    def _target(self, name: str) -> Node:
        """Return the node that is named, if a mailbox can be moved there."""
        node = nodes.find(self.cluster, name)
        if fault := self._fault(node):
            raise Refused(f"{node.name} {fault}.", field="to", remedy="See 'roost status'; or let Roost choose.")
        return node

    def _hindrance(self, mailbox: Mailbox, target: str) -> Hindrance | None:
        """Return by which tie a mailbox stays: the target may not have it, or it is where it must be."""
        if target:
            return self._kin.hindrance(mailbox, target, self._leaves)
        only = self._only(mailbox)
        return only if only and only.node == mailbox.home else None

    def _only(self, mailbox: Mailbox) -> Only | None:
        """Return the one node to which a mailbox may go. A group of which all may go gathers where most of it is."""
        only = self._kin.only(mailbox, self._leaves)
        if only is None and len({one.home for one in self._kin.company(mailbox, self._leaves)}) > 1:
            only = self._kin.only(mailbox)
        return only

    def _leaves(self, mailbox: Mailbox) -> bool:
        """Say whether a mailbox is part of the request, and has yet to get its move."""
        return mailbox.number not in self._seen and self._is_meant(mailbox)

    def _is_meant(self, mailbox: Mailbox) -> bool:
        if self._wanted.mailboxes:
            return str(mailbox.address) in self._named
        has = (mailbox.address.domain, mailbox.home, mailbox.ties.together)
        return any(self._filters) and all(not w or w == one for w, one in zip(self._filters, has, strict=True))

    @functools.cached_property
    def _filters(self) -> tuple[str, str, str]:
        """Return domain, home and group of which all is meant, as they are kept."""
        domain, home = (host_name(name) if name else "" for name in (self._wanted.domain, self._wanted.home))
        return domain, home, tie_name(self._wanted.together, field="together")

    @functools.cached_property
    def _named(self) -> frozenset[str]:
        """Return the addresses that are named, as they are kept."""
        found = set[str]()
        for text, _ in self._wanted.mailboxes:
            with contextlib.suppress(RoostError):
                found.add(str(Address.parse(text)))
        return frozenset(found)

    def _choose(self, mailbox: Mailbox) -> str:
        if mailbox.ties and (only := self._only(mailbox)):
            return self._bound(mailbox, only)
        if not any(node.name != mailbox.home for node in self._able):
            raise Refused(
                f"There is no other storage node to which {mailbox.address} could go.",
                field="to",
                remedy="Add one with 'roost node add', or see 'roost status' what the others lack.",
            )
        if not mailbox.ties:
            return self._placer.place(None, but=mailbox.home)
        return self._placer.place(
            None,
            but=mailbox.home,
            many=len(self._kin.company(mailbox, self._leaves)),
            may=lambda name: self._kin.hindrance(mailbox, name, self._leaves),
        )

    def _bound(self, mailbox: Mailbox, only: Only) -> str:
        """Return the one node to which a mailbox may go, if it can be moved there."""
        node = nodes.find(self.cluster, only.node)
        fault = self._fault(node) or ("" if self._has_room(node) else "has no room on its disk")
        if fault:
            raise Refused(f"{only.sentence} {node.name} {fault}.", field="address", remedy="See 'roost status'.")
        return self._placer.place(node.name, may=lambda name: self._kin.hindrance(mailbox, name, self._leaves))

    def _fault(self, node: Node) -> str:
        """Return why nothing can be moved to a node, '' where it can."""
        if Role.STORAGE not in node.roles:
            return "is no storage node"
        if not node.joined:
            return "has not joined yet"
        if node.life.leaving:
            return f"is {node.life}"
        seen = self._followers.seen(node.name)
        if not seen.connected(self._now):
            return "is not connected"
        for driver, words in sorted(seen.health.items()):
            return f"is not well ({driver}: {words.rstrip('.')})"
        return ""

    def _has_room(self, node: Node) -> bool:
        return self._followers.seen(node.name).glance.disk < DISK_NEARLY_FULL


_THERE, _TWICE, _MOVING, _REFUSED = "at home there", "named twice", "being moved", "suspended"
_TIED = {"pin": "pinned", "together": "kept together with others", "apart": "kept apart", "class": "of a class"}
"""Why a mailbox was left out, by the tie that holds it."""

_NOWHERE = "no node that their ties allow can take them"

_REMEDIES = {
    _THERE: "Choose another node.",
    _TWICE: "Name it once.",
    _MOVING: "Wait until that is done, or call 'roost move abort' first.",
    _REFUSED: "Resume it, or let its domain accept or defer such mail while it moves.",
}


def _said(moves: Sequence[Move], parent: str, left_out: Counter[str]) -> list[str]:
    """Return what was asked for in sentences: each move, or where there are very many, each pair of nodes."""
    if len(moves) <= _SAID_MAX:
        said = [f"{m.address} moves from {m.source} to {m.target} (move {m.id})." for m in moves]
    else:
        pairs = Counter((move.source, move.target) for move in moves)
        said = [f"{n} mailboxes move from {source} to {target}." for (source, target), n in sorted(pairs.items())]
    if parent and moves:
        said.append(f"Together they are the batch {parent}.")
    said += [f"{n} left out: {why}." for why, n in sorted(left_out.items())]
    return said


def kept_until(move: Move, keep_days: int) -> datetime | None:
    """Return until when the source keeps its copy; None where it has none that could be taken back."""
    return move.changed + timedelta(days=keep_days) if move.state is State.DONE else None


def back(
    store: Store, followers: Followers, actor: str, identity: int, now: datetime, *, dry_run: bool = False
) -> Asked:
    """Ask for the way back of a move that is done: to its source, which still keeps a copy. New mail comes along."""
    asked = Asked()
    with writing(store, actor, dry_run=dry_run) as (tx, done):
        old = find(tx, identity)
        mailbox = tx.mailbox(old.address)
        until = kept_until(old, tx.cluster().policy.keep_days)
        if reason := _not_back(tx, old, mailbox, until, now):
            raise Refused(
                f"Move {old.id} cannot be taken back: {reason}.",
                field="move",
                remedy="Ask for a new move with 'roost user move ADDRESS --to NODE'.",
            )
        assert mailbox is not None  # noqa: S101 - looked at above
        wanted = Wanted(to=old.source, format=old.format_before, deep=old.deep)
        asker = _Asker(tx, followers, wanted, actor, now)
        asker.learn([mailbox])
        move = asker.move(mailbox, old.source, leave_out=False, back_of=old.id)
        assert move is not None  # noqa: S101 - nothing is left out
        move = replace(move, id=tx.new_move_ids(1)[0])
        done.revision = tx.put_moves([Step(None, move, "move asked")])
        asked.ids = [move.id]
        asked.did = [f"{move.address} moves back from {move.source} to {move.target} (move {move.id})."]
    asked.revision = done.revision
    return asked


def _not_back(tx: Reader, old: Move, mailbox: Mailbox | None, until: datetime | None, now: datetime) -> str:
    if mailbox is None or mailbox.number != old.number:
        return "the mailbox was removed since"
    if until is None:
        return f"it is {old.state}, not done"
    if now >= until:
        return f"{old.source} has not kept its copy any longer than {until:%Y-%m-%d %H:%M} UTC"
    since = tx.moves(states=[State.SETTLING, State.DONE], address=str(old.address), after=old.id, limit=_CHUNK)
    later = [move for move in since if move.number == old.number]
    if later or mailbox.home != old.target:
        return "the mailbox has moved since" + (f" (move {later[-1].id})" if later else "")
    return ""
