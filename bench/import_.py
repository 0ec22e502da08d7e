"""Import: 100,000 users by ``roost user import`` until every node of a lab has them, and what that takes of memory.

    scripts/bench import [--users 100000] [--quick]

The other side is what anybody would have to do at least, from the same rows, by the daemons' own tools, on the same
machine right after: for each MX ``postmap`` of both LMDB maps, for each DNS server the zone's file loaded by
``named`` until it answers for the last name, for each storage node its accounts loaded by ``sqlite3`` with
the schema of the driver. All nodes at once, as in the lab, which has the same two processors. The files that these
tools read are there already: to get them to the nodes, to check names, to number and log every change, to sync after
every batch, is what Roost does besides.

Memory is the kernel's high-water mark of the controller's and of each agent's process since their start (VmHWM).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from bench import labs
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine

_ZONE = f"pop.{DOMAIN}"
_MEMORY_GOAL_MB = 300
_FOLDER = "/var/tmp/raw"  # noqa: S108 - in a machine of the lab

_NAMED_CONF = f"""
options {{
  directory "{_FOLDER}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;
  listen-on port 5353 {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
}};
controls {{ }};
zone "{_ZONE}" {{ type primary; file "{_FOLDER}/zone"; check-names ignore; }};
"""

_MX = "set -e; cd $1; mkdir -p maps; cd maps; postmap lmdb:../aliases lmdb:../hops"
_DNS = """set -e; cd $1; named -g -c $1/named.conf 2>named.log & pid=$!
until dig -p 5353 @127.0.0.1 +short +tries=1 +time=1 "$2" CNAME 2>/dev/null | grep -q .
do kill -0 $pid; sleep 0.05; done
# One that is ended before it minds signals dies of this one.
kill $pid; wait $pid || test $? = 143"""
_STORAGE = """set -e; cd $1; rm -f raw.db
sqlite3 raw.db ".read schema.sql" ".mode csv" "PRAGMA journal_mode=WAL;" \
  "CREATE TABLE raw (address, number, hostname, target, password, quota, login, deliver, format, place, peer);" \
  ".import accounts.csv raw" \
  "BEGIN;" \
  "INSERT INTO account (address, number, hostname, target, password, quota, login, deliver, format, place, peer) \
    SELECT * FROM raw;" \
  "INSERT INTO login (name, account, rank) SELECT address, id, 0 FROM account;" \
  "INSERT INTO login (name, account, rank) SELECT target, id, 1 FROM account;" \
  "INSERT INTO login (name, account, rank) SELECT hostname, id, 1 FROM account;" \
  "COMMIT;" "DROP TABLE raw;" """


def prepare(made: Cluster, numbers: range) -> list[tuple[Machine, list[str]]]:
    """Write each machine's files; return the command that each has to run."""
    homes = labs.homes(made)
    local = [labs.address(n).partition("@")[0] for n in numbers]
    aliases = "".join(f"{name}@{DOMAIN} {name}@{name}.{_ZONE}\n" for name in local)
    hops = "".join(
        f"{name}.{_ZONE} lmtp:inet:[{homes[n % len(homes)]}]:24\n" for n, name in zip(numbers, local, strict=True)
    )
    head = f"$TTL 60\n$ORIGIN {_ZONE}.\n@ SOA ns1 hostmaster 1 600 600 600 60\n@ NS ns1.{DOMAIN}.\n"
    zone = head + "".join(f"{name} CNAME {homes[n % len(homes)]}.\n" for n, name in zip(numbers, local, strict=True))
    schema = (Path(__file__).parent.parent / "src/roost/drivers/dovecot/schema.sql").read_text()
    work = []
    for role in ("mx", "backup-mx"):
        for machine in made.machines_with(role):
            machine.write(f"{_FOLDER}/aliases", aliases)
            machine.write(f"{_FOLDER}/hops", hops)
            work.append((machine, ["sh", "-c", _MX, "sh", _FOLDER]))
    for machine in made.machines_with("dns"):
        machine.write(f"{_FOLDER}/zone", zone)
        machine.write(f"{_FOLDER}/named.conf", _NAMED_CONF)
        work.append((machine, ["sh", "-c", _DNS, "sh", _FOLDER, f"{local[-1]}.{_ZONE}"]))
    for machine in made.machines_with("storage"):
        rows = "".join(
            f'{name}@{DOMAIN},{n},{name}.{_ZONE},{name}@{name}.{_ZONE},"{labs.HASH}",0,1,1,mdbox,home,\n'
            for n, name in zip(numbers, local, strict=True)
            if homes[n % len(homes)] == machine.name
        )
        machine.write(f"{_FOLDER}/accounts.csv", rows)
        machine.write(f"{_FOLDER}/schema.sql", schema)
        work.append((machine, ["sh", "-c", _STORAGE, "sh", _FOLDER]))
    return work


def raw(work: list[tuple[Machine, list[str]]]) -> tuple[float, dict[str, float]]:
    """Let every machine build its files at once; return the seconds in all, and the slowest of each kind."""
    began = time.monotonic()

    def one(pair: tuple[Machine, list[str]]) -> tuple[str, float]:
        pair[0].run(pair[1], timeout=1200)
        return pair[0].short.rstrip("0123456789"), time.monotonic() - began

    slowest: dict[str, float] = {}
    with ThreadPoolExecutor(len(work)) as pool:
        for kind, seconds in pool.map(one, work):
            slowest[kind] = max(seconds, slowest.get(kind, 0.0))
    return time.monotonic() - began, slowest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="2,000 users on one node of each kind")
    options = parser.parse_args()
    users = 2000 if options.quick else options.users
    machines = labs.topology("control", "mx1", "ns1", "ms1", "client") if options.quick else labs.topology()
    with labs.cluster(machines) as made:
        measure(made, range(users))


