"""A machine of the lab: a real Debian, booted by its own systemd in systemd-nspawn.

It has its own processes, mounts, host name, network (:mod:`roost.lab.network`) and disk (:mod:`roost.lab.disks`);
only the kernel and the clock are the host's. Everything about it is found again from the disk and from its control
group, so that any process can take hold of a machine that another one has booted.

Life::

    boot() ──▶ running ──shutdown()──▶ off     services are stopped in order
                  │ └────kill()──────▶ off     as by a power cut: nothing is told anything
                  ▼
               freeze()/thaw()                 stopped: accepts nothing, answers nothing

and from *off* again to ``boot()``; the disk keeps what was written. Faults of disk, cable and processor are methods
as well, and :meth:`Machine.heal` undoes them all.

Frozen processes do not read, but the kernel still completes TCP handshakes in their name until a listener's queue is
full, as the kernel of an overloaded server does. ``freeze(hard=True)`` also drops the machine's packets, which is
how a hung kernel looks from outside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from roost.lab.cgroups import Group
from roost.lab.disks import Disk
from roost.lab.errors import CommandFailed, MachineDown
from roost.lab.network import EVERYBODY, Network
from roost.lab.process import PLAIN_ENV, ProcessId, Result, identify, within_groups
from roost.lab.state import Faults
from roost.lab.topology import MachineSpec

# systemd's own signal for "halt cleanly" (systemd(1), SIGRTMIN+4).
_POWEROFF = signal.SIGRTMIN + 4


def nspawn_name(lab: str, short: str) -> str:
    """The name under which nspawn keeps its own notes about a machine; two labs may have machines of one name."""
    return f"roost-{lab}.{short}"


# Writes its standard input to $1 with the mode $2, never readable by more than that.
_WRITE = 'mkdir -p -- "$(dirname -- "$1")" && rm -f -- "$1" && umask 077 && cat >"$1" && chmod "$2" "$1"'


class Machine:
    """One machine. Made by :class:`roost.lab.lab.Lab`, not by hand."""

    def __init__(
        self,
        lab: str,
        spec: MachineSpec,
        *,
        disk: Disk,
        network: Network,
        run_dir: Path,
        faults: Faults,
        prepare: Callable[[Machine], Sequence[tuple[Path, str]]],
    ) -> None:
        self.lab = lab
        self.spec = spec
        self._disk = disk
        self._network = network
        self._run_dir = run_dir
        self._faults = faults
        self._prepare = prepare
        self._group = Group(lab, spec.short)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The full host name."""
        return self.spec.name

    @property
    def short(self) -> str:
        """The host name's first label."""
        return self.spec.short

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.spec.address

    @property
    def release(self) -> str:
        """Its Debian release."""
        return self.spec.release

    @property
    def root(self) -> Path:
        """The machine's whole disk as a directory of the host; there also while the machine is off."""
        return self._disk.root

    @property
    def console(self) -> Path:
        """What the machine has printed to its console, on the host."""
        return self._run_dir / f"{self.short}.console"

    @property
    def running(self) -> bool:
        """Whether it is on (a frozen machine is on)."""
        return self._leader() is not None

    @property
    def frozen(self) -> bool:
        """Whether it is stopped by :meth:`freeze`."""
        return self._group.frozen()

    # Life

    def boot(self, timeout: float = 60) -> float:
        """Switch on and wait until systemd says that the boot is finished; return the seconds that it took."""
        if self.running:
            return 0.0
        began = time.monotonic()
        self.reap()
        self._network.plug(self.short, self.address)
        binds = self._prepare(self)
        groups = self._group.make()
        notify = self._run_dir / f"{self.short}.notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, self.console.open("ab") as console:
            listener.bind(str(notify))
            argv = [
                "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes",
                f"--directory={self.root}", f"--machine={nspawn_name(self.lab, self.short)}",
                f"--hostname={self.name}",
                f"--network-namespace-path=/run/netns/{self._network.namespace(self.short)}",
                "--capability=CAP_NET_ADMIN",  # its network stack is its own, packet filter included
                "--system-call-filter=pidfd_getfd",  # as on a machine (roost.host.forgotten)
                "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
                *(f"--bind-ro={source}:{target}" for source, target in binds),
            ]  # fmt: skip
            self._child = subprocess.Popen(
                within_groups(groups, argv),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C at the lab's terminal is not the machines' business
                env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            )
            try:
                self._wait_ready(listener, began + timeout)
            except BaseException:
                self.kill()
                raise
            finally:
                notify.unlink(missing_ok=True)
        return time.monotonic() - began

    def _wait_ready(self, listener: socket.socket, deadline: float) -> None:
        """nspawn tells the number of the machine's first process, then that the boot in it is finished."""
        assert self._child is not None  # noqa: S101
        listener.settimeout(0.5)
        while True:
            with contextlib.suppress(TimeoutError):
                lines = listener.recv(8192).decode(errors="replace").splitlines()
                for line in lines:
                    if line.startswith("X_NSPAWN_LEADER_PID="):
                        self._remember_leader(int(line.partition("=")[2]))
                if "READY=1" in lines:
                    return
            said = self.console.read_text(errors="replace")[-1500:]
            if self._child.poll() is not None:
                raise CommandFailed("host", ["boot", self.name], self._child.returncode, stderr=said)
            if time.monotonic() > deadline:
                raise CommandFailed("host", ["boot", self.name], None, stderr=said)

    def shutdown(self, timeout: float = 30) -> None:
        """Switch off as an administrator would: services are stopped in their order. Off already is fine."""
        leader = self._leader()
        if leader is not None and not self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader.pid, _POWEROFF)
            deadline = time.monotonic() + timeout
            while self._group.populated() and time.monotonic() < deadline:
                self.reap()
                time.sleep(0.01)
        self.kill()

    def kill(self) -> None:
        """Cut the power. What the processes had not handed to the kernel is lost; the disk stays as it was.

        The cable goes first, so that no kernel closes the connections of the dead in their name.
        """
        self._network.unplug(self.short)
        self._group.kill()
        self.reap()
        self._group.remove()
        self._leader_file.unlink(missing_ok=True)
        if self._run_dir.exists():  # a machine that was frozen hard is off now, not hung
            self._faults.remove_cut((self.short, EVERYBODY), frozen=True)

    def reap(self) -> None:
        """Take note of the end of what this process has started, as every parent must."""
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(0 if self._group.populated() else 5)
                self._child = None

    # Commands and files

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command in the machine as root and wait for it.

        No shell is involved. ``env`` is added to a plain environment. When the time is over, the command is killed
        and :class:`CommandFailed` raised with ``returncode`` None; that also happens on a frozen machine.
        """
        process = self.popen(argv, env=env, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        data = input.encode() if isinstance(input, str) else input
        try:
            out, err = process.communicate(data, timeout)
        except BaseException as broken:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(broken, subprocess.TimeoutExpired):
                raise CommandFailed(self.name, argv, None) from broken
            raise
        done = Result(tuple(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        if check and done.returncode != 0:
            raise CommandFailed(self.name, argv, done.returncode, done.stdout, done.stderr)
        return done

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start a command in the machine, for streaming. It is frozen and killed with the machine."""
        return subprocess.Popen(
            self._enter(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env={**PLAIN_ENV, **(env or {})},
        )

    def shell(self) -> int:
        """An interactive shell in the machine, on this terminal; returns its exit code."""
        env = {**PLAIN_ENV, "TERM": os.environ.get("TERM", "dumb")}
        return subprocess.call(self._enter(["/bin/bash", "--login"]), env=env)

    def interactive(self, argv: Sequence[str]) -> int:
        """Run a command in the machine on this terminal; returns its exit code."""
        return subprocess.call(self._enter(argv), env={**PLAIN_ENV, "TERM": os.environ.get("TERM", "dumb")})

    def read(self, path: str) -> str:
        """The text of a file, seen as the machine sees it. Works while the machine is off, too."""
        return self._files(["cat", "--", path]).stdout

    def write(self, path: str, data: str | bytes, mode: int = 0o644) -> None:
        """Write a file of root's, and the directories above it. Works while the machine is off, too."""
        self._files(["/bin/sh", "-c", _WRITE, "sh", path, f"{mode:o}"], data)

    def _files(self, argv: Sequence[str], data: str | bytes | None = None) -> Result:
        if self.running:
            return self.run(argv, input=data)
        # Off: the same tool from the machine's own disk, with its own idea of "/": links lead where they would.
        done = subprocess.run(
            ["chroot", str(self.root), *argv],
            input=data.encode() if isinstance(data, str) else data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            env=PLAIN_ENV,
            check=False,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if done.returncode != 0:
            raise CommandFailed(self.name, argv, done.returncode, out, err)
        return Result(tuple(argv), 0, out, err)

    def _enter(self, argv: Sequence[str]) -> list[str]:
        leader = self._leader()
        if leader is None:
            raise MachineDown(f"{self.name} is off.", remedy="Boot it first.")
        return within_groups(self._group.visitors(), ["nsenter", "-t", str(leader.pid), "-a", "--", *argv])

    # Faults

    def freeze(self, *, hard: bool = False) -> None:
        """Stop all that runs in the machine. ``hard`` also drops its packets, as a hung kernel would."""
        self._leader_or_down()
        self._group.freeze(stopped=True)
        if hard:
            self._faults.add_cut((self.short, EVERYBODY), frozen=True)

    def thaw(self) -> None:
        """Let it go on as if nothing had been."""
        self._faults.remove_cut((self.short, EVERYBODY), frozen=True)
        if self.frozen:
            self._group.freeze(stopped=False)

    def cut(self, *peers: Machine) -> None:
        """Pull the network cable; with ``peers``, only what passes between this machine and each of them."""
        for other in [peer.short for peer in peers] or [EVERYBODY]:
            self._faults.add_cut((self.short, other))

    def join(self, *peers: Machine) -> None:
        """Put the cable back: with ``peers`` undo those cuts, without undo every cut of this machine."""
        if not peers:
            self._faults.remove_cuts_of(self.short)
        for peer in peers:
            self._faults.remove_cut((self.short, peer.short))
            self._faults.remove_cut((peer.short, self.short))

    def slow(self, kbit: int | None = None, delay_ms: int = 0) -> None:
        """Give its cable ``kbit`` kilobit a second and a delay, each way; none of both makes it good again.

        So does the next boot, for which the cable is a new one.
        """
        self._leader_or_down()
        self._network.slow(self.short, kbit, delay_ms)

    def fill(self, path: str = "/", leave_bytes: int = 0) -> int:
        """Fill the volume that holds ``path``, so that writers get ENOSPC; return the bytes that are left."""
        return self._disk.fill(path, leave_bytes)

    def limit_cpu(self, percent: int | None) -> None:
        """Let it use ``percent`` of one CPU at most (200: two of them); None lifts that, and so does a boot."""
        self._leader_or_down()
        self._group.cpu_quota(percent)

    def heal(self) -> None:
        """Undo every fault of this machine. It is not booted: a machine that was killed stays off."""
        self._faults.remove_cuts_of(self.short)
        if self.frozen:
            self._group.freeze(stopped=False)
        if self.running:
            self._network.slow(self.short, None, 0)
        self._disk.empty()
        if self._group.unified.exists():
            self._group.cpu_quota(None)

    # Finding it again

    @property
    def _leader_file(self) -> Path:
        return self._run_dir / f"{self.short}.leader"

    def _remember_leader(self, pid: int) -> None:
        found = identify(pid)
        if found is not None:
            fresh = self._leader_file.with_suffix(".new")
            fresh.write_text(f"{found.pid} {found.started}\n")
            fresh.rename(self._leader_file)

    def _leader(self) -> ProcessId | None:
        try:
            pid, started = self._leader_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        leader = ProcessId(int(pid), int(started))
        return leader if leader.alive() else None

    def _leader_or_down(self) -> ProcessId:
        leader = self._leader()
        if leader is None:
            raise MachineDown(f"{self.name} is off.", remedy="Boot it first.")
        return leader

    # Making and unmaking, for the lab

    def mount(self, layers: Sequence[Path]) -> None:
        """Mount its disk and write what makes it this machine: name, hosts, identity."""
        self._disk.mount(layers)
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        hosts = etc / "hosts"
        if not hosts.exists() or "roost-lab" not in hosts.read_text():
            hosts.write_text(
                "# Written once by roost-lab.\n127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
                f"{self.address} {self.name} {self.short}\n"
            )
        # The same machine of the same lab has the same identity at every start; no two machines share one.
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.lab}.roost-lab").hex
        (etc / "machine-id").write_text(f"{identity}\n")
