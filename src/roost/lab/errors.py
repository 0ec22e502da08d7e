"""What the lab can refuse, below the project's one error tree.

::

    Refused
    └── NoLab            no lab of this name is running
    Unavailable
    ├── LabUnavailable   this host lacks something that every lab needs; ``remedy`` names what to install
    ├── LabBusy          a lab of this name runs already and belongs to somebody alive
    ├── FaultUnavailable this host's kernel cannot make the fault that was asked for
    ├── MachineDown      the machine is not running, so nothing can run in it
    └── CommandFailed    a command on the host or in a machine ended badly or took too long
"""

from __future__ import annotations

from collections.abc import Sequence

from roost.domain.errors import Refused, Unavailable


class NoLab(Refused):
    """No lab of this name is running."""

    code = "no-lab"
    status = 404


class LabUnavailable(Unavailable):
    """This host cannot run a lab as it is."""

    code = "lab-unavailable"


class LabBusy(Unavailable):
    """A lab of this name is running and its owner lives."""

    code = "lab-busy"


class FaultUnavailable(Unavailable):
    """The kernel or the host lacks what this fault needs; the lab does not pretend."""

    code = "fault-unavailable"


class MachineDown(Unavailable):
    """The machine does not run."""

    code = "machine-down"


class CommandFailed(Unavailable):
    """A command ended with another code than 0, or was stopped because its time was over.

    ``returncode`` is None when the time was over. The message holds the end of what the command said, because
    that is what a person looks for first.
    """

    code = "command-failed"

    def __init__(
        self, where: str, argv: Sequence[str], returncode: int | None, stdout: str = "", stderr: str = ""
    ) -> None:
        said = (stderr.strip() or stdout.strip())[-2000:]
        ended = "took too long" if returncode is None else f"ended with {returncode}"
        super().__init__(f"{where}: {' '.join(argv)} {ended}" + (f": {said}" if said else "."))
        self.where = where
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
