"""The lab: from nothing running to the first mail that a user has read at his own hostname, as ``scripts/lab`` does.

    scripts/bench lab [--fresh] [--rounds 2] [--quick]

Ten machines boot from the cached images, the cluster is founded, every node joins and becomes ready, a user is added,
a mail is sent by MX lookup from outside, and read by IMAP and by POP3. The median round counts.

``--fresh`` first builds the images from nothing in a cache of its own, as on a machine that never had a lab: Debian
by debootstrap, the packages of every role, Roost's own package. It takes minutes, and is as quick as the package
mirror.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import labs
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.images import Images
from roost.lab.lab import Lab
from roost.lab.mail import message
from roost.lab.topology import MachineSpec

_PASSWORD = "correct horse battery staple"  # noqa: S105 - of a user who lives for seconds
_JOHN = f"john@{DOMAIN}"

Phases = dict[str, float]


@contextmanager
def phase(phases: Phases, name: str) -> Iterator[None]:
    """Time a part."""
    began = time.monotonic()
    yield
    phases[name] = time.monotonic() - began


def walk(machines: Sequence[MachineSpec]) -> Phases:
    """Go the whole way once; return the seconds of each part."""
    phases: Phases = {}
    lab = Lab(f"bench{os.getpid() % 1_000_000}")
    try:
        with phase(phases, "machines booted"):
            lab.start(machines, owned=True)
        cluster = Cluster(lab)
        with phase(phases, "cluster founded, every node ready"):
            cluster.found()
        with phase(phases, "user added, on every node"):
            assert cluster.add_user(_JOHN, _PASSWORD)["receipt"]["done"]
        with phase(phases, "mail sent and read, twice"):
            assert cluster.client.send([_JOHN], message("first", to=_JOHN)).ok
            for protocol in ("imap", "pop3"):
                found = cluster.client.read(
                    f"john.pop.{DOMAIN}", _JOHN, _PASSWORD, protocol=protocol, text="first", wait=30
                )
                assert found.ok, found.error
    finally:
        lab.stop()
    return phases


def build() -> float:
    """Build the images from nothing in a cache of their own; return the seconds."""
    # On the same disk as the real one: an image must not be built on an overlay's upper side in memory.
    with tempfile.TemporaryDirectory(prefix="roost-bench-", dir="/var/cache") as folder:
        os.environ["ROOST_LAB_CACHE"] = folder
        began = time.monotonic()
        try:
            Images("trixie").ensure(["roost", "plain"])
            took = time.monotonic() - began
        finally:
            del os.environ["ROOST_LAB_CACHE"]
        size = sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file())
    print(f"images built from nothing: {took:.0f} s, {size / 2**20:.0f} MB", flush=True)
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fresh", action="store_true", help="also build the images from nothing")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round with one node of each kind")
    options = parser.parse_args()
    machines = labs.topology("control", "mx1", "ns1", "ms1", "client") if options.quick else labs.topology()
    built = build() if options.fresh else 0.0
    # Whoever has a lab has its images.
    Images("trixie").ensure(["roost", "plain"])
    found = [walk(machines) for _ in range(1 if options.quick else options.rounds)]
    print(f"{len(machines)} machines, median of {len(found)} rounds")
    for name in found[0]:
        print(f"  {name:36} {statistics.median(phases[name] for phases in found):6.1f} s")
    cached = statistics.median(sum(phases.values()) for phases in found)
    print(f"\ncached start, to the first mail read: {cached:.0f} s")
    if options.fresh:
        print(f"fresh start, to the first mail read: {built + cached:.0f} s")
        print(f"time, fresh / cached: {(built + cached) / cached:.1f}")


if __name__ == "__main__":
    main()
