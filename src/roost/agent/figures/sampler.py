"""Gathers a node's figures, a source after the other, and keeps what each said last.

A source that takes long is asked less often, so that measuring never takes more than a twentieth of a processor. One
that fails tells nothing until it works again, and is counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from roost.domain.errors import RoostError
from roost.domain.figures import Figure, Glance, Told, glance_of

_EVERY_SECONDS = 10.0
_SHARE = 20
_log = structlog.get_logger()

Source = Callable[[], Iterable[Told]]
"""Returns figures; raises ``RoostError`` where there are none to be had now."""


@dataclass
class _Kept:
    """What a source said last, and from when on it is asked again."""

    told: tuple[Told, ...] = ()
    due: float = 0.0


class Sampler:
    """One per agent. ``sources`` returns what there is to ask, by name: it follows the node's roles."""

    def __init__(
        self, sources: Callable[[], Mapping[str, Source]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._failed: Counter[str] = Counter()
        self._words: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="figures", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - the thread must live
                _log.exception("figures: a fault")
            self._stopping.wait(_EVERY_SECONDS)

    def turn(self) -> None:
        """Ask every source that is due."""
        sources = self._sources()
        with self._lock:
            self._kept = {name: self._kept.get(name, _Kept()) for name in sources}
            kept = dict(self._kept)
        for name, source in sources.items():
            began = self._clock()
            if kept[name].due > began:
                continue
            told = self._ask(name, source)
            took = self._clock() - began
            with self._lock:
                kept[name].told = told
                kept[name].due = began + took * _SHARE if took * _SHARE > _EVERY_SECONDS else 0.0

    def _ask(self, name: str, source: Source) -> tuple[Told, ...]:
        words = ""
        try:
            told = tuple(source())
        except RoostError as error:
            told, words = (), str(error) or error.code
        except Exception as error:  # noqa: BLE001 - the thread must live, and the other figures be told
            told, words = (), repr(error)
            if self._words.get(name) != words:
                _log.exception("figures: a fault", of=name)
        if words:
            with self._lock:
                self._failed[name] += 1
        if words != self._words.get(name, ""):
            # Once, not every few seconds.
            _log.warning("figures", of=name, reason=words or "They can be had again.")
        self._words[name] = words
        return told

    def told(self) -> list[Told]:
        """Return all figures as they were found last."""
        with self._lock:
            found = [one for kept in self._kept.values() for one in kept.told]
            names = sorted({*self._kept, *self._failed})
            return found + [Figure("roost_figures_failed_total", self._failed[name], (name,)) for name in names]

    def glance(self, at: float) -> Glance:
        """Return what the controller is told; ``at`` is the time by this machine's clock."""
        return glance_of(self.told(), at)
