"""Can this host run a lab? One sentence if not, with what to install."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from roost.lab.cgroups import unified_root
from roost.lab.errors import LabUnavailable
from roost.lab.process import call

# Command and the Debian package that has it.
_COMMANDS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}

# Every machine's systemd, journal and daemons watch files, and all of them are root's: the kernel's default of 128
# watchers for one user is used up by a handful of machines, and then services fail in odd ways.
_WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
_WATCHERS_WANTED = 8192


def preflight() -> None:
    """Raise :class:`LabUnavailable` for the first thing that is missing; raise the host's limit of file watchers."""
    if os.geteuid() != 0:
        raise LabUnavailable("The lab boots machines and so needs root.", remedy="Run it with sudo.")
    missing = {package for command, package in _COMMANDS.items() if shutil.which(command) is None}
    if missing:
        raise LabUnavailable(
            f"The lab needs commands that this host lacks ({', '.join(sorted(missing))}).",
            remedy=f"apt-get install {' '.join(sorted(missing))}",
        )
    if unified_root() is None:
        raise LabUnavailable(
            "The lab needs the unified control group hierarchy.", remedy="mount -t cgroup2 none /sys/fs/cgroup"
        )
    if (
        "overlay" not in Path("/proc/filesystems").read_text()
        and call(["modprobe", "overlay"], check=False).returncode
    ):
        raise LabUnavailable("This kernel has no overlayfs.", remedy="Use a kernel with CONFIG_OVERLAY_FS.")
    if call(["unshare", "--net", "true"], check=False).returncode != 0:
        raise LabUnavailable(
            "This host does not let root make network namespaces.",
            remedy="Run the lab on a real or virtual machine, or in a privileged container.",
        )
    if int(_WATCHERS.read_text()) < _WATCHERS_WANTED:
        _WATCHERS.write_text(str(_WATCHERS_WANTED))
