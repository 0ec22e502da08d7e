"""Makes a daemon's files as they should be, and the daemon use them; or puts back what was there.

The order, for one driver: note what is there (on disk, so that a crash can be undone) → write → the daemon's own
checker → activate → is it alive? → forget the note. Where the checker says no, the files that were there are put
back, and the daemon never hears of it; where the daemon says no, it is activated on them again. The failure is
reported in the daemon's words. What a crash leaves half done is undone at the next start and then done anew.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from roost.agent.disk import Disk
from roost.domain.change import Change, Kind
from roost.domain.desired import NodeSettings
from roost.domain.errors import RoostError
from roost.ports.driver import Driver
from roost.ports.host import Facts, File, Host, Services


@dataclass(frozen=True)
class FilePlan:
    """What is to change among one driver's files. ``files`` are all that it renders."""

    files: tuple[File, ...]
    changes: tuple[Change, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths that change."""
        return frozenset(change.what for change in self.changes)


def plan(driver: Driver, settings: NodeSettings, facts: Facts, host: Host, disk: Disk) -> FilePlan:
    """Compare the files that should be with those that are; changes nothing."""
    files = driver.render(settings, facts)
    changes = []
    for file in files:
        found = host.read(file.path)
        if found is None:
            changes.append(Change(Kind.CREATE, file.path))
        elif found != file:
            changes.append(Change(Kind.UPDATE, file.path))
    gone = disk.owned(driver.name) - {file.path for file in files}
    changes += [Change(Kind.DELETE, path) for path in sorted(gone) if host.read(path) is not None]
    return FilePlan(files, tuple(changes))


def carry_out(
    driver: Driver, wanted: FilePlan, host: Host, services: Services, disk: Disk, *, start: bool = True
) -> None:
    """Do what the plan says; raises ``DaemonFailed`` after putting back what was there.

    With ``start`` False the files are put in place and checked, and the daemon is left as it is: its table has to
    be loaded first.
    """
    for path, mode, owner in driver.folders():
        host.make_folder(path, mode, owner)
    before = [(change.what, host.read(change.what)) for change in wanted.changes]
    if before:
        disk.keep_undo(driver.name, before)
    told = False
    try:
        _put(wanted, host)
        if before or start:
            driver.check(host)
        if start:
            told = True
            driver.activate(host, services, wanted.paths)
            driver.alive(host, services)
    except Exception:
        if before:
            _put_back(driver, before, host)
            if told:
                # The daemon's first complaint is the one to report, whatever happens on the way back.
                with contextlib.suppress(RoostError):
                    driver.activate(host, services, wanted.paths)
            disk.forget_undo(driver.name)
        raise
    disk.keep_owned(driver.name, {file.path for file in wanted.files})
    if before:
        disk.forget_undo(driver.name)


def undo_leftovers(driver: Driver, host: Host, disk: Disk) -> bool:
    """Put back what a change that was cut off had replaced; True where there was one."""
    before = disk.undo(driver.name)
    if before:
        _put_back(driver, before, host)
        disk.forget_undo(driver.name)
    return bool(before)


def _put(wanted: FilePlan, host: Host) -> None:
    for file in wanted.files:
        if file.path in wanted.paths:
            host.write(file)
    for change in wanted.changes:
        if change.kind is Kind.DELETE:
            host.remove(change.what)


def _put_back(driver: Driver, before: list[tuple[str, File | None]], host: Host) -> None:
    del driver
    for path, file in before:
        if file is None:
            host.remove(path)
        else:
            host.write(file)
