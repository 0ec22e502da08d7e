"""What a lab remembers on disk: enough for another process to find it, and for the next one to clean up after it.

``/run/roost-lab/<lab>/``::

    lock           held (flock) while somebody starts or stops the lab
    state.json     topology, layers, phase, and the process that owns the lab if it should not outlive it
    faults.json    the cuts in force; changed under a lock of its own
    <short>.leader the first process of a machine, with its start time
    <short>.console

A file is written whole under a temporary name and renamed. A lab whose phase is "starting" while nobody holds the
lock, or whose owner is gone, is a leftover: the next start or stop removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from roost.lab.network import EVERYBODY, Cut
from roost.lab.process import ProcessId
from roost.lab.topology import MachineSpec

Phase = Literal["starting", "up"]
# Machines of one kind are mounted on the same images: "trixie/roost", say.
Kind = str


def kind_of(spec: MachineSpec) -> Kind:
    """The kind of a machine."""
    return f"{spec.release}/{spec.flavour}"


@dataclass(frozen=True)
class LabState:
    """The content of ``state.json``.

    ``layers`` are the image directories that each kind of machine is mounted on, the topmost first; ``binds`` the
    folders of the host (source, target) that it sees.
    """

    phase: Phase
    machines: tuple[MachineSpec, ...]
    layers: dict[Kind, list[str]] = field(default_factory=dict)
    binds: dict[Kind, list[list[str]]] = field(default_factory=dict)
    owner: ProcessId | None = None
    disk: Literal["file", "tmpfs"] = "file"
    disk_mib: int = 8192

    def abandoned(self) -> bool:
        """Whether the process that this lab belonged to is gone."""
        return self.owner is not None and not self.owner.alive()

    def alive(self) -> bool:
        """Whether this lab is whole and still wanted; while nobody holds its lock, any other is a leftover."""
        return self.phase == "up" and not self.abandoned()


def write_json(path: Path, value: object) -> None:
    """Replace ``path`` in one step."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=1))
    fresh.rename(path)


def save(directory: Path, state: LabState) -> None:
    """Write ``state.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "state.json", asdict(state))


def load(directory: Path) -> LabState | None:
    """Read ``state.json``; None where there is none, or where a crash has left half of something else."""
    try:
        raw: dict[str, Any] = json.loads((directory / "state.json").read_text())
        machines = tuple(MachineSpec(**{**m, "volumes": tuple(m["volumes"])}) for m in raw.pop("machines"))
        owner = raw.pop("owner")
        return LabState(machines=machines, owner=ProcessId(**owner) if owner else None, **raw)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def locked(path: Path, *, waiting: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, waiting for whoever has it; the kernel frees it if we die.

    Without ``waiting``, :class:`BlockingIOError` says that somebody has it.

    Whoever holds it may remove the file, and the folder with it: those who wait then begin anew.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a")
        except FileNotFoundError:  # removed between the two
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX if waiting else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue
            yield
            return


class Faults:
    """The cuts of a lab: read, changed and put in force under a lock, so that two processes can both make faults.

    A machine that is frozen hard has a cut of its own kind, so that thawing it leaves a cable that was pulled besides
    as it was.
    """

    def __init__(self, directory: Path, apply: Callable[[set[Cut]], None]) -> None:
        self._directory = directory
        self._apply = apply

    def add_cut(self, cut: Cut, *, frozen: bool = False) -> None:
        """Make a cut; there already is fine."""
        self._change(lambda cuts: cuts | {(*cut, frozen)})

    def remove_cut(self, cut: Cut, *, frozen: bool = False) -> None:
        """Undo a cut; not there is fine."""
        self._change(lambda cuts: cuts - {(*cut, frozen)})

    def remove_cuts_of(self, short: str) -> None:
        """Undo all the cuts that this machine is part of."""
        self._change(lambda cuts: {cut for cut in cuts if short not in cut[:2]})

    def cuts(self) -> set[Cut]:
        """What is cut now."""
        return {(one, other) for one, other, _ in self._read()}

    def of(self, short: str) -> list[str]:
        """The cuts of one machine, in words."""
        return [
            "cut off" if other == EVERYBODY else f"cut from {other if one == short else one}"
            for one, other in sorted(self.cuts())
            if short in (one, other)
        ]

    def _read(self) -> set[tuple[str, str, bool]]:
        try:
            return {(one, other, frozen) for one, other, frozen in json.loads(self._file.read_text())}
        except FileNotFoundError:
            return set()

    def _change(self, change: Callable[[set[tuple[str, str, bool]]], set[tuple[str, str, bool]]]) -> None:
        with locked(self._directory / "faults.lock"):
            before = self._read()
            after = change(before)
            if after != before:
                self._apply({(one, other) for one, other, _ in after})
                write_json(self._file, sorted(after))

    @property
    def _file(self) -> Path:
        return self._directory / "faults.json"
