"""The target's side: one worker for each move, which pulls copies and then has the mailbox handed over.

The worker does what its order wants and reports what came of it; the controller decides what is wanted next. A worker
may be stopped or die at any point: another one begins again from the order and from what the source says.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from roost.agent.moving.pull import Pass, Pull
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

_QUICK_SECONDS = 0.4
"""A pass that looks at everything and takes no longer may be the last one, too."""

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
class Progress:
    """What is shown while a mailbox is copied; octets as they go over the wire."""

    passes: int = 0
    messages: int = 0
    octets: int = 0
    total_messages: int = 0
    total_octets: int = 0
    seconds: float = 0.0
    expected_pause_ms: int = 0

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps({**vars(self), "seconds": round(self.seconds, 2)}, separators=(",", ":"))


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
    _pull: Pull | None = None
    _same_version: bool = False
    """Between 2.4 and 2.3 dsync's state from one pass hides from the next what is new."""

    _whole: float | None = None
    """Seconds of the last pass that looked at everything and had little to copy."""

    _progress: Progress = field(default_factory=Progress)
    _copied: float = 0.0
    _faults: int = 0
    _tried: int = -1
    _ready: int = -1
    _asked: bool = False
    """Whether the source was asked to give the mailbox away and has not answered."""

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name=f"move {self.order.move}", daemon=True).start()

    def update(self, order: Order) -> None:
        """Take a changed order."""
        if order != self.order:
            step(order.move, "orders", wanted=str(order.wanted), attempt=order.attempt)
            self.order = order
            if order.wanted in {Wanted.DROP, Wanted.PAUSE} and self._pull is not None:
                self._pull.cancel()
            self._news.set()

    def stop(self) -> None:
        """End soon; what has been copied stays."""
        self._stopped = True
        if self._pull is not None:
            self._pull.cancel()
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
                self.reports.say(order, Said.COPYING, str(error), self._progress.text())
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
        self._progress.total_messages, self._progress.total_octets = size.messages, size.octets
        self._same_version = size.version == self.store.version()
        free, _ = self.store.room()
        if found is Copy.NOTHING and size.octets * _ROOM_SHARE > free:
            raise _Impossible(
                f"There is no room on the target: the mailbox has {size.octets:,} bytes, and {free:,} are free.",
                remedy="Choose another target.",
            )

    # Copying

    def _copy(self, order: Order) -> None:
        """Make one pass; say so, and say when a hold is worth asking for."""
        if self._progress.passes == 0:
            self._prepare(order)
        try:
            done = self._one_pass(order)
            self._faults = 0
        except DaemonFailed as error:
            self._faults += 1
            self._despair(order, error)
            raise
        self._copied = time.monotonic()
        self._progress.expected_pause_ms = round(1000 * (done.seconds + 0.1))
        enough = order.hold / 2 if self._progress.passes >= _PATIENCE else _SHORT_SECONDS
        if not done.pulled.again and done.seconds <= enough:
            # What this reads is then in caches on both sides, and need not be read from the disk in the hold.
            self._compare(order)
            self._ready = order.attempt
            self.reports.say(order, Said.READY, body=self._progress.text())
            return
        if self._progress.passes >= _PASSES_MAX:
            raise _Impossible(
                f"After {self._progress.passes} passes one still takes {done.seconds:.1f} s: the user is too busy.",
                remedy="Try again at a quieter hour.",
            )
        self.reports.say(order, Said.COPYING, body=self._progress.text())

    def _despair(self, order: Order, error: DaemonFailed) -> None:
        """A pass has failed: raise ``_Impossible`` where another would as well."""
        free, _ = self.store.room()
        copied = 0
        with contextlib.suppress(RoostError):
            copied = self.store.size(order)[1]
        if free < self._progress.total_octets - copied:
            raise _Impossible(
                f"The target's disk is full: {free:,} bytes are free, and that is too little for the rest.",
                remedy="Choose another target.",
            ) from error
        if self._faults >= _FAULTS_MAX:
            raise _Impossible(f"{self._faults} passes failed. The last one: {error.message}") from error

    def _one_pass(self, order: Order) -> Pass:
        began, before = time.monotonic(), self._progress.octets
        with contextlib.closing(self.connect(order)) as line:
            state = self._state(order)
            pull = self._pull = Pull(self.store, self.host, order, state)
            ended = threading.Event()
            threading.Thread(target=self._show, args=(order, pull, ended, before), daemon=True).start()
            try:
                done = pull.run(line)
            finally:
                ended.set()
                self._pull = None
        self._keep(order, done)
        if not state and self._progress.passes:
            self._whole = done.seconds
        self._progress.passes += 1
        self._progress.octets = before + done.octets
        self._progress.seconds += time.monotonic() - began
        self._progress.messages = self.store.size(order)[0]
        step(order.move, "pass", number=self._progress.passes, ms=round(done.seconds * 1000),
            octets=done.octets, words=done.pulled.words,
        )  # fmt: skip
        return done

    def _state(self, order: Order) -> str:
        """Return dsync's state for the next pass, '' for one that looks at everything, which is slower and sure.

        With a state dsync may miss what is new; the proof sees that. So a state is for mailboxes that are too large
        for the other way, between servers of one version.
        """
        if not self._same_version or self._whole is None or self._whole <= _QUICK_SECONDS:
            return ""
        return self.store.state(order.move)

    def _keep(self, order: Order, done: Pass) -> None:
        self.store.keep_state(order.move, "" if done.pulled.full else done.pulled.state)

    def _show(self, order: Order, pull: Pull, ended: threading.Event, before: int) -> None:
        """Say every second how far a long pass is."""
        while not ended.wait(1.0):
            self._progress.octets = before + pull.so_far
            self._progress.seconds += 1.0
            self.reports.say(order, Said.COPYING, body=self._progress.text())

    def _compare(self, order: Order) -> None:
        """Compare without a hold, for what does not change while a user works: folders and their UIDVALIDITY."""
        with contextlib.closing(self.connect(order)) as line:
            line.send(PeerRequest(do="evidence", move=order.move, deep=order.deep))
            mine = self.store.evidence(order, deep=order.deep)
            theirs = Evidence.of_text(_yes(line.receive(PeerReply, 600.0)).evidence)
        for name in {*mine.folders} & {*theirs.folders}:
            if mine.folders[name].uidvalidity != theirs.folders[name].uidvalidity:
                raise DaemonFailed(f"UIDVALIDITY of the folder {name!r} differs on the two nodes.")
        step(order.move, "proof", alike=mine == theirs)

    # The hand-over

    def _hand_over(self, order: Order) -> None:
        """Ask for a hold, bring the copy up to date, prove it, and ask for the mailbox."""
        if time.monotonic() - self._copied > _FRESH_SECONDS:
            self._one_pass(order)
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
                # Whatever was wrong, the next pass looks at everything.
                self.store.keep_state(order.move, "")
                with contextlib.suppress(NodeAway):
                    line.ask(PeerRequest(do="lift", move=order.move), _ANSWER_SECONDS)
                self._ready = -1
                self.reports.say(order, Said.FAILED, str(error), self._progress.text())

    def _attempt(self, order: Order, line: Line) -> None:
        """One hand-over: raises ``RoostError`` where it does not come to that, and then the hold is to be lifted."""

        def hold() -> None:
            asked = PeerRequest(do="hold", move=order.move, attempt=order.attempt, deep=order.deep)
            _yes(line.ask(asked, order.hold + 1.0))

        began = time.monotonic()
        self._last_pass(order, hold)
        for _ in range(_LAST_PASSES):
            mine, found = self._prove(order, line)
            if not found or time.monotonic() - began > order.hold / 2:
                break
            # Half done, or dsync's state hid what was new: what comes now looks at everything.
            self.store.keep_state(order.move, "")
            self._last_pass(order)
        if found:
            raise DaemonFailed(" ".join(found[:5]))
        step(order.move, "compare", ms=round((time.monotonic() - began) * 1000))
        self.store.admit(order.move)
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
        return mine, differences(theirs, mine)

    def _last_pass(self, order: Order, first: Callable[[], None] = lambda: None) -> Pass:
        """Bring the copy up to date in a hold, which ``first`` begins once everything else is ready for it."""
        with contextlib.closing(self.connect(order)) as stream:
            pull = self._pull = Pull(self.store, self.host, order, self._state(order))
            try:
                first()
                done = pull.run(stream, patient=False, seconds=order.hold)
            except RoostError:
                pull.cancel()
                raise
            finally:
                self._pull = None
        self._keep(order, done)
        step(order.move, "last-pass", ms=round(done.seconds * 1000), octets=done.octets,
            words=done.pulled.words,
        )  # fmt: skip
        return done

    def _take(self, order: Order) -> None:
        """The mailbox is this node's."""
        self.store.admit(order.move, everyone=True)
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
