"""What is true of this machine: Debian's release, the daemons' versions, memory, processors."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from pathlib import Path

from roost.ports.host import TLS_CERTIFICATE, Facts, Host

_VERSION_COMMANDS = {
    "postfix": ["postconf", "-h", "mail_version"],
    "dovecot": ["dovecot", "--version"],
    "bind": ["named", "-V"],
    "unbound": ["unbound", "-V"],
    "redis": ["redis-server", "--version"],
    "rspamd": ["rspamd", "--version"],
}
_NUMBER = re.compile(r"\d+\.\d+(?:\.\d+)?")


def gather(host: Host) -> Facts:
    """Look at the machine. Costs a few processes: called at start and after an installation, not in a loop."""
    versions = {}
    for daemon, argv in _VERSION_COMMANDS.items():
        if _on_path(argv[0]) and (found := _NUMBER.search(host.run(argv, check=False).out)):
            versions[daemon] = found.group()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return Facts(_release(host), versions, certificate_fingerprint(host), memory, os.cpu_count() or 1)


def certificate_fingerprint(host: Host) -> str:
    """Return the SHA-256 fingerprint of the service certificate in hexadecimal, '' where there is none."""
    file = host.read(TLS_CERTIFICATE)
    if file is None or "BEGIN CERTIFICATE" not in file.content:
        return ""
    first = file.content.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


def _on_path(command: str) -> bool:
    return any((Path(folder) / command).exists() for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def _release(host: Host) -> int:
    file = host.read("/usr/lib/os-release")
    found = re.search(r'^VERSION_ID="?(\d+)', file.content if file else "", re.MULTILINE)
    return int(found.group(1)) if found else 0
