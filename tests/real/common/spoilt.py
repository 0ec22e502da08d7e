"""A node whose driver renders something wrong: what the agent's care for files (``roost.agent.files``) is worth.

The node is the agent's own (``roost.agent.node``), the daemon a real one; only the driver is given a fault.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from roost.agent.disk import Disk, State
from roost.agent.node import Node
from roost.domain.desired import NodeSettings
from roost.ports.driver import Driver
from roost.ports.host import Facts, File

from .driven import Driven


class Faulty:
    """A driver as it is, but for the ``faults`` in its files: (end of the path, what stands there, what instead)."""

    def __init__(self, inner: Driver, driven: Driven) -> None:
        self._inner, self._driven = inner, driven
        self.faults: list[tuple[str, str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        files = tuple(
            self._driven.owned(file)
            for file in self._inner.render(settings, facts)
            if file.path not in self._driven.systemd
        )
        for end, old, new in self.faults:
            (at,) = (number for number, file in enumerate(files) if file.path.endswith(end))
            assert old in files[at].content, f"{old!r} does not stand in {files[at].path}"
            changed = replace(files[at], content=files[at].content.replace(old, new, 1))
            files = (*files[:at], changed, *files[at + 1 :])
        return files


class SpoiltNode:
    """A node of one daemon that runs already; ``spoil`` brings it settings by which a file is wrong."""

    def __init__(self, driven: Driven, folder: Path) -> None:
        self.driven = driven
        self.driver = Faulty(driven.driver, driven)
        disk = Disk(driven.host, str(folder))
        table = driven.driver.waits_for_table
        disk.keep_state(State(loaded=[str(table)] if table else []))
        self.node = Node(
            [self.driver],  # type: ignore[list-item]
            driven.host,
            driven.services,
            disk,
            lambda: driven.facts,
        )
        self.settings = driven.settings()
        self.node.take_settings(self.settings)
        assert self.node.health == {}

    def spoil(self, end: str, old: str, new: str) -> str:
        """Bring new settings with this fault and return what the node says of it; all files are as before."""
        before = self._content()
        self.driver.faults = [(end, old, new)]
        self.settings = replace(self.settings, revision=self.settings.revision + 1)
        applied = self.node.positions()["settings"]
        self.node.take_settings(self.settings)
        assert self._content() == before
        assert self.node.positions()["settings"] == applied, "settings that failed count as applied"
        return self.node.health[self.driver.name]

    def mend(self) -> None:
        """The fault is gone (a release without it): the node is well and has applied the settings."""
        self.driver.faults = []
        self.node.converge()
        assert self.node.health == {}
        assert self.node.positions()["settings"] == self.settings.revision

    def _content(self) -> dict[str, str]:
        files = (self.driven.host.read(file.path) for file in self.driver.render(self.settings, self.driven.facts))
        return {file.path: file.content for file in files if file is not None}
