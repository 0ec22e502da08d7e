"""The daemons of another Debian: a root folder made from the lab's images, for chroot."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from roost.lab.disks import Disk, mounts_below, unmount
from roost.lab.images import Images
from roost.lab.topology import RELEASES, Release


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark take ``--release``."""
    parser.add_argument(
        "--release", default="", choices=("", *RELEASES), help="measure the daemons of this Debian (the lab's image)"
    )


@contextmanager
def root_of(release: str) -> Iterator[str]:
    """Make the root folder of a Debian; '' stands for this machine."""
    if not release:
        yield ""
        return
    (wanted,) = [known for known in get_args(Release) if known == release]
    layers = Images(wanted).ensure(["plain"])["plain"]
    folder = Path(tempfile.mkdtemp(prefix="roost-bench-", dir="/var/tmp"))
    try:
        disk = Disk(folder, "tmpfs", 2048, ())
        disk.mount(layers)
        for name in ("dev", "proc"):
            subprocess.run(["mount", "--bind", f"/{name}", f"{disk.root}/{name}"], check=True)
        for name in ("hosts", "resolv.conf"):
            # The tests' instances mount theirs over it.
            (disk.root / "etc" / name).touch()
        yield str(disk.root)
    finally:
        for place in reversed(mounts_below(folder)):
            unmount(place)
        shutil.rmtree(folder)
