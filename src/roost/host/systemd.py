"""Units and packages of a Debian machine: systemctl(1), apt-get(8), dpkg-query(1).

Debian starts a daemon as its package is installed. During an installation of ours a ``policy-rc.d`` forbids that
(its answer 101 is defined in Debian's invoke-rc.d policy), because the daemon has no configuration of ours yet;
the file is removed afterwards, and one that an administrator had is put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from roost.domain.errors import DaemonFailed
from roost.ports.host import File, Host

_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_SECONDS = 900.0


class Systemd:
    """Implements ``roost.ports.host.Services``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        """Install what is missing; see the port. Asks apt for new lists only where it has to."""
        missing = tuple(name for name in names if not self._installed(name))
        if not missing:
            return ()
        before = self._host.read(str(_POLICY))
        self._host.write(File(str(_POLICY), "#!/bin/sh\nexit 101\n", 0o755))
        try:
            install = [
                "apt-get",
                "-q",
                "-y",
                "--no-install-recommends",
                "-o",
                "Dpkg::Options::=--force-confold",
                "install",
            ]
            first = self._host.run([*install, *missing], check=False, seconds=_INSTALL_SECONDS)
            if first.code != 0:
                self._host.run(["apt-get", "-q", "update"], seconds=_INSTALL_SECONDS)
                self._host.run([*install, *missing], seconds=_INSTALL_SECONDS)
        finally:
            if before is None:
                self._host.remove(str(_POLICY))
            else:
                self._host.write(before)
        return missing

    def _installed(self, name: str) -> bool:
        ran = self._host.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name], check=False)
        return ran.code == 0 and ran.out.startswith("ii")

    def enable(self, unit: str) -> None:
        """Start now and at boot."""
        self._host.run(["systemctl", "enable", "--now", unit])

    def disable(self, unit: str) -> None:
        """Stop now and at boot; a unit that does not exist is stopped already."""
        ran = self._host.run(["systemctl", "disable", "--now", unit], check=False)
        if ran.code != 0 and self.is_active(unit):
            raise DaemonFailed(f"{unit} cannot be stopped: {ran.err.strip()}")

    def reload(self, unit: str) -> None:
        """Reload, or start where it does not run."""
        self._host.run(["systemctl", "reload-or-restart", unit])

    def restart(self, unit: str) -> None:
        """Stop and start."""
        self._host.run(["systemctl", "restart", unit])

    def is_active(self, unit: str) -> bool:
        """Say whether it runs."""
        return self._host.run(["systemctl", "is-active", "--quiet", unit], check=False).code == 0
