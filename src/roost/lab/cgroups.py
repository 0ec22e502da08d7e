"""Control groups: one per machine, so that all its processes can be stopped, killed or held to a share of the CPU.

The lab's groups are ``roost-lab/<lab>/<machine>`` below the root of the hierarchy. systemd-nspawn makes two below
that: ``supervisor`` for itself and ``payload`` for the machine.

- Killing and freezing are features of the unified hierarchy (``cgroup.kill``, ``cgroup.freeze``), which every host
  has: alone on an ordinary Debian (``/sys/fs/cgroup``), or beside the old controllers (``…/unified``).
- The CPU quota is ``cpu.max`` where the unified hierarchy has the cpu controller, and ``cpu.cfs_quota_us`` where the
  old hierarchy has it. Where neither is there, :class:`FaultUnavailable` says so.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from roost.lab.errors import CommandFailed, FaultUnavailable

_TOP = "roost-lab"
_PERIOD_US = 100_000


def unified_root() -> Path | None:
    """Where the unified hierarchy is mounted, or None."""
    return _mounted("cgroup2", "")


def _mounted(kind: str, option: str) -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fstype, _, options = right.split(" ", 2)
        if fstype == kind and (not option or option in options.split(",")):
            return Path(left.split(" ")[4])
    return None


def _old_cpu_root() -> Path | None:
    return _mounted("cgroup", "cpu")


class Group:
    """The control group of one machine."""

    def __init__(self, lab: str, machine: str) -> None:
        unified = unified_root()
        if unified is None:
            raise FaultUnavailable("No unified control group hierarchy is mounted.")
        self._relative = Path(_TOP) / lab / machine
        self._root = unified
        self.unified = unified / self._relative
        old = _old_cpu_root()
        self._old_cpu = old / self._relative if old is not None else None

    def make(self) -> list[Path]:
        """Make the groups and return those which the machine's first process must enter."""
        self.unified.mkdir(parents=True, exist_ok=True)
        groups = [self.unified]
        if self._old_cpu is not None:
            self._old_cpu.mkdir(parents=True, exist_ok=True)
            groups.append(self._old_cpu)
        else:
            # Hand the controller down, as far as the root has it. Writing what is there already changes nothing.
            for parent in (self._root, self._root / _TOP, self.unified.parent):
                if "cpu" in (parent / "cgroup.controllers").read_text().split():
                    (parent / "cgroup.subtree_control").write_text("+cpu")
        return groups

    def visitors(self) -> list[Path]:
        """The groups for a command that is run in the machine: it is frozen and killed with all the rest.

        A leaf of its own below the payload, because a group whose children have controllers may hold no process.
        """
        leaf = self.unified / "payload" / "visitors"
        leaf.mkdir(exist_ok=True)
        return [leaf, self._old_cpu] if self._old_cpu is not None else [leaf]

    def freeze(self, stopped: bool) -> None:
        """Stop, or let go on, everything in the machine, and wait until it is so."""
        payload = self.unified / "payload"
        (payload / "cgroup.freeze").write_text("1" if stopped else "0")
        self._wait(payload, "frozen 1" if stopped else "frozen 0", 10)

    def frozen(self) -> bool:
        """Whether the machine is stopped now."""
        try:
            return "frozen 1" in (self.unified / "payload" / "cgroup.events").read_text()
        except OSError:
            return False

    def populated(self) -> bool:
        """Whether any process is left."""
        try:
            return "populated 1" in (self.unified / "cgroup.events").read_text()
        except OSError:
            return False

    def kill(self) -> None:
        """Kill every process at once, frozen or not, and wait until none is left.

        All that runs in the machine goes first, in one blow. Then nspawn, which only watches it, has a moment to
        notice, because it puts away its own locks; it is killed if it does not.
        """
        try:
            with contextlib.suppress(FileNotFoundError, CommandFailed):
                (self.unified / "payload" / "cgroup.kill").write_text("1")
                self._wait(self.unified, "populated 0", 1)
            (self.unified / "cgroup.kill").write_text("1")
            self._wait(self.unified, "populated 0", 20)
        except FileNotFoundError:
            return

    def cpu_quota(self, percent: int | None) -> None:
        """Let the machine use ``percent`` of one CPU at most (200 is two of them); None lifts the limit."""
        if self._old_cpu is not None and (self._old_cpu / "cpu.cfs_quota_us").exists():
            quota = -1 if percent is None else percent * _PERIOD_US // 100
            (self._old_cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (self._old_cpu / "cpu.cfs_quota_us").write_text(str(quota))
        elif (self.unified / "cpu.max").exists():
            quota_text = "max" if percent is None else str(percent * _PERIOD_US // 100)
            (self.unified / "cpu.max").write_text(f"{quota_text} {_PERIOD_US}")
        elif percent is not None:
            raise FaultUnavailable("This host has no control group with a CPU quota.")

    def remove(self) -> None:
        """Remove the groups; they must be empty of processes.

        To be done after each kill: a boot in the same groups would inherit a freeze, and recent kernels kill what is
        put directly (clone3, CLONE_INTO_CGROUP) into a group that was killed before.
        """
        for top in _everywhere(self._relative):
            _remove_tree(top)

    @staticmethod
    def _wait(group: Path, fact: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while fact not in (group / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                raise CommandFailed("host", ["wait for", str(group), fact], None)
            time.sleep(0.002)


def of_lab(lab: str) -> list[Path]:
    """Every group of a lab that exists, in any hierarchy."""
    return _everywhere(Path(_TOP) / lab)


def machines_of(lab: str) -> list[str]:
    """The short names of the machines that have groups."""
    return sorted({path.name for top in of_lab(lab) for path in top.iterdir() if path.is_dir()})


def remove_lab(lab: str) -> None:
    """Remove all groups of a lab, and the lab's common group after the last of all labs."""
    for top in of_lab(lab):
        _remove_tree(top)
    for common in _everywhere(Path(_TOP)):
        with contextlib.suppress(OSError):  # another lab is there
            common.rmdir()


def _everywhere(relative: Path) -> list[Path]:
    # nspawn makes the same groups in the old hierarchy of systemd's own name, and nobody else takes them away.
    roots = {unified_root(), _old_cpu_root(), _mounted("cgroup", "name=systemd")} - {None}
    return [root / relative for root in roots if root is not None and (root / relative).is_dir()]


def _remove_tree(top: Path) -> None:
    inner_first = sorted(top.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
    for directory in (*inner_first, top):
        deadline = time.monotonic() + 5
        while True:
            try:
                directory.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:  # busy: the kernel is still putting the last process away
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
