"""All that a lab puts on the host, found by the lab's name alone, and taken away in whatever state it is.

::

    control groups   roost-lab/<lab>/…            in every hierarchy; with them, every process
    namespaces       roost.<lab>.…                of the network (roost.lab.network)
    mounts           below the folder of disks    and with them, loop devices
    folders          the disks, and /run/roost-lab/<lab>
    nspawn's own     /run/systemd/nspawn/{propagate,unix-export}/roost-<lab>-…

Nothing here reads the lab's state file: a crash may have left it out of date, or not yet written.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roost.lab import cgroups
from roost.lab.disks import mounts_below, unmount
from roost.lab.machine import nspawn_name
from roost.lab.network import Network

RUN = Path("/run/roost-lab")
DISKS = Path("/var/lib/roost-lab")
_NSPAWN = Path("/run/systemd/nspawn")


def of(lab: str) -> list[str]:
    """Return what is there of a lab, in words; empty where there is nothing."""
    found = [f"control group {group}" for group in cgroups.of_lab(lab)]
    found += [f"network namespace {name}" for name in Network(lab).leftovers()]
    found += [f"mount {place}" for place in mounts_below(DISKS / lab)]
    found += [f"loop device on {image}" for image in _loops(DISKS / lab)]
    found += [str(path) for path in (*_nspawn(lab), DISKS / lab, RUN / lab) if path.exists()]
    return found


def clear(lab: str, *, keep_disks: bool = False) -> None:
    """End every process of a lab and take away all of :func:`of`. The lab's lock must be held."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda short: cgroups.Group(lab, short).kill(), cgroups.machines_of(lab)))
    for place in reversed(mounts_below(DISKS / lab)):
        unmount(place)
    Network(lab).down()
    cgroups.remove_lab(lab)
    for left in _nspawn(lab):
        # A mount since systemd 255; nspawn refuses to start a machine while it is there.
        if left.is_mount():
            unmount(left)
        with contextlib.suppress(OSError):
            left.rmdir()
    if not keep_disks:
        shutil.rmtree(DISKS / lab, ignore_errors=True)
    # Last, because it holds the lock: whoever waits for that begins when all the rest is gone.
    shutil.rmtree(RUN / lab, ignore_errors=True)


def _nspawn(lab: str) -> Iterator[Path]:
    for folder in ("propagate", "unix-export"):
        yield from (_NSPAWN / folder).glob(nspawn_name(lab, "*"))


def _loops(directory: Path) -> Iterator[str]:
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            image = backing.read_text().strip()
            if image.startswith(f"{directory}/"):
                yield image
