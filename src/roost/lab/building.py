"""Running commands inside an image that is being built, so that nothing is left behind if it is interrupted.

Every step runs in namespaces of its own for mounts and processes: the overlay of a layer, what debootstrap mounts,
and the small container in which packages are configured all vanish with the process that asked for them, however it
ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from roost.lab.errors import CommandFailed
from roost.lab.process import PLAIN_ENV

Progress = Callable[[str, float | None], None]

# Mounts the overlay given as the first two arguments, then becomes the rest. With no overlay wanted: "-".
_MOUNT_AND_RUN = (
    "set -e; options=$1; place=$2; shift 2; "
    'if [ "$options" != - ]; then mount -t overlay overlay -o "$options" "$place"; fi; exec "$@"'
)


def silent(text: str, fraction: float | None) -> None:
    """The progress of somebody who does not want to know."""


class Workshop:
    """A root directory in which commands run: a plain one, or an overlay of layers below a fresh upper side."""

    def __init__(self, root: Path, *, layers: Sequence[Path] = (), binds: Sequence[tuple[Path, str]] = ()) -> None:
        self._binds = tuple(binds)
        self._mark: Path | None = None
        if layers:
            self._mark = root / "work" / "work" / "incompat"
            for part in ("upper", "work", "root"):
                (root / part).mkdir(parents=True, exist_ok=True)
            # "volatile": nobody needs this file system after a crash of the host, so it never waits for the disk.
            # Each command mounts it anew; see _wrapped for the mark that the kernel leaves against that.
            lower = ":".join(map(str, layers))
            self._options = f"lowerdir={lower},upperdir={root}/upper,workdir={root}/work,volatile"
            self.root = root / "root"
        else:
            self._options = "-"
            self.root = root

    def run(
        self, argv: Sequence[str], *, on_line: Callable[[str], None] | None = None, stdin: str | None = None
    ) -> str:
        """Run a command inside and return what it printed; ``on_line`` gets each line at once."""
        proxies = {k: v for k, v in os.environ.items() if k.lower() in {"http_proxy", "https_proxy", "no_proxy"}}
        variables = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **proxies}
        nspawn = [
            "systemd-nspawn", "--quiet", f"--directory={self.root}", "--as-pid2", "--pipe", "--register=no",
            "--keep-unit", "--resolv-conf=bind-host", "--timezone=off", "--machine=roost-lab-build",
            *(f"--bind={source}:{target}" for source, target in self._binds),
            *(f"--setenv={name}={value}" for name, value in variables.items()),
        ]  # fmt: skip
        return stream(self._wrapped([*nspawn, "--", *argv]), on_line=on_line, stdin=stdin)

    def _wrapped(self, argv: Sequence[str]) -> list[str]:
        if self._mark is not None:
            # A volatile overlay forbids a second mount, lest data that never reached the disk be missed after a
            # crash (overlayfs.txt, "Volatile mount"). This kernel has not crashed: all is in its page cache.
            shutil.rmtree(self._mark, ignore_errors=True)
        shell = ["sh", "-c", _MOUNT_AND_RUN, "sh", self._options, str(self.root)]
        return apart([*shell, *argv])


def apart(argv: Sequence[str]) -> list[str]:
    """``argv``, with mounts of its own, and so that neither it nor any child outlives this process."""
    own = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["setpriv", "--pdeathsig", "KILL", "nice", *own, *argv]


def stream(argv: Sequence[str], *, on_line: Callable[[str], None] | None = None, stdin: str | None = None) -> str:
    """Run a long command of the host, line by line; its end is in the error if it fails."""
    said: list[str] = []
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **PLAIN_ENV, "LC_ALL": "C.UTF-8"},
        text=True,
        errors="replace",
    ) as process:
        try:
            if process.stdin is not None:
                process.stdin.write(stdin or "")
                process.stdin.close()
            assert process.stdout is not None  # noqa: S101
            for line in process.stdout:
                said.append(line)
                if on_line is not None:
                    on_line(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise CommandFailed("host", argv, process.returncode, "".join(said))
    return "".join(said)


class AptProgress:
    """Turns the lines of ``apt-get install`` into a fraction: a package is unpacked once and set up once."""

    _PLAN = re.compile(r"^(\d+) upgraded, (\d+) newly installed")

    def __init__(self, title: str, progress: Progress, start: float, end: float) -> None:
        self._title, self._progress, self._start, self._end = title, progress, start, end
        self._steps = 0
        self._total = 0

    def __call__(self, line: str) -> None:
        """Take a line."""
        if plan := self._PLAN.match(line):
            self._total = 2 * (int(plan[1]) + int(plan[2]))
        elif line.startswith(("Unpacking ", "Setting up ")) and self._total:
            self._steps += 1
            done = min(1.0, self._steps / self._total)
            package = line.removeprefix("Unpacking ").removeprefix("Setting up ").partition(" ")[0].partition(":")[0]
            self._progress(f"{self._title} {package}", self._start + done * (self._end - self._start))
        elif line.startswith("Get:"):
            self._progress(f"{self._title}: fetching packages", self._start)
