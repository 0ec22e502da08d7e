"""The disk of a machine: an overlay whose upper side lies on a volume of its own.

::

    <directory>/<short>/
      disk.img      a sparse file with an ext4 in it (or nothing, with tmpfs)
      disk/         that file system, mounted:  upper/  work/  ballast
      root/         the overlay of disk/upper on the image layers: what the machine sees as /

A volume of its own makes a *full disk* honest: the ballast beside the overlay takes the blocks, and every daemon in
the machine gets ENOSPC from the kernel, with its open files and mounts as they were. Taking the ballast away is all
that healing needs. The same holds for the further volumes that a machine may have (``/var/mail``, say): each is a
file system mounted below ``root/``, and can be filled alone.

The ext4 has no journal and mounts without barriers: a "power cut" here kills processes, never the kernel, so a
journal would only cost time. No promise about real power cuts follows from that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from roost.lab.errors import CommandFailed
from roost.lab.process import call

DiskKind = Literal["file", "tmpfs"]

_CHUNK = 1 << 20


class Disk:
    """The volumes and the overlay of one machine. Everything is found on disk: no state but the directory."""

    def __init__(self, directory: Path, kind: DiskKind, size_mib: int, volumes: Sequence[str]) -> None:
        self.directory = directory
        self.root = directory / "root"
        self._kind = kind
        self._size_mib = size_mib
        self._volumes = tuple(volumes)

    def mount(self, layers: Sequence[Path]) -> None:
        """Make what is missing and mount it all. ``layers`` are image directories, the topmost first."""
        if self.root.is_mount():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        disk = self._mount_volume("disk", self.directory / "disk")
        (disk / "upper").mkdir(exist_ok=True)
        (disk / "work").mkdir(exist_ok=True)
        lower = ":".join(map(str, layers))
        options = f"lowerdir={lower},upperdir={disk}/upper,workdir={disk}/work"
        call(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)])
        for path in self._volumes:
            place = self.root / path.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            mode = place.stat()
            self._mount_volume(_volume_name(path), place)
            os.chown(place, mode.st_uid, mode.st_gid)
            place.chmod(mode.st_mode & 0o7777)

    def _mount_volume(self, name: str, place: Path) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        if place.is_mount():
            return place
        if self._kind == "tmpfs":
            call(["mount", "-t", "tmpfs", "-o", f"size={self._size_mib}m,mode=0755", "roost-lab", str(place)])
            return place
        image = self.directory / f"{name}.img"
        if not image.exists():
            fresh = image.with_suffix(".new")
            with fresh.open("wb") as sparse:
                sparse.truncate(self._size_mib << 20)
            # No reserved blocks: root's daemons must meet the full disk too. One inode per 8 KiB: mail is small.
            features = ["-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0", "-m", "0", "-i", "8192"]
            call(["mkfs.ext4", "-q", "-F", *features, str(fresh)])
            fresh.rename(image)
        call(["mount", "-o", "loop,noatime,nobarrier,discard", str(image), str(place)])
        lost = place / "lost+found"
        if lost.is_dir():
            lost.rmdir()
        return place

    def _ballast(self, path: str) -> Path:
        """The ballast of the volume that holds ``path`` (a path inside the machine)."""
        holds = [v for v in self._volumes if path == v or path.startswith(v.rstrip("/") + "/")]
        if holds:
            return self.root / max(holds, key=len).lstrip("/") / ".roost-lab-ballast"
        return self.directory / "disk" / "ballast"

    def fill(self, path: str, leave_bytes: int) -> int:
        """Leave at most about ``leave_bytes`` free on the volume of ``path``; return what is free then."""
        ballast = self._ballast(path)
        with ballast.open("ab", buffering=0) as file:
            # Blocks in one go, then byte by byte what fallocate refuses: the last extents of a nearly full disk.
            for _ in range(64):
                spare = _free(ballast.parent) - leave_bytes
                if spare <= 0:
                    break
                size = file.seek(0, os.SEEK_END)
                step = max(spare // 2, min(spare, 4096)) if spare > _CHUNK else spare
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError:
                    break
            if leave_bytes == 0:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
        return _free(ballast.parent)

    def empty(self) -> None:
        """Take all ballast away."""
        for path in ("/", *self._volumes):
            self._ballast(path).unlink(missing_ok=True)

    def filled(self) -> bool:
        """Whether there is ballast now."""
        return any(self._ballast(path).exists() for path in ("/", *self._volumes))


def _free(directory: Path) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def _volume_name(path: str) -> str:
    return "volume-" + path.strip("/").replace("/", "-")


def mounts_below(directory: Path) -> list[Path]:
    """Every mount point at or below ``directory``, in the order in which they were mounted."""
    top = str(directory)
    places = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split(" ")[4].replace("\\040", " ")
        if place == top or place.startswith(top + "/"):
            places.append(Path(place))
    return places


def unmount(place: Path) -> None:
    """Unmount, waiting a little for a process that has just ended to let go; then detach, which always works."""
    for _ in range(50):
        if call(["umount", str(place)], check=False).returncode == 0 or not place.is_mount():
            return
        time.sleep(0.02)
    done = call(["umount", "--lazy", str(place)], check=False)
    if done.returncode != 0 and place.is_mount():
        raise CommandFailed("host", done.argv, done.returncode, done.stdout, done.stderr)
