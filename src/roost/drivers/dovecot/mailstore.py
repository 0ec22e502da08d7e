"""The mailboxes of this node as a move works with them: implements ``roost.ports.mailstore.Mailstore``."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from roost.domain.evidence import Evidence
from roost.domain.move import Order
from roost.drivers.dovecot import copying, fence, memory, peers
from roost.drivers.dovecot.copying import Admitted, Mark, Notes
from roost.drivers.dovecot.database import Database
from roost.drivers.dovecot.doveadm import Doveadm, fields
from roost.drivers.dovecot.evidence import Witness
from roost.drivers.dovecot.holds import Holds
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.lost import find_again
from roost.drivers.dovecot.moves import Moves
from roost.drivers.dovecot.render import HELD
from roost.ports.host import Host
from roost.ports.mailstore import Copy, Pulled, Standing

_PASSED_ON = "passed_on_"


class DovecotMailstore:
    """One node's mailboxes; see the port for what each method promises."""

    def __init__(self, database: Database, layout: Layout, host: Host) -> None:
        self._database = database
        self._layout = layout
        self._host = host
        self._doveadm = Doveadm(layout, host)
        self._holds = Holds(database, layout, host)
        self._moves = Moves(database)
        self._notes = Notes(database)
        self._version = ""
        self._witness = Witness(self._doveadm)
        self._node = ""

    def begin(self, node: str) -> None:
        """Know this node's name, and put right what a killed agent has left. Raises ``DaemonFailed``."""
        self._node = node
        find_again(self._database, self._layout, self.orders())
        self._holds.recover(all_=True)

    def tidy(self) -> None:
        """Lift holds whose deadline is over."""
        self._holds.recover(all_=False)

    def orders(self) -> list[Order]:
        """Return the orders."""
        return self._moves.orders()

    def peer_address(self, name: str) -> str:
        """Return another storage node's address."""
        return peers.address_of(self._database, name)

    def own_address(self) -> str:
        """Return the address by which others call this node: from there its Dovecot takes what is passed on to it."""
        return peers.address_of(self._database, self._node)

    def ports(self) -> Mapping[str, int]:
        """Return the ports; those of IMAP and POP3 are the ones with TLS from the first byte."""
        where = self._layout
        return {"imap": where.imaps, "pop3": where.pop3s, "lmtp": where.lmtp, "sieve": where.sieve}

    def version(self) -> str:
        """Ask Dovecot once in the agent's life."""
        if not self._version:
            self._version = f"Dovecot {self._host.run(['dovecot', '--version']).out.split()[0]}"
        return self._version

    def hold(self, order: Order, seconds: float, ports: Mapping[str, int]) -> str:
        """Close a mailbox."""
        return self._holds.hold(order, seconds, ports)

    def lift(self, move: int) -> None:
        """Open it again."""
        self._holds.lift(move)

    def give_away(self, move: int, evidence: str) -> bool:
        """Give it away."""
        return self._holds.give_away(move, evidence)

    def standings(self) -> list[Standing]:
        """Return what is held or was given away."""
        return self._holds.standings()

    def passed_on(self) -> Mapping[str, int]:
        """Count the sessions that Dovecot has led elsewhere, by the metric ``passed_on`` of its configuration."""
        ran = self._host.run(["doveadm", "-c", self._layout.conf, "-f", "tab", "stats", "dump"], check=False)
        rows = [line.split("\t") for line in ran.out.splitlines() if line.startswith(_PASSED_ON)]
        return {row[0].removeprefix(_PASSED_ON): int(row[2]) for row in rows if row[1] == "duration"}

    def server_argv(self, order: Order) -> tuple[str, ...]:
        """Return the source's end."""
        return copying.server_argv(self._layout, self._user(order))

    def memory(self, order: Order) -> bytes:
        """Return what the rules remember."""
        return memory.read(self._place(order))

    def remember(self, order: Order, content: bytes) -> None:
        """Give it to the copy."""
        memory.write(fence.mailbox_folder(self._layout, fence.home_of(order)), content, self._layout.uid)

    def found(self, order: Order) -> Copy:
        """Say what is there. A copy that the source of an earlier move has kept is put back to its place first."""
        home = fence.open_again(self._layout, fence.home_of(order))
        if copying.is_empty(home):
            return Copy.NOTHING
        mark = copying.mark_of(home)
        if mark is None:
            return Copy.FOREIGN
        if mark.evidence:
            try:
                then = Evidence.of_text(json.dumps(json.loads(mark.evidence)["source"]))
            except (ValueError, KeyError, TypeError):
                return Copy.FOREIGN
            if self._witness.look(order.move, order.address, home, deep=then.deep) != then:
                # Somebody has changed it by hand since it was given away.
                return Copy.FOREIGN
        return Copy.OURS

    def room(self) -> tuple[int, int]:
        """Return free bytes and size of the file system."""
        found = os.statvfs(self._layout.mail)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def pull_argv(
        self, order: Order, state: str, carrier: tuple[str, ...], only: Collection[str] | None = None
    ) -> tuple[str, ...]:
        """Return the command of one pass, and mark the copy as this move's."""
        home = fence.mailbox_folder(self._layout, fence.home_of(order))
        if copying.mark_of(home) != Mark(order.move):
            copying.mark(self._host, self._layout, home, Mark(order.move))
        return copying.pull_argv(self._layout, order, copying.doubted(state, only), carrier)

    def pulled(self, code: int, out: str, err: str) -> Pulled:
        """Say what its end means."""
        return copying.pulled(code, out, err)

    def keep_state(self, move: int, state: str) -> None:
        """Keep dsync's state."""
        self._notes.keep_state(move, state)

    def state(self, move: int) -> str:
        """Return it."""
        return self._notes.state(move)

    def admit(self, order: Order, ticket: str) -> None:
        """Let the source's connections in."""
        self._notes.admit(order, ticket)

    def open(self, move: int) -> None:
        """Let everyone in."""
        self._notes.let_in(move, Admitted.EVERYONE)

    def close(self, move: int) -> None:
        """Let nobody in."""
        self._notes.let_in(move, Admitted.NOBODY)

    def discard(self, order: Order) -> None:
        """Remove this move's copy."""
        self._witness.forget(order.move)
        self._notes.forget(order.move)
        copying.discard(self._host, self._layout, order)

    def evidence(self, order: Order, *, deep: bool = False) -> Evidence:
        """Return the mailbox as it is here."""
        return self._witness.look(order.move, self._user(order), self._place(order), deep=deep)

    def size(self, order: Order) -> tuple[int, int]:
        """Return messages and bytes."""
        values = fields(self._doveadm.run("mailbox status", "messages vsize", "*", user=self._user(order)))
        return sum(map(int, values[1::3])), sum(map(int, values[2::3]))

    def _place(self, order: Order) -> Path:
        """Return where the mail is now."""
        home = Path(self._layout.mail) / fence.home_of(order)
        return fence.moving(home) if fence.is_fence(home) else home

    def _user(self, order: Order) -> str:
        """Return the name by which doveadm finds the mail where it is now."""
        fenced = fence.is_fence(Path(self._layout.mail) / fence.home_of(order))
        return f"{HELD}-{order.move}@invalid" if fenced else order.address
