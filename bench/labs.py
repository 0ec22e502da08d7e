"""A cluster in a lab of its own, and what is asked of its machines."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.lab import Lab
from roost.lab.machine import Machine
from roost.lab.topology import MachineSpec, default_topology

HASH = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$CHvX3uLm0XO0c5Pq3VxD8tTtY0n5Z1sJcYFf0hV3o2E"
"""A hash of the kind that the controller makes; nobody logs in with it, and nobody has to compute 100,000."""

_labs = itertools.count(1)


def topology(*shorts: str) -> tuple[MachineSpec, ...]:
    """Return the machines of the default lab, or some of them."""
    return tuple(spec for spec in default_topology() if not shorts or spec.short in shorts)


@contextmanager
def cluster(machines: Sequence[MachineSpec]) -> Iterator[Cluster]:
    """Found a cluster on machines of its own; they are gone in the end."""
    lab = Lab(f"bench{os.getpid() % 1_000_000}-{next(_labs)}")
    lab.start(machines, owned=True)
    try:
        made = Cluster(lab)
        made.found()
        yield made
    finally:
        lab.stop()


def address(number: int) -> str:
    """Return the address of a user by his number."""
    return f"user{number:06d}@{DOMAIN}"


def csv(homes: Sequence[str], numbers: Sequence[int]) -> str:
    """Return users as ``roost user import`` takes them, in turn on each home."""
    rows = [f'{address(n)},"{HASH}",{homes[n % len(homes)]}\n' for n in numbers]
    return "address,password_hash,home\n" + "".join(rows)


def homes(made: Cluster) -> list[str]:
    """Return the names of the storage nodes."""
    return [machine.name for machine in made.machines_with("storage")]


def add_users(made: Cluster, numbers: Sequence[int]) -> dict[str, Any]:
    """Import users and wait until every node has them; returns what the command printed."""
    made.control.write("/root/users.csv", csv(homes(made), numbers), 0o600)
    done: dict[str, Any] = made.roost("user", "import", "/root/users.csv", "--timeout", "1800", seconds=2400)
    assert done["receipt"]["done"], done["receipt"]
    return done


def peak_mb(machine: Machine, unit: str) -> float:
    """Return the most memory that a service's main process has had since its start (VmHWM), in MB."""
    pid = machine.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip()
    found = re.search(r"VmHWM:\s+(\d+) kB", machine.read(f"/proc/{pid}/status"))
    assert found, f"{unit} does not run on {machine.name}"
    return int(found.group(1)) / 1024


class Talk:
    """A program in a machine that answers a line of JSON with a line of JSON."""

    def __init__(self, machine: Machine, text: str) -> None:
        self._process = machine.popen(["python3", "-c", text], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, question: object) -> Any:
        """Ask and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the program in the machine has ended"
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate(b"", timeout=30)
