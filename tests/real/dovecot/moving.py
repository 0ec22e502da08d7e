"""Two private Dovecots between which a mailbox moves, and a small agent: relay, waiting room, the steps of a move."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from roost.domain.desired import Table, Value
from roost.domain.evidence import Evidence, differences
from roost.domain.move import Order
from roost.ports.driver import Batch
from roost.ports.mailstore import Mailstore, Pulled

from ..common.authority import TestCa
from .instance import Instance, account, own_address, private_dovecot

MS1, MS2 = "ms1.cluster.test", "ms2.cluster.test"
JOHN, JOAN = "john@example.test", "joan@example.test"
MOVE = 7


def splice(one: socket.socket, other: socket.socket) -> None:
    """Carry both ways until both have ended."""
    with selectors.DefaultSelector() as selector, one, other:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            for key, _ in selector.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                try:
                    chunk = source.recv(1 << 16)
                    key.data.sendall(chunk)
                except OSError:
                    chunk = b""
                if not chunk:
                    selector.unregister(source)
                    with contextlib.suppress(OSError):
                        key.data.shutdown(socket.SHUT_WR)


def proof(evidence: Evidence) -> str:
    """Return what an agent gives a mailbox away with."""
    side = json.loads(evidence.text())
    return json.dumps({"source": side, "target": side})


class WaitingRoom:
    """Silent ports on 127.0.0.1, until those who wait are led to some Dovecot."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ("imap", "pop3", "lmtp", "sieve")}
        self.ports = {name: listener.getsockname()[1] for name, listener in self._listeners.items()}
        self._led = threading.Event()
        self._to: Instance | None = None
        self.came: list[str] = []
        for name, listener in self._listeners.items():
            threading.Thread(target=self._accept, args=(name, listener), daemon=True).start()

    def lead(self, to: Instance) -> None:
        """Lead everybody, those who wait and those who come, to the ports of a Dovecot."""
        self._to = to
        self._led.set()

    def close(self) -> None:
        for listener in self._listeners.values():
            # Wakes the thread that accepts, which close() alone does not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, name: str, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.came.append(name)
                threading.Thread(target=self._wait, args=(name, client), daemon=True).start()

    def _wait(self, name: str, client: socket.socket) -> None:
        if not self._led.wait(60) or self._to is None:
            client.close()
            return
        layout = self._to.layout
        port = {"imap": layout.imaps, "pop3": layout.pop3s, "lmtp": layout.lmtp, "sieve": layout.sieve}[name]
        splice(client, socket.create_connection((self._to.address, port), 20, (self._source, 0)))


