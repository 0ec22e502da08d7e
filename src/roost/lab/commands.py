"""``roost lab``: a whole cluster on this machine, to learn, to try things out, and to test."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from roost.lab.lab import Lab, labs
from roost.lab.machine import Machine
from roost.lab.topology import RELEASES, Release, default_topology

app = cyclopts.App(name="lab", help="A whole cluster of real Debian machines on this one, for learning and testing.")
_DEFAULT = "tour"

LabName = Annotated[str, Parameter(help="The lab's name; two labs of different names do not see each other.")]
MachineName = Annotated[str, Parameter(help="The first label of the machine's name: mx1, ms2, client.")]
PeerNames = Annotated[str, Parameter(help="Only between it and these machines; without any, all.")]


class _Lines:
    """Progress on standard error: one line that changes on a terminal, else a line for each new text."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("") if self._console.is_terminal else None
        self._last = ""

    def __enter__(self) -> _Lines:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, text: str, fraction: float | None) -> None:
        shown = text if fraction is None else f"{text} ({fraction:.0%})"
        if self._status:
            self._status.update(shown)
        elif text != self._last:
            self._console.print(shown, markup=False)
        self._last = text


@contextmanager
def _orderly() -> Iterator[None]:
    """Take a hang-up or a polite kill as Ctrl-C is taken: what was begun is put away."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command
def start(*, release: Release = "trixie", bare: bool = False, name: LabName = _DEFAULT) -> None:
    """Boot the machines of the default lab, without making a cluster of them.

    Parameters
    ----------
    release
        Their Debian.
    bare
        Without any package of a role: what a node needs is then really installed.
    """
    from dataclasses import replace  # noqa: PLC0415

    machines = default_topology(release=release)
    if bare:
        machines = tuple(replace(m, flavour="bare") if m.flavour == "roost" else m for m in machines)
    with _orderly(), _Lines() as lines:
        Lab(name).start(machines, progress=lines)
    status(name=name)


@app.command
def stop(*, keep_disks: bool = False, name: LabName = _DEFAULT) -> None:
    """Switch the machines off and remove them.

    Parameters
    ----------
    keep_disks
        Leave their disks in /var/lib/roost-lab for a look.
    """
    if not Lab(name).stop(keep_disks=keep_disks):
        print(f"There is no lab {name!r}.")


@app.command
def status(*, output: Literal["table", "json"] = "table", name: LabName = _DEFAULT) -> None:
    """Show the machines, and what is wrong with them.

    Parameters
    ----------
    output
        A table for people, or JSON for programs.
    """
    found = Lab(name).status()
    if output == "json":
        import json  # noqa: PLC0415

        print(json.dumps([asdict(machine) for machine in found], indent=2))
        return
    rows = [("MACHINE", "ADDRESS", "DEBIAN", "STATE", "FAULTS")]
    rows += [(m.name, m.address, m.release, m.state, ", ".join(m.faults)) for m in found]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command(name="list")
def list_() -> None:
    """List the labs that run on this host."""
    for name in labs():
        print(name)


@app.command
def shell(machine: MachineName, /, *, name: LabName = _DEFAULT) -> int:
    """Open a shell in a machine, as root."""
    return _machine(name, machine).shell()


@app.command
def run(machine: MachineName, /, *command: str, name: LabName = _DEFAULT) -> int:
    """Run a command in a machine, as root; put -- before it.

    For example:
      scripts/lab run mx1 -- postqueue -p

    Parameters
    ----------
    command
        The command with its arguments.
    """
    return _machine(name, machine).interactive(list(command))


@app.command
def boot(machine: MachineName, /, *, name: LabName = _DEFAULT) -> None:
    """Switch a machine on."""
    _machine(name, machine).boot()


@app.command
def shutdown(machine: MachineName, /, *, name: LabName = _DEFAULT) -> None:
    """Shut a machine down in order."""
    _machine(name, machine).shutdown()


@app.command
def kill(machine: MachineName, /, *, name: LabName = _DEFAULT) -> None:
    """Cut a machine's power."""
    _machine(name, machine).kill()


@app.command
def freeze(machine: MachineName, /, *, hard: bool = False, name: LabName = _DEFAULT) -> None:
    """Stop everything that runs in a machine.

    Parameters
    ----------
    hard
        Cut its network too, so that its kernel does not answer either.
    """
    _machine(name, machine).freeze(hard=hard)


@app.command
def thaw(machine: MachineName, /, *, name: LabName = _DEFAULT) -> None:
    """Let a frozen machine go on."""
    _machine(name, machine).thaw()


@app.command
def cut(machine: MachineName, /, *peers: PeerNames, name: LabName = _DEFAULT) -> None:
    """Cut a machine off from all others, or from these."""
    lab = Lab(name)
    lab.machine(machine).cut(*(lab.machine(peer) for peer in peers))


@app.command
def mend(machine: MachineName, /, *peers: PeerNames, name: LabName = _DEFAULT) -> None:
    """Undo cuts of a machine: all of them, or those from these peers."""
    lab = Lab(name)
    lab.machine(machine).join(*(lab.machine(peer) for peer in peers))


@app.command
def slow(machine: MachineName, /, *, kbit: int | None = None, delay_ms: int = 0, name: LabName = _DEFAULT) -> None:
    """Make a machine's network slow.

    Parameters
    ----------
    kbit
        Kilobits a second; without it as fast as it goes.
    delay_ms
        Milliseconds that everything takes longer, each way.
    """
    _machine(name, machine).slow(kbit, delay_ms)


@app.command
def fill(machine: MachineName, path: str = "/", /, *, leave_bytes: int = 0, name: LabName = _DEFAULT) -> None:
    """Fill the disk that holds a path in a machine.

    Parameters
    ----------
    path
        A path on the disk.
    leave_bytes
        How much to leave.
    """
    left = _machine(name, machine).fill(path, leave_bytes)
    print(f"{left} bytes are free on {path} of {machine}.")


@app.command
def heal(*machines: str, name: LabName = _DEFAULT) -> None:
    """Undo every fault of these machines, or of all; machines that are off are booted.

    Parameters
    ----------
    machines
        Only these.
    """
    lab = Lab(name)
    for machine in [lab.machine(short) for short in machines] or lab.machines():
        machine.heal()
        machine.boot()


@app.command
def images(*releases: Release) -> None:
    """Build the images that machines start from, where they are not there yet.

    Parameters
    ----------
    releases
        Of these Debians; without any, of all.
    """
    from roost.lab.images import Images  # noqa: PLC0415
    from roost.lab.preflight import preflight  # noqa: PLC0415

    preflight()
    with _orderly(), _Lines() as lines:
        for release in releases or RELEASES:
            Images(release, lines).ensure(["roost", "plain", "bare"])


def _machine(name: str, short: str) -> Machine:
    return Lab(name).machine(short)


@app.command(name="tour")
def tour(*, release: Release = "trixie", mixed: bool = False, stop: bool = False, name: LabName = _DEFAULT) -> None:
    """Bring up a whole cluster, send mail through it from outside, read it, and show every hop.

    The cluster stays up. Takes minutes the first time, when the images are built.

    For example:
      scripts/lab
      scripts/lab tour --mixed

    Parameters
    ----------
    release
        The Debian of the machines.
    mixed
        One machine of each role with Debian 12.
    stop
        Put everything away at the end.
    """
    from roost.lab.tour import walk  # noqa: PLC0415

    with _orderly():
        walk(release=release, mixed=mixed, stop=stop, name=name)
    sys.stdout.flush()