def measure(made: Cluster, numbers: range) -> None:
    """Import, build raw, print."""
    made.control.write("/root/users.csv", labs.csv(labs.homes(made), numbers), 0o600)
    print(f"{len(numbers)} users, {len(made.lab.machines()) - 2} nodes on one machine", flush=True)
    started, began = time.time(), time.monotonic()
    command = ["user", "import", "/root/users.csv", "--timeout", "3600"]
    done = made.roost(*command, seconds=4000)
    took = time.monotonic() - began
    assert done["receipt"]["done"], done["receipt"]
    event = made.roost("log", "--after", str(done["revision"] - 1))[0]
    stored = datetime.fromisoformat(event["at"]).timestamp() - started
    print(f"from the command's start to the end of the store's transaction   {stored:7.1f} s")
    for line in done["receipt"]["lines"]:
        at = datetime.fromisoformat(line["at"]).timestamp() - started
        print(f"  … to the last row applied and acknowledged by {line['node'].partition('.')[0]:12} {at:10.1f} s")
    peaks = {"controller": labs.peak_mb(made.control, "roost-controller.service")}
    for machine in made.lab.machines():
        if machine.short != "client":
            peaks[f"agent {machine.short}"] = labs.peak_mb(machine, "roost-agent.service")
    built, slowest = raw(prepare(made, numbers))
    print("\nthe same rows by the daemons' own tools, all nodes at once")
    for kind, seconds in slowest.items():
        what = {"mx": "postmap, two maps", "ns": "named, until it answers", "ms": "sqlite3"}[kind.partition("-")[0]]
        print(f"  {what:24} on {kind:10} {seconds:10.1f} s")
    print("\nmost memory, MB")
    for name, peak in peaks.items():
        print(f"  {name:18} {peak:6.0f}")
    worst = max(peaks.values())
    kept = "met" if worst <= _MEMORY_GOAL_MB else "missed"
    print(f"\nimported and on every node: {took:.1f} s, {len(numbers) / took:.0f} users/s")
    print(f"raw build of the same files: {built:.1f} s, {len(numbers) / built:.0f} users/s")
    print(f"most memory of a process: {worst:.0f} MB (goal at most {_MEMORY_GOAL_MB}: {kept})")
    print(f"time, import / raw build: {took / built:.2f}")


if __name__ == "__main__":
    main()
