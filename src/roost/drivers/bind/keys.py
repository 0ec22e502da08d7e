"""The three keys of a DNS server, made on it at first use and never leaving it by our doing.

===================  =============================================================================
``roost.key``        the agent's own, for updates and transfers over loopback
``roost-transfer``   for foreign secondaries; the administrator copies it to them. Its name holds
                     the node's, because a secondary of two servers needs two names for two keys
``rndc.key``         Debian's, for rndc(8); made only where the package has not
===================  =============================================================================

The format is BIND's own (``key "name" { algorithm …; secret "…"; };``), as tsig-keygen(8) prints it.
"""

from __future__ import annotations

import re

from roost.domain.errors import DaemonFailed
from roost.drivers.bind.place import LOCAL_KEY, Place
from roost.ports.host import File, Host

_KEY = re.compile(r'key "([^"]+)" \{\s*algorithm ([\w-]+);\s*secret "([A-Za-z0-9+/=]+)";')
_HEAD = "// Made by roost on this machine; it should never leave it"
_TRANSFER_HEAD = "// Made by roost on this machine; copy it to the foreign secondaries, and nowhere else"


def ensure(host: Host, place: Place, transfer_name: str) -> None:
    """Make the keys that are missing or unreadable, and the one whose name has changed; raises ``DaemonFailed``."""
    for path, name, head in (
        (place.local_key, LOCAL_KEY, _HEAD),
        (place.transfer_key, transfer_name, _TRANSFER_HEAD),
    ):
        file = host.read(path)
        found = _KEY.search(file.content) if file else None
        if found is None or found.group(1) != name:
            made = host.run(["tsig-keygen", "-a", "hmac-sha256", name]).out
            if _KEY.search(made) is None:
                raise DaemonFailed("'tsig-keygen' printed no key that could be read.")
            host.write(File(path, f"{head}.\n{made}", 0o640, place.key_owner))
    if host.read(place.control_key) is None:
        made = host.run(["tsig-keygen", "-a", "hmac-sha256", "rndc-key"]).out
        host.write(File(place.control_key, made, 0o640, place.key_owner))


def secret_of(host: Host, path: str) -> tuple[str, str, str]:
    """Return name, algorithm and secret (base64) of a key; raises ``DaemonFailed`` where there is none."""
    file = host.read(path)
    found = _KEY.search(file.content) if file else None
    if found is None:
        raise DaemonFailed(f"{path} holds no TSIG key.", remedy="It is made anew when the driver is activated.")
    return found.group(1), found.group(2), found.group(3)
