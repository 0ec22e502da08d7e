"""A Roost cluster on the lab's machines: founded, joined and used by the same commands as in production.

Every command runs in the machine where an administrator would run it: ``roost`` in ``control``, ``roost join`` on
each node. Nothing here reaches into Roost's own code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from roost.lab import outside
from roost.lab.errors import CommandFailed
from roost.lab.lab import Lab
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, Client

ROLES: Mapping[str, tuple[str, ...]] = {
    "mx": ("mx",),
    "mx-backup": ("backup-mx",),
    "ns": ("dns",),
    "ms": ("storage",),
}
CONTROL_ROLES = ("control", "log")
"""Roles of the controller's machine, which is a node from the founding on."""

DOMAIN = "example.test"
_READY_SECONDS = 120.0
_SAY_SECONDS = 5.0  # between two lines of who is waited for
_AT_ONCE = 4  # machines that are added, or join

Progress = Callable[[str], None]


def roles_of(short: str) -> tuple[str, ...]:
    """Return the roles that a machine of the default lab has, by its name."""
    stem = short.rstrip("0123456789")
    return ROLES.get(stem, ())


def _options(roles: Sequence[str]) -> list[str]:
    """Return the roles as options of ``roost node``."""
    return [part for role in roles for part in ("--role", role)]


def _is_unready(node: Mapping[str, Any]) -> bool:
    return bool(not node["connected"] or node["late"] or node["health"])


