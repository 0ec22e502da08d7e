"""The passes by which a mailbox comes to the target: how each is made, and what is known of the copy so far."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from roost.agent.moving.pull import Pass, Pull
from roost.agent.moving.steps import step
from roost.domain.errors import RoostError
from roost.domain.move import Order
from roost.ports.host import Host
from roost.ports.mailstore import Mailstore
from roost.wire.peer import Line

_QUICK_SECONDS = 0.4
"""A pass that looks at everything and takes no longer may be the last one, too."""


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
class Passes:
    """One move's passes. ``connect`` opens a connection to the source."""

    store: Mailstore
    host: Host
    connect: Callable[[Order], Line]
    progress: Progress = field(default_factory=Progress)
    ended: float = 0.0
    """When the last one ended, in seconds of the monotonic clock."""

    _pull: Pull | None = None
    _same_version: bool = False
    _whole: float | None = None
    """Seconds of the last pass that looked at everything and had little to copy."""

    def expect(self, messages: int, octets: int, version: str) -> None:
        """Know what the source has, and the version of its server."""
        self.progress.total_messages, self.progress.total_octets = messages, octets
        self._same_version = version == self.store.version()

    def one(self, order: Order, show: Callable[[], None]) -> Pass:
        """Make a pass while the user works; ``show`` is called every second, when the progress is up to date."""
        progress = self.progress
        began, before = time.monotonic(), progress.octets
        with contextlib.closing(self.connect(order)) as line:
            state = self._state(order)
            pull = self._pull = Pull(self.store, self.host, order, state)
            ended = threading.Event()

            def watch() -> None:
                while not ended.wait(1.0):
                    progress.octets = before + pull.so_far
                    progress.seconds += 1.0
                    show()

            threading.Thread(target=watch, daemon=True).start()
            try:
                done = pull.run(line)
            finally:
                ended.set()
                self._pull = None
        self._keep(order, done)
        if not state and progress.passes:
            self._whole = done.seconds
        self.ended = time.monotonic()
        progress.passes += 1
        progress.octets = before + done.octets
        progress.seconds += self.ended - began
        progress.messages = self.store.size(order)[0]
        progress.expected_pause_ms = round(1000 * (done.seconds + 0.1))
        step(order.move, "pass", number=progress.passes, ms=round(done.seconds * 1000),
            octets=done.octets, words=done.pulled.words,
        )  # fmt: skip
        return done

    def last(self, order: Order, first: Callable[[], None] = lambda: None) -> Pass:
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

    def whole_next(self, move: int) -> None:
        """Whatever was wrong, the next pass looks at everything."""
        self.store.keep_state(move, "")

    def cancel(self) -> None:
        """Give up the pass that runs, if one does; what has been copied stays."""
        pull = self._pull
        if pull is not None:
            pull.cancel()

    def _state(self, order: Order) -> str:
        """Return dsync's state for the next pass, '' for one that looks at everything, which is slower and sure.

        With a state dsync may miss what is new, and between 2.4 and 2.3 it often does; the proof sees that. So a
        state is for mailboxes that are too large for the other way, between servers of one version.
        """
        if not self._same_version or self._whole is None or self._whole <= _QUICK_SECONDS:
            return ""
        return self.store.state(order.move)

    def _keep(self, order: Order, done: Pass) -> None:
        self.store.keep_state(order.move, "" if done.pulled.full else done.pulled.state)
