"""The passes by which a mailbox comes to the target: how each is made, and what is known of the copy so far."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from roost.agent.moving.pull import Pass, Pull
from roost.agent.moving.steps import step
from roost.domain.evidence import Evidence, differing
from roost.domain.move import Order
from roost.ports.host import Host
from roost.ports.mailstore import Mailstore
from roost.wire.peer import Line

_FEW_FOLDERS = 100
"""So many folders are looked at in less time than a process takes to start."""


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

    only: frozenset[str] | None = None
    """GUIDs of the folders that the next pass looks at; None stands for all."""

    _pull: Pull | None = None

    def expect(self, messages: int, octets: int) -> None:
        """Know what the source has."""
        self.progress.total_messages, self.progress.total_octets = messages, octets

    def compared(self, source: Evidence, target: Evidence) -> None:
        """Know how both sides were: in a mailbox of many folders a pass looks only where they differ."""
        self.only = differing(source, target) if len(source.folders) > _FEW_FOLDERS else None

    def one(self, order: Order, show: Callable[[], None]) -> Pass:
        """Make a pass while the user works; ``show`` is called every second, when the progress is up to date."""
        progress = self.progress
        began, before = time.monotonic(), progress.octets
        with contextlib.closing(self.connect(order)) as line:
            pull = self._pull = Pull(self.store, self.host, order, self.only)
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

    @contextlib.contextmanager
    def ready(self, order: Order) -> Iterator[Callable[[], None]]:
        """Make a pass of a hold ready, so far that only its work is left; call what is yielded to have it done."""
        with contextlib.closing(self.connect(order)) as line:
            pull = self._pull = Pull(self.store, self.host, order, self.only, patient=False)

            def run() -> None:
                done = pull.run(line, seconds=order.hold)
                self._pull = None
                self._keep(order, done)
                step(order.move, "last-pass", ms=round(done.seconds * 1000), octets=done.octets,
                    words=done.pulled.words,
                )  # fmt: skip

            try:
                yield run
            finally:
                # It was not needed, or did not come to its end.
                self.cancel()
                self._pull = None

    def whole_next(self, move: int) -> None:
        """Whatever was wrong, the next pass looks at everything."""
        self.store.keep_state(move, "")

    def cancel(self) -> None:
        """Give up the pass that runs, if one does; what has been copied stays."""
        pull = self._pull
        if pull is not None:
            pull.cancel()

    def _keep(self, order: Order, done: Pass) -> None:
        self.store.keep_state(order.move, "" if done.pulled.full else done.pulled.state)
