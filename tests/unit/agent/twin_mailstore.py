"""A ``Mailstore`` whose mailbox is one file: a pass carries the file, a hold is a flag with a deadline."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.domain.evidence import Evidence, Folder
from roost.domain.move import Order
from roost.ports.mailstore import Copy, Pulled, Stand, Standing

# Runs the carrier as doveadm would and writes to FILE what comes; says the number of bytes as its state.
PULL = """
import subprocess, sys
carrier = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
content = carrier.stdout.read()
carrier.stdin.close()
open(sys.argv[1], "wb").write(content)
print(len(content))
"""


class TwinMailstore:
    """One node's. ``address`` is where the twin's "IMAP server" would be; ``trouble`` makes a step fail."""

    def __init__(self, name: str, folder: Path, peers: Mapping[str, str]) -> None:
        self.name, self.folder, self.peers = name, folder, peers
        self.rows: list[Order] = []
        self.mail = folder / "mail"
        self.standing: dict[int, Standing] = {}
        self.until: dict[int, float] = {}
        self.states: dict[int, str] = {}
        self.admitted: dict[int, str] = {}
        self.hold_seconds = 0.0
        self.pull_script = PULL
        self.server_script = ""
        self.planted = ""
        self.door_ports = {"imap": 0, "pop3": 0, "lmtp": 0, "sieve": 0}
        self.hold_ports: dict[str, int] = {}
        self.gave = threading.Event()
        self.copy_found = Copy.NOTHING
        self.free = 10**12
        self.refuse_to_give = False
        self.remembered = b""

    def orders(self) -> list[Order]:
        return list(self.rows)

    def peer_address(self, name: str) -> str:
        return self.peers[name]

    def own_address(self) -> str:
        return self.peers[self.name]

    def ports(self) -> Mapping[str, int]:
        return self.door_ports

    def version(self) -> str:
        return "Twin 1.0"

    def hold(self, order: Order, seconds: float, ports: Mapping[str, int]) -> str:
        self.hold_ports = dict(ports)
        self.until[order.move] = time.monotonic() + seconds
        self.standing[order.move] = Standing(order.move, order.address, order.number, order.peer, Stand.HELD, 0, "")
        time.sleep(self.hold_seconds)
        return f"ticket {order.move}"

    def lift(self, move: int) -> None:
        if move in self.standing and self.standing[move].stand is Stand.HELD:
            del self.standing[move]

    def give_away(self, move: int, evidence: str) -> bool:
        held = self.standing.get(move)
        if held is None or time.monotonic() > self.until[move] or self.refuse_to_give:
            return False
        self.standing[move] = Standing(move, held.address, held.number, held.peer, Stand.MOVED, 0, evidence)
        self.gave.set()
        return True

    def standings(self) -> list[Standing]:
        return list(self.standing.values())

    def passed_on(self) -> Mapping[str, int]:
        return {}

    def server_argv(self, order: Order) -> tuple[str, ...]:
        return ("sh", "-c", self.server_script or 'exec cat "$0"', str(self.mail))

    def memory(self, order: Order) -> bytes:
        return self.remembered

    def remember(self, order: Order, content: bytes) -> None:
        self.remembered = content

    def found(self, order: Order) -> Copy:
        return self.copy_found

    def room(self) -> tuple[int, int]:
        return self.free, self.free

    def pull_argv(
        self, order: Order, state: str, carrier: tuple[str, ...], only: Collection[str] | None = None
    ) -> tuple[str, ...]:
        return (sys.executable, "-c", self.pull_script, str(self.mail), *carrier)

    def pulled(self, code: int, out: str, err: str) -> Pulled:
        if code:
            raise DaemonFailed(f"the pass ended with {code}: {err}")
        return Pulled(out.strip(), again=False, full=False, words="")

    def keep_state(self, move: int, state: str) -> None:
        self.states[move] = state

    def state(self, move: int) -> str:
        return self.states.get(move, "")

    def admit(self, order: Order, ticket: str) -> None:
        self.admitted[order.move] = f"source with {ticket}"

    def open(self, move: int) -> None:
        self.admitted[move] = "everyone"

    def close(self, move: int) -> None:
        self.admitted.pop(move, None)

    def discard(self, order: Order) -> None:
        self.mail.unlink(missing_ok=True)

    def evidence(self, order: Order, *, deep: bool = False) -> Evidence:
        content = self.mail.read_bytes() + self.planted.encode()
        return Evidence({"INBOX": Folder(1, 2, 1, "g", hashlib.sha256(content).hexdigest())}, deep=deep)

    def size(self, order: Order) -> tuple[int, int]:
        return (1, self.mail.stat().st_size) if self.mail.exists() else (0, 0)