class Cluster:
    """The cluster of a running lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.control = lab.machine("control")
        self.client = Client(lab.machine("client"))
        self.cluster_domain = self.control.name.partition(".")[2]
        self._serial = int(time.time())

    # The administrator's commands

    def roost(self, *argv: str, stdin: str = "", check: bool = True, seconds: float = 120) -> Any:
        """Run an administrator's command on the controller; return what ``--output json`` printed."""
        words = list(argv)
        place = words.index("--") if "--" in words else len(words)
        words[place:place] = ["--output", "json"]
        ran = self.control.run(["roost", *words], input=stdin, check=check, timeout=seconds)
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def add_user(self, address: str, password: str, *options: str) -> Any:
        """Add a mailbox and wait for all receipts."""
        return self.roost("user", "add", address, "--password-stdin", *options, stdin=f"{password}\n")

    # Bringing it up

    def found(self, say: Progress = lambda _: None, *, domain: str = DOMAIN) -> None:
        """Found the cluster, let every machine join, add a mail domain, and wait until all is well."""
        say("founding the cluster on control")
        address = self.control.address
        self.control.run(
            ["roost", "controller", "init", self.cluster_domain, "--name", self.control.name, "--address", address]
        )
        self._wait_for_controller()
        client = self.client.machine
        client.write(CA_FILE, self.control.read("/etc/roost/controller-ca.crt"))
        self.tell_the_world({})
        self.roost("policy", "set", "forwarders", client.address, "--no-wait")
        self.roost("node", "set", self.control.name, *_options(CONTROL_ROLES), "--no-wait")
        members = [m for m in self.lab.machines() if roles_of(m.short)]
        self.roost("domain", "add", domain, "--no-wait")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # All are added before the first joins: each is then told once what the others are.
            tokens = list(pool.map(self._add_node, members))
            tokens.append(self.roost("node", "token", self.control.name)["token"])
            say(f"{len(members)} nodes added")
            for name in pool.map(self.join, [*members, self.control], tokens):
                say(f"{name} joined")
        self.tell_the_world({domain: f"pop.{domain}"})
        self.wait_ready(say)

    def _add_node(self, machine: Machine) -> str:
        roles = _options(roles_of(machine.short))
        added = self.roost("node", "add", machine.name, *roles, "--address", machine.address, "--no-wait")
        return str(added["token"])

    def join(self, machine: Machine, token: str) -> str:
        """Let a machine join with its token; return its name. A bare one is given Roost's package first."""
        if machine.spec.flavour == "bare":
            machine.run(["apt-get", "-q", "update"], timeout=120)
            machine.run(
                ["apt-get", "-q", "-y", "install", "--no-install-recommends", "roost"],
                env={"DEBIAN_FRONTEND": "noninteractive"},
                timeout=300,
            )
        url = f"https://{self.control.address}:8443"
        machine.run(["roost", "join", url], input=f"{token}\n", timeout=60)
        return machine.name

    def _wait_for_controller(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.roost("status")
            except CommandFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def wait_ready(self, say: Progress = lambda _: None, seconds: float = _READY_SECONDS) -> None:
        """Wait until every node is connected, up to date and healthy."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0.1)
            ran = self.control.run(
                ["roost", "status", "--wait", f"{min(left, _SAY_SECONDS):.1f}", "--output", "json"], check=False
            )
            if ran.returncode == 0:
                return
            if not ran.stdout.strip():
                raise CommandFailed(self.control.name, ["roost", "status"], ran.returncode, ran.stdout, ran.stderr)
            nodes = json.loads(ran.stdout)["nodes"]
            waiting = {n["name"]: n["health"] or f"late by {n['late']}" for n in nodes if _is_unready(n)}
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {seconds:.0f} s: {waiting}")
            say(f"waiting for {', '.join(name.partition('.')[0] for name in waiting)}")

    def tell_the_world(self, domains: Mapping[str, str], *, without: Collection[Machine] = ()) -> None:
        """Put the records of the mail domains into the outside DNS, as ``roost domain records`` lists them.

        None names the machines that are left out.
        """
        self._serial += 1
        exchangers: list[tuple[int, str]] = []
        servers: dict[str, str] = {}
        for machine in self.lab.machines():
            roles = roles_of(machine.short) if machine not in without else ()
            if "mx" in roles:
                exchangers.append((10, machine.name))
            if "backup-mx" in roles:
                exchangers.append((20, machine.name))
            if "dns" in roles:
                servers[machine.name] = machine.address
        zones: dict[str, tuple[str, Sequence[tuple[int, str]]]] = {
            domain: (zone, exchangers) for domain, zone in domains.items()
        }
        outside.configure(self.client.machine, self.cluster_domain, servers, zones, self._serial)

    # What scenarios do

    def heal(self) -> None:
        """Undo every fault, switch on what is off, and wait until all is well."""
        for machine in self.lab.machines():
            machine.heal()
            if not machine.running:
                machine.boot()
        self.wait_ready()

    def machines_with(self, role: str) -> list[Machine]:
        """Return the machines that have a role, by name."""
        return [machine for machine in self.lab.machines() if role in roles_of(machine.short)]

    def home_of(self, address: str) -> Machine:
        """Return the machine on which a mailbox lives."""
        home = self.roost("user", "show", address)["home"]
        return next(machine for machine in self.lab.machines() if machine.name == home)

    def import_users(self, users: Mapping[str, tuple[str, str]], *options: str) -> Any:
        """Import mailboxes: address to (password, home)."""
        lines = ["address,password,home", *(f"{a},{password},{home}" for a, (password, home) in users.items())]
        self.control.write("/root/import.csv", "\n".join(lines) + "\n", 0o600)
        return self.roost("user", "import", "/root/import.csv", *options, seconds=900)

    def message_ids(self, home: Machine, address: str) -> list[str]:
        """Return the Message-IDs of everything in a mailbox, as Dovecot on its home has it."""
        ran = home.run(["doveadm", "-f", "tab", "fetch", "-u", address, "hdr.message-id", "ALL"], check=False)
        if ran.returncode != 0:
            raise CommandFailed(home.name, ["doveadm", "fetch"], ran.returncode, ran.stdout, ran.stderr)
        return [line.strip() for line in ran.stdout.splitlines()[1:] if line.strip()]

    def wait_for_mail(self, home: Machine, address: str, tag: str, count: int, seconds: float) -> list[str]:
        """Wait until a mailbox holds so many messages of a burst; return the Message-IDs that it has then."""
        deadline = time.monotonic() + seconds
        while True:
            found = [text for text in self.message_ids(home, address) if tag in text]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.3)
