"""The target's side: one worker for each move, which pulls copies and then has the mailbox handed over.

The worker does what its order wants and reports what came of it; the controller decides what is wanted next. A worker
may be stopped or die at any point: another one begins again from the order and from what the source says.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from roost.agent.moving.passes import Passes
from roost.agent.moving.reports import Reports
from roost.agent.moving.steps import step
from roost.domain.errors import DaemonFailed, NodeAway, RoostError
from roost.domain.evidence import Evidence, differences
from roost.domain.move import Order, Said, Wanted
from roost.ports.host import Host
from roost.ports.mailstore import Copy, Mailstore
from roost.wire.peer import Line, PeerReply, PeerRequest

_SHORT_SECONDS = 1.0
"""A pass that took no longer makes a hold worth asking for."""

_LAST_PASSES = 3
"""So often it is tried to make both sides alike in one hold."""

_PATIENCE = 6
"""After so many passes one of half the hold is short enough; users who are never quiet are moved as well."""

_PASSES_MAX = 40
_FAULTS_MAX = 10
"""So many passes one after the other may fail."""

_FRESH_SECONDS = 3.0
"""A copy that is older is brought up to date once more before a hold."""

_ROOM_SHARE = 1.2
_ANSWER_SECONDS = 15.0
_PAUSE_MAX = 10.0
_log = structlog.get_logger()


class _Impossible(RoostError):
    """The move cannot be done: waiting will not help."""


@dataclass
class Worker:
    """One move's worker. ``connect`` opens a connection to the source."""

    order: Order
    store: Mailstore
    host: Host
    connect: Callable[[Order], Line]
    reports: Reports
    _news: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False
    _passes: Passes = field(init=False)
    _faults: int = 0
    _tried: int = -1
    _ready: int = -1
    _quiet: bool = False
    """Whether both sides were alike when they were compared without a hold."""

    _asked: bool = False
    """Whether the source was asked to give the mailbox away and has not answered."""

    def __post_init__(self) -> None:
        self._passes = Passes(self.store, self.host, self.connect)

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name=f"move {self.order.move}", daemon=True).start()

    def update(self, order: Order) -> None:
        """Take a changed order."""
        if order != self.order:
            step(order.move, "orders", wanted=str(order.wanted), attempt=order.attempt)
            self.order = order
            if order.wanted in {Wanted.DROP, Wanted.PAUSE}:
                self._passes.cancel()
            self._news.set()

    def stop(self) -> None:
        """End soon; what has been copied stays."""
        self._stopped = True
        self._passes.cancel()
        self._news.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped:
            self._news.clear()
            order = self.order
            try:
                busy = self._work(order)
                pause = 0.0 if busy else 60.0
            except _Impossible as error:
                self.reports.say(order, Said.REFUSED, error.message)
                pause = 60.0
            except RoostError as error:
                _log.warning("move: it is tried again", move=order.move, wanted=str(order.wanted), reason=str(error))
                self.reports.say(order, Said.COPYING, str(error), self._passes.progress.text())
                pause = min(max(pause * 2, 0.5), _PAUSE_MAX)
            except Exception:  # noqa: BLE001 - a fault in one move must not end the others, nor this one for good
                _log.exception("move: a fault", move=order.move)
                pause = _PAUSE_MAX
            if pause:
                self._news.wait(pause)

    def _work(self, order: Order) -> bool:
        """Do the next thing; True where more is to do at once."""
        if order.wanted is Wanted.PREPARE:
            self._prepare(order)
        elif order.wanted is Wanted.COPY and self._ready != order.attempt:
            self._copy(order)
            return self._ready != order.attempt
        elif order.wanted is Wanted.HAND_OVER and self._tried != order.attempt:
            self._hand_over(order)
        elif order.wanted is Wanted.DROP:
            self._drop(order)
        return False

    def _prepare(self, order: Order) -> None:
        """Look whether there is a place for the copy."""
        found = self.store.found(order)
        if found is Copy.FOREIGN:
            raise _Impossible(
                "On the target there is mail already where the copy is to be, and no move has put it there.",
                remedy="Look at it on that machine, and take it away.",
            )
        with contextlib.closing(self.connect(order)) as line:
            size = _yes(line.ask(PeerRequest(do="size", move=order.move), _ANSWER_SECONDS))
        self._passes.expect(size.messages, size.octets)
        free, _ = self.store.room()
        if found is Copy.NOTHING and size.octets * _ROOM_SHARE > free:
            raise _Impossible(
                f"There is no room on the target: the mailbox has {size.octets:,} bytes, and {free:,} are free.",
                remedy="Choose another target.",
            )

    # Copying

    def _copy(self, order: Order) -> None:
        """Make one pass; say so, and say when a hold is worth asking for."""
        progress = self._passes.progress
        if progress.passes == 0:
            self._prepare(order)
        try:
            done = self._passes.one(order, lambda: self._show(order))
            self._faults = 0
        except DaemonFailed as error:
            self._faults += 1
            failed = DaemonFailed(f"{error.message}{self._source_says(order)}")
            self._despair(order, failed)
            raise failed from error
        # What this reads is then in caches on both sides, and need not be read from the disk in the hold.
        self._compare(order)
        enough = order.hold / 2 if progress.passes >= _PATIENCE else _SHORT_SECONDS
        if not done.pulled.again and (self._quiet or done.seconds <= enough):
            self._ready = order.attempt
            self.reports.say(order, Said.READY, body=progress.text())
            return
        if progress.passes >= _PASSES_MAX:
            raise _Impossible(
                f"After {progress.passes} passes one still takes {done.seconds:.1f} s: the user is too busy.",
                remedy="Try again at a quieter hour.",
            )
        self._show(order)

    def _show(self, order: Order) -> None:
        self.reports.say(order, Said.COPYING, body=self._passes.progress.text())

    def _source_says(self, order: Order) -> str:
        """Return what the source's end of the last pass said, as a sentence, '' where it said nothing."""
        with contextlib.suppress(RoostError), contextlib.closing(self.connect(order)) as line:
            if words := _yes(line.ask(PeerRequest(do="why", move=order.move), _ANSWER_SECONDS)).words:
                return f" The source says: {words}"
        return ""

    def _despair(self, order: Order, error: DaemonFailed) -> None:
        """A pass has failed: raise ``_Impossible`` where another would as well."""
        free, _ = self.store.room()
        copied = 0
        with contextlib.suppress(RoostError):
            copied = self.store.size(order)[1]
        if free < self._passes.progress.total_octets - copied:
            raise _Impossible(
                f"The target's disk is full: {free:,} bytes are free, and that is too little for the rest.",
                remedy="Choose another target.",
            ) from error
        if self._faults >= _FAULTS_MAX:
            raise _Impossible(f"{self._faults} passes failed. The last one: {error.message}") from error

    def _compare(self, order: Order) -> None:
        """Compare without a hold, for what does not change while a user works: folders and their UIDVALIDITY."""
        with contextlib.closing(self.connect(order)) as line:
            line.send(PeerRequest(do="evidence", move=order.move, deep=order.deep))
            mine = self.store.evidence(order, deep=order.deep)
            theirs = Evidence.of_text(_yes(line.receive(PeerReply, 600.0)).evidence)
        for name in {*mine.folders} & {*theirs.folders}:
            if mine.folders[name].uidvalidity != theirs.folders[name].uidvalidity:
                raise DaemonFailed(f"UIDVALIDITY of the folder {name!r} differs on the two nodes.")
        self._quiet = mine == theirs
        self._passes.compared(theirs, mine)
        step(order.move, "proof", alike=self._quiet)

    # The hand-over

    def _hand_over(self, order: Order) -> None:
        """Ask for a hold, bring the copy up to date, prove it, and ask for the mailbox."""
        if time.monotonic() - self._passes.ended > _FRESH_SECONDS:
            self._compare(order)
            if not self._quiet:
                self._passes.one(order, lambda: None)
        self._tried = order.attempt
        try:
            line = self.connect(order)
        except NodeAway as error:
            self.reports.say(order, Said.FAILED, str(error))
            return
        with contextlib.closing(line):
            try:
                if _yes(line.ask(PeerRequest(do="state", move=order.move), _ANSWER_SECONDS)).stand == "moved":
                    # A worker before this one came so far and did not hear the answer.
                    self._take(order)
                    return
                self._attempt(order, line)
            except RoostError as error:
                if self._asked:
                    self._find_out(order)
                    return
                _log.warning("move", move=order.move, step="failed", attempt=order.attempt, reason=str(error))
                self.store.close(order.move)
                self._passes.whole_next(order.move)
                with contextlib.suppress(NodeAway):
                    line.ask(PeerRequest(do="lift", move=order.move), _ANSWER_SECONDS)
                self._ready = -1
                self.reports.say(order, Said.FAILED, str(error), self._passes.progress.text())

    def _attempt(self, order: Order, line: Line) -> None:
        """One hand-over: raises ``RoostError`` where it does not come to that, and then the hold is to be lifted."""
        began, ticket = 0.0, ""

        def hold() -> None:
            nonlocal began, ticket
            began = time.monotonic()
            asked = PeerRequest(do="hold", move=order.move, attempt=order.attempt, deep=order.deep)
            held = _yes(line.ask(asked, order.hold + 1.0))
            ticket = held.ticket
            self.store.remember(order, base64.b64decode(held.memory))

        mine, found = Evidence({}), ["Nothing has been compared."]
        if self._quiet:
            # Mostly nothing has come since. To see that is quicker than a pass, and spares two processes.
            hold()
            mine, found = self._prove(order, line)
        if not found:
            step(order.move, "last-pass", words="not needed")
        for number in range(_LAST_PASSES):
            if not found or (began and time.monotonic() - began > order.hold / 2):
                break
            if number == _LAST_PASSES - 1:
                # dsync's state has hidden what is new: this one looks at everything.
                self._passes.whole_next(order.move)
            with self._passes.ready(order) as last_pass:
                if not began:
                    hold()
                last_pass()
            mine, found = self._prove(order, line)
            if found:
                step(order.move, "differs", words=" ".join(found[:5]))
        if found:
            raise DaemonFailed(" ".join(found[:5]))
        step(order.move, "compare", ms=round((time.monotonic() - began) * 1000))
        self.store.admit(order, ticket)
        step(order.move, "admit")
        self._asked = True
        asked = PeerRequest(
            do="give-away", move=order.move, attempt=order.attempt, evidence=mine.text(), version=self.store.version()
        )
        reply = line.ask(asked, _ANSWER_SECONDS)
        self._asked = False
        _yes(reply)
        self._take(order)

    def _prove(self, order: Order, line: Line) -> tuple[Evidence, list[str]]:
        """Return this side's evidence, and how it differs from the source's."""
        line.send(PeerRequest(do="evidence", move=order.move, deep=order.deep))
        mine = self.store.evidence(order, deep=order.deep)
        theirs = Evidence.of_text(_yes(line.receive(PeerReply, order.hold)).evidence)
        self._passes.compared(theirs, mine)
        return mine, differences(theirs, mine)

    def _take(self, order: Order) -> None:
        """The mailbox is this node's."""
        self.store.open(order.move)
        step(order.move, "opened")

    def _find_out(self, order: Order) -> None:
        """The source was asked to give the mailbox away, and its answer is lost: ask until it is known.

        Meanwhile the source's own connections are let in, since they come only if it did.
        """
        pause = 0.2
        while not self._stopped and self.order.wanted is Wanted.HAND_OVER:
            with contextlib.suppress(NodeAway), contextlib.closing(self.connect(order)) as line:
                stand = _yes(line.ask(PeerRequest(do="state", move=order.move), _ANSWER_SECONDS)).stand
                if stand == "moved":
                    self._asked = False
                    self._take(order)
                    return
                if not stand:
                    self._asked = False
                    self.store.close(order.move)
                    self._ready = -1
                    self.reports.say(order, Said.FAILED, "The hold was over before the source answered.")
                    return
            self._news.wait(pause)
            self._news.clear()
            pause = min(pause * 2, _PAUSE_MAX)

    def _drop(self, order: Order) -> None:
        """Undo this node's part; never what has become the mailbox.

        Only a worker on this node ever asks for a hand-over, so what the source says now stays true.
        """
        with contextlib.closing(self.connect(order)) as line:
            if _yes(line.ask(PeerRequest(do="state", move=order.move), _ANSWER_SECONDS)).stand == "moved":
                return
        self.store.close(order.move)
        self.store.discard(order)
        self.store.keep_state(order.move, "")
        step(order.move, "dropped")
        self.reports.say(order, Said.DROPPED)


def _yes(reply: PeerReply | None) -> PeerReply:
    """Return an answer that is one; raises ``NodeAway`` with the source's words."""
    if reply is None:
        raise NodeAway("The source has closed the connection.")
    if not reply.ok:
        raise NodeAway(f"The source says: {reply.words}")
    return reply
