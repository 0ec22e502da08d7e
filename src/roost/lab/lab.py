"""A lab: machines of one name on a network of their own. Started by one process, found again by any other.

::

    /run/roost-lab/<lab>/       what it is (roost.lab.state); gone after a reboot of the host, as the lab is
    /var/lib/roost-lab/<lab>/   the machines' disks

Starting first removes what earlier labs have left: those that were cut off while they started and those whose owner
has died, whatever their names; and of its own name also what the host has forgotten by rebooting. A lab that runs
and belongs to somebody alive, or to nobody in particular (``roost lab start``), is left alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from roost.domain.errors import BadSetting
from roost.lab import leftovers, recipe
from roost.lab.building import Progress, silent
from roost.lab.disks import Disk
from roost.lab.errors import LabBusy, NoLab
from roost.lab.images import Images
from roost.lab.leftovers import DISKS, RUN
from roost.lab.machine import Machine
from roost.lab.network import Network
from roost.lab.preflight import preflight
from roost.lab.process import myself
from roost.lab.state import Faults, LabState, kind_of, load, locked, save
from roost.lab.topology import MachineSpec, default_topology

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
_WORKERS = 6


@dataclass(frozen=True)
class MachineStatus:
    """What can be said of a machine from outside."""

    name: str
    address: str
    release: str
    state: Literal["on", "frozen", "off"]
    faults: tuple[str, ...]


class Lab:
    """The lab of a name, running or not."""

    def __init__(self, name: str = "roost") -> None:
        if not _NAME.fullmatch(name):
            raise BadSetting(
                f"{name!r} cannot be a lab's name.", field="name", remedy="Use up to 20 letters, digits and hyphens."
            )
        self.name = name
        self._run = RUN / name
        self._disks = DISKS / name
        self._network = Network(name)
        self._known: tuple[LabState, dict[str, Machine]] | None = None

    # What is there

    def machines(self) -> list[Machine]:
        """Return the machines, in the order of the topology; raises ``NoLab``."""
        return list(self._machines().values())

    def machine(self, short: str) -> Machine:
        """Return a machine by the first label of its name."""
        found = self._machines().get(short)
        if found is None:
            known = ", ".join(self._machines())
            raise BadSetting(f"The lab has no machine {short!r}.", field="machine", remedy=f"It has {known}.")
        return found

    def _machines(self) -> dict[str, Machine]:
        state = load(self._run)
        if state is None or not state.alive():
            raise NoLab(f"No lab {self.name!r} is running.", remedy="Start it: scripts/lab start.")
        # The same objects as long as it is the same lab: they hold the processes that they have started.
        if self._known is None or self._known[0] != state:
            self._known = (state, self._made(state))
        return self._known[1]

    def status(self) -> list[MachineStatus]:
        """Say of every machine whether it is on, and what is wrong with it."""
        found = []
        faults = Faults(self._run, self._network.cut)
        for machine in self.machines():
            state: Literal["on", "frozen", "off"] = "off"
            if machine.running:
                state = "frozen" if machine.frozen else "on"
            wrong = faults.of(machine.short)
            if self._network.slowed(machine.short):
                wrong.append("slow")
            if self._disk(machine.spec).filled():
                wrong.append("disk full")
            found.append(MachineStatus(machine.name, machine.address, machine.release, state, tuple(wrong)))
        return found

    # Starting

    def start(
        self,
        machines: Sequence[MachineSpec] | None = None,
        *,
        progress: Progress = silent,
        owned: bool = False,
        disk: Literal["file", "tmpfs"] = "file",
        disk_mib: int = 8192,
    ) -> None:
        """Build what images are missing, then boot every machine; raises ``LabBusy`` where the lab runs.

        ``owned``: the lab belongs to this process; once that is gone, the next start or stop may remove it. If
        anything goes wrong, Ctrl-C included, nothing is left.
        """
        preflight()
        self._refuse_if_alive()
        _clear_leftovers()
        specs = tuple(machines or default_topology())
        # Before the lock: this can take minutes, and who wants to stop the lab should not wait for it.
        layers, binds = self._layers(specs, progress)
        with locked(self._run / "lock"):
            self._refuse_if_alive()
            leftovers.clear(self.name)
            state = LabState(
                phase="starting",
                machines=specs,
                layers=layers,
                binds=binds,
                owner=myself() if owned else None,
                disk=disk,
                disk_mib=disk_mib,
            )
            made = self._made(state)
            try:
                save(self._run, state)
                self._network.up()
                self._boot(list(made.values()), state, progress)
                up = replace(state, phase="up")
                save(self._run, up)
                self._known = (up, made)
            except BaseException:
                leftovers.clear(self.name)
                for machine in made.values():
                    machine.reap()
                raise

    def _boot(self, machines: list[Machine], state: LabState, progress: Progress) -> None:
        def one(machine: Machine) -> Machine:
            machine.mount([Path(layer) for layer in state.layers[kind_of(machine.spec)]])
            machine.boot()
            return machine

        pool = ThreadPoolExecutor(_WORKERS)
        boots = [pool.submit(one, machine) for machine in machines]
        try:
            for done, boot in enumerate(as_completed(boots), 1):
                progress(f"{boot.result().short} is up", done / len(machines))
        except BaseException:
            # Those that are just booting would go on for a while: a boot ends when its machine is killed.
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(boots, timeout=0.1).not_done:
                for machine in machines:
                    machine.kill()
            raise
        finally:
            pool.shutdown()

    def _layers(
        self, specs: Sequence[MachineSpec], progress: Progress
    ) -> tuple[dict[str, list[str]], dict[str, list[list[str]]]]:
        layers: dict[str, list[str]] = {}
        binds: dict[str, list[list[str]]] = {}
        in_use = _layers_in_use()
        for release in dict.fromkeys(spec.release for spec in specs):
            flavours = {spec.flavour for spec in specs if spec.release == release}
            images = Images(release, progress)
            for flavour, found in images.ensure(flavours, in_use=in_use).items():
                layers[f"{release}/{flavour}"] = [str(layer) for layer in found]
            if "bare" in flavours:
                binds[f"{release}/bare"] = [
                    [str(images.archive), recipe.ARCHIVE_PLACE],
                    [str(images.own()), recipe.OWN_PLACE],
                ]
        return layers, binds

    def _made(self, state: LabState) -> dict[str, Machine]:
        faults = Faults(self._run, self._network.cut)
        made = {}
        for spec in state.machines:
            binds = [(Path(source), target) for source, target in state.binds.get(kind_of(spec), [])]
            made[spec.short] = Machine(
                self.name,
                spec,
                disk=self._disk(spec, state),
                network=self._network,
                run_dir=self._run,
                faults=faults,
                prepare=partial(_prepare, binds),
            )
        return made

    def _disk(self, spec: MachineSpec, state: LabState | None = None) -> Disk:
        kind, size = (state.disk, state.disk_mib) if state else ("file", 0)
        return Disk(self._disks / spec.short, kind, size, spec.volumes)

    # Stopping

    def stop(self, *, keep_disks: bool = False) -> bool:
        """Switch everything off and remove all traces, whatever state it is in; return whether there was anything.

        With ``keep_disks`` the machines' disks stay for a look; the next start removes them.
        """
        if not leftovers.of(self.name):
            return False
        with locked(self._run / "lock"):
            leftovers.clear(self.name, keep_disks=keep_disks)
        for machine in self._known[1].values() if self._known else ():
            machine.reap()
        self._known = None
        return True

    def _refuse_if_alive(self) -> None:
        state = load(self._run)
        if state is not None and state.alive():
            raise LabBusy(f"A lab {self.name!r} is running.", remedy="Stop it: scripts/lab stop.")


def _clear_leftovers() -> None:
    """Remove every lab, of whatever name, that nobody can want any more."""
    for folder in sorted(RUN.iterdir()) if RUN.is_dir() else []:
        with contextlib.suppress(BlockingIOError), locked(folder / "lock", waiting=False):
            state = load(folder)
            if state is None or not state.alive():
                leftovers.clear(folder.name)


def labs() -> list[str]:
    """Return the names of the labs of which there is anything."""
    found = {path.name for top in (RUN, DISKS) if top.is_dir() for path in top.iterdir() if path.is_dir()}
    return sorted(found)


def _layers_in_use() -> set[str]:
    states = [load(path) for path in RUN.iterdir()] if RUN.is_dir() else []
    return {layer for state in states if state for layers in state.layers.values() for layer in layers}


def _prepare(binds: Sequence[tuple[Path, str]], machine: Machine) -> Sequence[tuple[Path, str]]:
    """Make a bare machine's package sources, before its boot; return what it sees of the host."""
    if binds:
        sources = machine.root / "etc" / "apt" / "sources.list"
        sources.write_text(recipe.BARE_SOURCES)
        for _, target in binds:
            (machine.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return binds