class Pair:
    """Source and target, with John's mailbox at the source, and Joan's there too."""

    def __init__(self, source: Instance, target: Instance, move: int = MOVE) -> None:
        self.source, self.target, self.move = source, target, move
        self.room = WaitingRoom(source.address)
        self.formats = ("mdbox", "mdbox")
        self.ticket = ""

    def order(self, part: str, **changes: object) -> Order:
        """Return the order of one side."""
        value: Value = {
            "part": part,
            "address": JOHN,
            "number": 1,
            "hostname": "john.pop.example.test",
            "peer": self.target.node if part == "source" else self.source.node,
            "wanted": "hand-over",
            "attempt": 1,
            "bandwidth": 0,
            "hold": 5,
            "deep": False,
            "kept": 0,
        }
        value.update(changes)  # type: ignore[arg-type]
        return Order.of_row(str(self.move), value)

    def begin(self, source: str = "mdbox", target: str = "mdbox") -> None:
        """Write the rows of a move that copies."""
        self.formats = (source, target)
        self.source.put(account(JOHN, format=source), account(JOAN, 2))
        self.target.put(account(JOHN, format=target, place="incoming", peer=self.source.node))
        self._give_orders()

    def turned(self) -> Pair:
        """Return the way back, as another move; the one before is over."""
        put_order(self.source, None, self.move)
        put_order(self.target, None, self.move)
        back = Pair(self.target, self.source, self.move + 1)
        back.formats = (self.formats[1], self.formats[0])
        self.room.close()
        self.room = back.room
        back.open()
        return back

    def begin_back(self) -> None:
        """Write the rows of a move whose source has the mailbox already."""
        self.target.put(account(JOHN, format=self.formats[1], place="incoming", peer=self.source.node))
        self._give_orders()

    def _give_orders(self) -> None:
        for instance, part in ((self.source, "source"), (self.target, "target")):
            put_order(instance, self.order(part), self.move)

    @property
    def at_source(self) -> Mailstore:
        return self.source.driver.mailstore(self.source.settings(), self.source.host)

    @property
    def at_target(self) -> Mailstore:
        return self.target.driver.mailstore(self.target.settings(), self.target.host)

    def copy(self, **changes: object) -> float:
        """Make passes until one is whole, and not the first; return the seconds of the last.

        The first on 2.4 makes folders of what are only parts of other folders' names, and the second removes them. A
        pass with a state can miss a message in a small mailbox, so all are full.
        """
        first = not self.stores[1].state(self.move)
        for _ in range(6):
            begin = time.monotonic()
            pulled = self.one_pass(self.order("target", **changes))
            if not (pulled.again or pulled.full or first):
                return time.monotonic() - begin
            first = False
        raise AssertionError(pulled)

    def one_pass(self, order: Order, state: str = "", only: Collection[str] | None = None) -> Pulled:
        """Make one pass, and keep its state."""
        source, target = self.stores
        with self._carrier(source) as carrier:
            argv = self.target.host.argv(target.pull_argv(order, state, carrier, only))
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        pulled = target.pulled(ran.returncode, ran.stdout, ran.stderr)
        target.keep_state(self.move, pulled.state)
        return pulled

    @contextlib.contextmanager
    def _carrier(self, source: Mailstore) -> Iterator[tuple[str, ...]]:
        """A socket in the target's folder behind which the source's end of a stream is."""
        path = self.target.folder / "stream"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()

            def serve() -> None:
                with contextlib.suppress(OSError):
                    line, _ = listener.accept()
                    argv = self.source.host.argv(source.server_argv(self.order("source")))
                    with line, (self.source.folder / "dsync").open("ab") as errors:
                        subprocess.run(argv, stdin=line, stdout=line, stderr=errors, check=False, timeout=120)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            try:
                yield ("socat", "STDIO", f"UNIX-CONNECT:{path}")
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(20)
                path.unlink()

    @property
    def stores(self) -> tuple[Mailstore, Mailstore]:
        return self._stores

    def open(self) -> None:
        """Take the two mailstores, as agents do when they begin."""
        self._stores = (self.at_source, self.at_target)

    def evidence(self, *, deep: bool = False) -> tuple[Evidence, Evidence]:
        source, target = self.stores
        return (
            source.evidence(self.order("source"), deep=deep),
            target.evidence(self.order("target"), deep=deep),
        )

    def assert_alike(self, *, deep: bool = False) -> Evidence:
        here, there = self.evidence(deep=deep)
        found = differences(here, there)
        assert not found, found
        assert here == there
        return here

    def hold(self, seconds: float = 10.0) -> None:
        self.ticket = self.stores[0].hold(self.order("source"), seconds, self.room.ports)

    def hand_over(self) -> None:
        """Do what is between the beginning of a hold and its end."""
        source, target = self.stores
        self.copy()
        evidence = self.assert_alike()
        target.admit(self.order("target"), self.ticket)
        assert source.give_away(self.move, proof(evidence))
        self.room.lead(self.target)

    def settle(self) -> None:
        """The controller has the new home."""
        self.target.put(account(JOHN, format=self.formats[1]))
        self.source.put(account(JOHN, format=self.formats[0], place="moved", peer=self.target.node, password=""))


def put_order(instance: Instance, order: Order | None, move: int) -> None:
    """Give a node its order, or take it back."""
    table = next(t for t in instance.driver.tables(instance.settings(), instance.host) if t.table is Table.MOVES)
    value: Value | None = None
    if order is not None:
        value = {name: getattr(order, name) for name in order.__dataclass_fields__ if name != "move"}
        value.update(part=str(order.part), wanted=str(order.wanted))
    position = table.position()
    table.apply(Batch([(str(move), value)], position + 1, position))


@contextlib.contextmanager
def pair(source: str, target: str, ca: TestCa) -> Iterator[Pair]:
    """Run two Dovecots, each on the machine of this root."""
    homes = {MS1: own_address(), MS2: own_address()}
    with (
        private_dovecot(source, ca, address=homes[MS1], homes=homes) as one,
        private_dovecot(target, ca, address=homes[MS2], homes=homes) as other,
    ):
        both = Pair(one, other)
        both.open()
        try:
            yield both
        finally:
            both.room.close()
        one.assert_log_is_clean()
        other.assert_log_is_clean()


def path_of(instance: Instance) -> Path:
    """Return John's home."""
    return instance.folder / "mail/example.test/john.1"
