"""``roost drift``: what the nodes found not to be as it should, and repaired."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import Output
from roost.cli.receipts import check_seconds
from roost.cli.session import Use
from roost.domain.errors import BadSetting
from roost.domain.names import host_name

if TYPE_CHECKING:
    from roost.wire.client import AdminClient
    from roost.wire.resources import Drift, DriftLine

_POLL_SECONDS = 0.3


def drift(
    *,
    check: bool = False,
    lift_brake: list[str] | None = None,
    timeout: float = 120.0,
    options: Common = COMMON,
    session: Use,
) -> None:
    """Show what nodes found not to be as it should, and repaired.

    That is what was missing, changed or foreign there at their last check.

    For example:
      roost drift
      roost drift --check
      roost drift --check --timeout 300 --output json
      roost drift --check --lift-brake ms1.cluster.test

    Parameters
    ----------
    check
        Let every node check now, and wait until all that are connected have.
    lift_brake
        With --check: a node that held repairs back, because they would delete too many rows, may make them this
        once; give the option again for each further node.
    timeout
        Seconds to wait for the nodes.
    """
    out, client = session.out(options), session.client()
    check_seconds(timeout, "timeout")
    lifted = [host_name(name, field="lift_brake") for name in lift_brake or ()]
    if lifted and not check:
        raise BadSetting("The brake is lifted for one check.", field="lift_brake", remedy="Give --check too.")
    found = _check(out, client, timeout, lifted) if check else client.drift()
    if out.json:
        out.document(found)
    if found.lines:
        _table(out, found.lines)
    elif found.rows_checked or found.earlier:
        out.say(f"No drift found; {found.rows_checked} rows checked.")
    else:
        out.say("Nobody has asked for a check yet: 'roost drift --check' does.")
    if found.earlier:
        out.say("Found and dealt with before that:")
        _table(out, found.earlier)
    for node in found.waiting:
        out.warn(f"{node} has not done check {found.check}; see 'roost status'.")
    for node, sentence in sorted(found.refused.items()):
        out.warn(f"{node} held repairs back: {sentence}".replace("NODE", node))


def _table(out: Output, lines: list[DriftLine]) -> None:
    rows = [
        (line.node, f"{line.at:%Y-%m-%d %H:%M:%S}", line.driver, line.what, line.found, _repaired(line.repaired))
        for line in lines
    ]
    out.table(("NODE", "AT", "DRIVER", "WHAT", "FOUND", "REPAIRED"), rows)


def _check(out: Output, client: AdminClient, seconds: float, lifted: list[str]) -> Drift:
    """Ask for a check and wait for the nodes that can do it now."""
    found = client.check_drift(lift_brake=lifted)
    away = {node.name for node in client.nodes() if not node.connected}
    until = time.monotonic() + seconds
    total = len(found.waiting)
    with out.progress("Nodes check themselves", total) as bar:
        while set(found.waiting) - away and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            found = client.drift()
            bar.set(total - len(found.waiting), total)
    return found


def _repaired(repaired: bool) -> str:
    return "yes" if repaired else "no"
