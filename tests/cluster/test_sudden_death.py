"""Scenario g: agents and controller are killed at random while changes are made; all end with the store's tables."""

from __future__ import annotations

import json
import random
import subprocess
import threading

import pytest
from tests.cluster.users import HASH

from roost.lab.cluster import DOMAIN, Cluster

# Makes changes by the API, one by one, as the customer system of a provider would, and repeats what was cut off.
_CHANGES = """
import json, random, sys, time
sys.path[:0] = ["/opt/roost/lib"]
from roost.cli.settings import connect
from roost.domain.errors import AlreadyExists, NotFound, Refused, Unavailable
from roost.wire.resources import MailboxChange, NewMailbox
asked = json.load(sys.stdin)
chance, client, there, done = random.Random(asked["seed"]), connect(), [], 0
while done < asked["count"]:
    kind = chance.choice(["add", "add", "quota", "remove"] if there else ["add"])
    address = f"storm{done}.{asked['seed']}@{asked['domain']}" if kind == "add" else chance.choice(there)
    while True:
        try:
            if kind == "add":
                client.add_mailbox(NewMailbox(address=address, password_hash=asked["hash"]), dry_run=False)
            elif kind == "quota":
                client.change_mailbox(address, MailboxChange(quota=chance.randrange(1, 9) << 30), dry_run=False)
            else:
                client.remove_mailbox(address, dry_run=False)
        except (AlreadyExists, NotFound):
            pass
        except Unavailable:
            time.sleep(0.1)
            client.close()
            client = connect()
            continue
        break
    if kind == "add":
        there.append(address)
    if kind == "remove":
        there.remove(address)
    done += 1
print(json.dumps({"there": sorted(there)}))
"""


@pytest.mark.parametrize(("count", "seed"), [(400, 1), pytest.param(1000, 2, marks=pytest.mark.long)])
def test_killed_at_random(cluster: Cluster, count: int, seed: int) -> None:
    chance = random.Random(seed)
    machines = [
        cluster.control,
        *(m for role in ("mx", "backup-mx", "dns", "storage") for m in cluster.machines_with(role)),
    ]
    changing = cluster.control.popen(["python3", "-c", _CHANGES], stdin=subprocess.PIPE)
    asked = json.dumps({"count": count, "seed": seed, "domain": DOMAIN, "hash": HASH})
    result: list[bytes] = []
    reader = threading.Thread(target=lambda: result.extend(changing.communicate(asked.encode(), timeout=1200)))
    reader.start()
    kills = 0
    while reader.is_alive():
        victim = chance.choice(machines)
        unit = (
            "roost-controller.service"
            if victim is cluster.control and chance.random() < 0.5
            else "roost-agent.service"
        )
        victim.run(["systemctl", "kill", "--signal=KILL", unit], check=False)
        kills += 1
        reader.join(chance.uniform(0.05, 0.4))
    assert changing.returncode == 0, result[1].decode()
    there = json.loads(result[0])["there"]
    assert kills >= 10
    cluster.wait_ready()
    found = cluster.roost("drift", "--check")
    assert not found["waiting"]
    assert not found["lines"], found["lines"]
    assert not found["refused"]
    listed = [user["address"] for user in cluster.roost("user", "list", "--domain", DOMAIN, "--all")]
    assert sorted(address for address in listed if f".{seed}@" in address and address.startswith("storm")) == there
    print(f"\n{count} changes, {kills} kills: every table equal to the store's, {found['rows_checked']} rows")
