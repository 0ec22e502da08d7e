"""Teaching the filter of this machine: rspamc(1) at the socket that is open to root and rspamd only."""

from __future__ import annotations

import json

from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd.layout import Layout
from roost.ports.host import Host

_SECONDS = 30.0


def learn(host: Host, path: str, *, spam: bool, layout: Layout | None = None) -> str:
    """Teach the message in a file; returns '' or why the filter did not want it, which is final.

    Raises ``DaemonFailed`` where the filter is away: then it should be taught later.
    """
    where = layout or Layout()
    verb = "learn_spam" if spam else "learn_ham"
    ran = host.run(
        ["rspamc", "--json", "-t", f"{_SECONDS:g}", "-h", where.controller, verb, path],
        check=False,
        seconds=2 * _SECONDS,
    )
    try:
        said = json.loads(ran.out)
    except ValueError as error:
        raise DaemonFailed(f"The filter cannot be taught: {(ran.err or ran.out).strip()[-300:]}") from error
    if said.get("success") is True:
        return ""
    words = str(said.get("error", said))
    if "Redis" in words or "redis" in words or "connect" in words:
        raise DaemonFailed(f"The filter cannot learn: {words}")
    return words
