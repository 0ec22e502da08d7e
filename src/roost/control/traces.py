"""What became of mail, as an administrator asks it: by a mailbox's address, and with what else happened to it.

Mail and logins are the log node's to tell, moves and changes of the account the store's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from roost.domain.cluster import Node, Role
from roost.domain.errors import Unavailable
from roost.domain.move import Move, State
from roost.domain.names import Address
from roost.domain.trace import Found, Login, Moment, Question, timeline
from roost.ports.store import Event, Reader, Store
from roost.ports.traces import Traces

_MOVES_MOST = 1000
_CHANGES_MOST = 1000
_OF_MOVES = "move "
"""How the verbs of a move's events begin: moves are told once, by what has become of them."""


class NoLogNode:
    """Answers where no node collects the logs."""

    def trace(self, question: Question) -> Found:
        """Refuse."""
        del question
        raise _no_log_node()

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        """Refuse."""
        del users, since, until, limit
        raise _no_log_node()


class OfLogNode:
    """Answers of the cluster's log node, whichever that is when it is asked. ``reach`` opens the way to a node."""

    def __init__(self, store: Store, reach: Callable[[Node], Traces]) -> None:
        self._store = store
        self._reach = reach
        self._reached: dict[Node, Traces] = {}

    def trace(self, question: Question) -> Found:
        """Return the newest passages that a question asks for."""
        return self._traces().trace(question)

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        """Return the newest logins under any of these names, in the order of time."""
        return self._traces().logins(users, since, until, limit)

    def _traces(self) -> Traces:
        with self._store.read() as view:
            cluster = view.cluster()
        # One that leaves is asked while there is no other: it has what it collected.
        node = next(iter((*cluster.serving(Role.LOG), *cluster.with_role(Role.LOG))), None)
        if node is None:
            raise _no_log_node()
        if node not in self._reached:
            self._reached = {node: self._reach(node)}
        return self._reached[node]


def _no_log_node() -> Unavailable:
    return Unavailable(
        "No node collects the logs, so nothing is known of single messages.",
        remedy="Give a node the role 'log': 'roost node add NAME --role log'.",
    )


def trace(store: Store, traces: Traces, question: Question) -> Found:
    """Answer a question. The address of a mailbox stands for its personal address, too."""
    with store.read() as view:
        recipients = [other for address in question.recipients for other in _names(view, address)]
    return traces.trace(replace(question, recipients=tuple(dict.fromkeys(recipients))))


def user_timeline(
    store: Store, traces: Traces, address: str, *, since: datetime | None, until: datetime | None, limit: int
) -> list[Moment]:
    """Return what happened to a mailbox: its mail, its logins, its moves, changes of its account.

    It may be one that there is no more.
    """
    with store.read() as view:
        names = _names(view, address)
        moves = view.moves(address=names[0], limit=_MOVES_MOST)
        events = view.events_of(names[0], since=since, until=until, limit=_CHANGES_MOST)
    found = traces.trace(Question(recipients=names, since=since, until=until, limit=limit))
    logins = traces.logins(names, since, until, limit)
    others = [
        moment
        for moment in _moments(moves)
        if (since is None or moment.at >= since) and (until is None or moment.at <= until)
    ]
    others += [_moment_of_event(event) for event in events if not event.verb.startswith(_OF_MOVES)]
    return timeline(found.passages, logins, others, limit)


def _names(view: Reader, address: str) -> tuple[str, ...]:
    """Return an address, and the personal address of its mailbox where there is one."""
    parsed = Address.parse(address)
    mailbox = view.mailbox(parsed)
    if mailbox is None:
        return (str(parsed),)
    domain = next(domain for domain in view.cluster().domains if domain.name == parsed.domain)
    return str(parsed), mailbox.target(domain)


def _moments(moves: Iterable[Move]) -> Iterable[Moment]:
    for move in moves:
        way = f"from {move.source} to {move.target}"
        yield Moment(move.asked, "move asked", f"A move {way} was asked for by {move.actor} (move {move.id}).")
        if move.state in {State.SETTLING, State.DONE}:
            yield Moment(move.changed, f"move {move.state}", f"At home on {move.target} (move {move.id}).")
        elif move.state is State.UNDONE:
            yield Moment(move.changed, "move undone", f"Stays on {move.source} (move {move.id}). {move.reason}")


def _moment_of_event(event: Event) -> Moment:
    """Return what an administrator did to the account. An event's detail holds no password and no hash."""
    detail = "; ".join(f"{name} {value}" for name, value in event.detail.items())
    return Moment(event.at, event.verb, f"By {event.actor}: {detail}." if detail else f"By {event.actor}.")
