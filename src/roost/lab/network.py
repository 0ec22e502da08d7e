"""The lab's network: one bridge in a namespace of its own, one namespace per machine, nothing else.

::

    namespace roost.<lab>.bridge          namespace roost.<lab>.mx1
      br0 ─┬─ mx1  ═════ veth pair ═════    eth0  198.18.0.11/24
           ├─ ms1  ═════ …                namespace roost.<lab>.ms1 …

There is no route out of it and no address of the host in it, so no packet can leave: a lab may use names and
addresses of the real world without anybody noticing. Because bridge and machines live in namespaces named after the
lab, several labs can use the same addresses at once. Addresses come from 198.18.0.0/15, which RFC 2544 sets aside
for test networks.

A cable that is cut is a rule in the bridge that drops IP packets. ARP still passes, on purpose: the other machines
then meet *silence*, as they would across a router, and hang until their own time limits end. That is the hardest
form of absence; a machine that is switched off is answered by "no route to host" after three seconds.
Every change of the cuts replaces the whole table in one transaction, computed from the set of cuts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from roost.lab.errors import CommandFailed, FaultUnavailable
from roost.lab.process import call

_NAMESPACES = Path("/run/netns")
PREFIX_LENGTH = 24

# A pair of short machine names; the second is "*" where a machine is cut off from all the others.
Cut = tuple[str, str]
EVERYBODY = "*"


class Network:
    """The network of one lab."""

    def __init__(self, lab: str) -> None:
        # Dots, which no lab's name has: "a" must not take the namespaces of "a-b" for its own.
        self._prefix = f"roost.{lab}."
        self._bridge = f"{self._prefix}bridge"

    def namespace(self, short: str) -> str:
        """The name of a machine's network namespace."""
        return f"{self._prefix}{short}"

    def up(self) -> None:
        """Make the bridge. What is left of an earlier network must be gone."""
        call(["ip", "netns", "add", self._bridge])
        self._batch(self._bridge, ["link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up"])

    def plug(self, short: str, address: str) -> None:
        """Give a machine a network stack and a cable, both new: a boot finds no socket or rule of the last one."""
        self.unplug(short)
        inside = self.namespace(short)
        call(["ip", "netns", "add", inside])
        # As a real machine has the same card after a boot, or its neighbours would look for the old one for a while.
        card = "02:00:" + ":".join(f"{number:02x}" for number in IPv4Address(address).packed)
        cable = [
            f"link add {short} type veth peer name eth0 address {card} netns {inside}",
            f"link set {short} master br0 up",
        ]
        self._batch(self._bridge, cable)
        self._batch(inside, ["link set lo up", f"addr add {address}/{PREFIX_LENGTH} dev eth0", "link set eth0 up"])

    def unplug(self, short: str) -> None:
        """Take both away; not there is fine. Nothing that the machine's processes still send gets out."""
        if (_NAMESPACES / self.namespace(short)).exists():
            # The cable first: a namespace goes in the background, and its cable would be in the way of the next one.
            call(["ip", "-n", self._bridge, "link", "delete", short], check=False)
            call(["ip", "netns", "delete", self.namespace(short)], check=False)

    def down(self) -> None:
        """Remove every namespace of this lab, and with them all links. Nothing to do is fine."""
        for name in self.leftovers():
            call(["ip", "netns", "delete", name], check=False)

    def leftovers(self) -> list[str]:
        """The namespaces of this lab that exist now."""
        if not _NAMESPACES.is_dir():
            return []
        return sorted(path.name for path in _NAMESPACES.iterdir() if path.name.startswith(self._prefix))

    def cut(self, cuts: Iterable[Cut]) -> None:
        """Make exactly these cuts; an empty set joins everything."""
        # "add" before "delete" makes the pair work whether the table is there or not, in one transaction.
        lines = ["add table bridge roost", "delete table bridge roost"]
        rules = [rule for cut in sorted(set(cuts)) for rule in _rules(cut)]
        if rules:
            lines += [
                "add table bridge roost",
                "add chain bridge roost cuts { type filter hook forward priority 0; }",
            ]
            lines += [f"add rule bridge roost cuts {rule}" for rule in rules]
        call(["ip", "netns", "exec", self._bridge, "nft", "-f", "-"], stdin="\n".join(lines) + "\n")

    def slow(self, short: str, kbit: int | None, delay_ms: int) -> None:
        """Give the machine's cable a width and a length, in both directions; (None, 0) makes it good again."""
        if delay_ms and not self._has_netem():
            raise FaultUnavailable(
                "This kernel has no netem, so packets cannot be delayed.",
                remedy="Use kbit alone, or a host whose kernel has sch_netem (Debian's own kernel has).",
            )
        for namespace, device in ((self._bridge, short), (self.namespace(short), "eth0")):
            call(["tc", "-n", namespace, "qdisc", "del", "dev", device, "root"], check=False)
            tc = ["tc", "-n", namespace, "qdisc", "add", "dev", device, "root"]
            if delay_ms:
                rate = ["rate", f"{kbit}kbit"] if kbit else []
                call([*tc, "netem", "delay", f"{delay_ms}ms", *rate, "limit", "10000"])
            elif kbit:
                # The bucket holds 10 ms of traffic but never less than two full packets, or nothing would pass.
                burst = max(3200, kbit * 1000 // 8 // 100)
                call([*tc, "tbf", "rate", f"{kbit}kbit", "burst", str(burst), "latency", "400ms"])

    def slowed(self, short: str) -> bool:
        """Whether the machine's cable has a limit now."""
        shown = call(["tc", "-n", self.namespace(short), "qdisc", "show", "dev", "eth0", "root"], check=False).stdout
        return any(kind in shown for kind in ("qdisc tbf", "qdisc netem"))

    def _has_netem(self) -> bool:
        probe = ["tc", "-n", self._bridge, "qdisc"]
        try:
            call([*probe, "add", "dev", "lo", "root", "netem", "delay", "1ms"])
        except CommandFailed:
            return False
        call([*probe, "del", "dev", "lo", "root"])
        return True

    def dropped(self) -> int:
        """How many packets the cuts have swallowed, for tests that want to see that a cut works."""
        shown = call(
            ["ip", "netns", "exec", self._bridge, "nft", "-j", "list", "table", "bridge", "roost"], check=False
        )
        if shown.returncode != 0:
            return 0
        rules = [item["rule"]["expr"] for item in json.loads(shown.stdout)["nftables"] if "rule" in item]
        return sum(int(part["counter"]["packets"]) for expr in rules for part in expr if "counter" in part)

    def _batch(self, namespace: str, lines: list[str]) -> None:
        call(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")


def _rules(cut: Cut) -> list[str]:
    """The rules of one cut. Only IP is dropped; see the top of this file for why ARP is not."""
    one, other = cut
    what = "meta protocol { ip, ip6 } counter drop"
    if other == EVERYBODY:
        return [f'iifname "{one}" {what}', f'oifname "{one}" {what}']
    return [f'iifname "{one}" oifname "{other}" {what}', f'iifname "{other}" oifname "{one}" {what}']
