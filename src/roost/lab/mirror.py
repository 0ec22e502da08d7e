"""Where packages come from: the host's own package sources, asked at run time.

The lab never names a mirror. It asks apt which repositories the host uses (``apt-get indextargets``), takes those of
Debian, and puts the wanted release in the place of the host's own. ``ROOST_LAB_MIRROR`` and
``ROOST_LAB_SECURITY_MIRROR`` (addresses of repositories) take precedence, for a host that is not a Debian or uses
another mirror for its own release.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from roost.lab.errors import LabUnavailable
from roost.lab.process import call
from roost.lab.topology import Release

_SUITE = re.compile(r"^(stable|oldstable|testing|bullseye|bookworm|trixie|forky|sid)$")
_SETTINGS = re.compile(r'^(Acquire::(?:Check-Valid-Until|Check-Date|https?::Proxy[^ ]*)) "(.+)";$')


@dataclass(frozen=True)
class Mirror:
    """A Debian repository and, where the host has one, the repository of security updates."""

    main: str
    security: str | None
    settings: tuple[str, ...]

    def sources(self, release: Release) -> str:
        """The text of a sources.list for this release."""
        lines = [f"deb {self.main} {release} main", f"deb {self.main} {release}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {release}-security main")
        return "\n".join(lines) + "\n"


def of_host() -> Mirror:
    """The mirror that this host uses."""
    main = os.environ.get("ROOST_LAB_MIRROR")
    security = os.environ.get("ROOST_LAB_SECURITY_MIRROR")
    if main is None:
        wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)"
        shown = call(["apt-get", "indextargets", "--format", wanted]).stdout
        for line in shown.splitlines():
            uri, suite, component, kind = [*line.split(" "), "", ""][:4]
            if component != "main" or kind != "Packages":
                continue
            if suite.endswith("-security"):
                security = security or uri.rstrip("/")
            elif _SUITE.match(suite):
                main = main or uri.rstrip("/")
    if main is None:
        raise LabUnavailable(
            "The lab found no Debian repository in this host's package sources.",
            remedy="Add one to /etc/apt, or name it in ROOST_LAB_MIRROR.",
        )
    dumped = call(["apt-config", "dump"], check=False).stdout.splitlines()
    return Mirror(main, security, tuple(line for line in dumped if _SETTINGS.match(line)))
