"""By which settings rspamd's workers work, as they say it themselves.

``roost.lua`` holds a digest of all files, and each worker writes it when it begins (``rspamd_config:add_on_load``):
``in-force.KIND.NUMBER`` in the folder of sockets. A reload signals the old workers before it starts the new ones,
and whoever has been signalled takes no further connection. So once the new ones have written, whoever asks is
answered by the new settings; only a session that began before is finished by the old.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from roost.drivers.rspamd.layout import Layout
from roost.ports.host import File, Host

PROXY, CONTROLLER = "rspamd_proxy", "controller"
"""rspamd's names of the two kinds of worker: those that Postfix asks, and the one that is taught."""

_DIGEST = re.compile(r'^local settings = "([0-9a-f]+)"$', re.MULTILINE)
_PROXIES = re.compile(rf'^worker "{PROXY}" {{\n(?:  .*\n)*?  count = (\d+);$', re.MULTILINE)


def digest(files: Iterable[File]) -> str:
    """Return what stands for the content of files."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.path} {len(file.content)}\n{file.content}".encode())
    return whole.hexdigest()


def missing(host: Host, layout: Layout) -> list[str]:
    """Return the workers that have not begun with the settings that are in the files; by kind and number."""
    lua, conf = host.read(layout.lua), host.read(layout.conf)
    wanted = _DIGEST.search(lua.content) if lua else None
    proxies = _PROXIES.search(conf.content) if conf else None
    if wanted is None or proxies is None:
        # Files of an earlier release, which are about to be replaced.
        return []
    workers = [f"{PROXY}.{number}" for number in range(int(proxies[1]))] + [f"{CONTROLLER}.0"]
    said = {worker: host.read(f"{layout.in_force}.{worker}") for worker in workers}
    return [worker for worker, file in said.items() if file is None or file.content.strip() != wanted[1]]
