"""``roost probe``: what test mail and test logins saw, hop by hop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from roost.cli.options import COMMON, Common
from roost.cli.output import Output
from roost.cli.receipts import check_seconds
from roost.cli.session import Use
from roost.domain.errors import BadSetting
from roost.domain.probe import Seen, Stage

if TYPE_CHECKING:
    from roost.wire.client import AdminClient
    from roost.wire.probe_messages import ProberView, ProbeView

_WAIT_SECONDS = 20.0


def probe(
    *, now: bool = False, renew: bool = False, timeout: float = 120.0, options: Common = COMMON, session: Use
) -> None:
    """Show what test mail through every MX and test logins by every DNS server saw.

    The controller's own node sends a message through each MX to a test mailbox on
    each storage node, and logs in there by the answer of each DNS server. What is
    broken is named here and by 'roost status'.

    For example:
      roost probe
      roost probe --now
      roost probe --output json

    Parameters
    ----------
    now
        Ask for a round now, and wait for it.
    renew
        Give all test mailboxes new names and passwords.
    timeout
        With --now: seconds to wait.
    """
    out, client = session.out(options), session.client()
    check_seconds(timeout, "timeout")
    if renew:
        if now:
            raise BadSetting("--renew and --now are two commands.", field="renew", remedy="Give one after the other.")
        written = client.renew_probe()
        if out.json:
            out.document(written)
        for sentence in written.did:
            out.say(sentence)
        return
    found = _now(out, client, timeout) if now else client.probe()
    if out.json:
        out.document(found)
    _show(out, found)


def _now(out: Output, client: AdminClient, seconds: float) -> ProbeView:
    """Ask for a round and wait until every prober has sent it."""
    asked = client.ask_probe()
    if not asked.every:
        raise BadSetting(
            "The probe is switched off.", field="now", remedy="Switch it on: 'roost policy set probe_seconds 60'."
        )
    until = time.monotonic() + seconds
    found = asked
    while (left := until - time.monotonic()) > 0:
        found = client.probe(number=asked.asked, wait=min(left, _WAIT_SECONDS))
        if all(prober.number >= asked.asked for prober in found.probers):
            return found
    for prober in found.probers:
        if prober.number < asked.asked:
            out.warn(f"{prober.node} has not sent round {asked.asked}; what is shown is older.")
    return found


def _show(out: Output, found: ProbeView) -> None:
    if not found.every:
        out.say("The probe is switched off: 'roost policy set probe_seconds 60' switches it on.")
        return
    if not found.probers:
        out.say("There is no prober: no node with the role 'control' has joined.")
    for prober in found.probers:
        if prober.at is None:
            out.say(f"{prober.node} has sent no round since the controller started.")
            continue
        out.say(f"{prober.node} at {prober.at:%Y-%m-%d %H:%M:%S} UTC, in {prober.seconds:.1f} s:")
        _tables(out, prober)
    for finding in found.findings:
        out.say(f"! {finding.subject}: {finding.warning} {finding.remedy}".rstrip())


def _tables(out: Output, prober: ProberView) -> None:
    """Print a line for each storage node: mail by each MX, then logins."""
    stores = sorted({box.store for box in prober.boxes})
    hosts = sorted({mail.mx for mail in prober.mails})
    servers = sorted({login.dns for login in prober.logins})
    by_mx = {(mail.mx, mail.store): mail.seen for mail in prober.mails}
    by_dns = {(login.dns, login.store): login.seen for login in prober.logins}
    by_door = {(door.store, door.protocol): door.seen for door in prober.doors}
    if not stores:
        out.say("There is no storage node to try yet.")
        return
    out.table(
        ("MAIL TO", *(f"BY {host}" for host in hosts)),
        [(store, *(_cell(by_mx.get((host, store))) for host in hosts)) for store in stores],
    )
    out.table(
        ("LOGIN AT", "IMAP", "POP3", *(f"IMAP BY {server}" for server in servers)),
        [
            (
                store,
                *(_cell(by_door.get((store, protocol))) for protocol in ("imap", "pop3")),
                *(_cell(by_dns.get((server, store))) for server in servers),
            )
            for store in stores
        ],
    )


def _cell(seen: Seen | None) -> str:
    if seen is None or seen.stage is Stage.UNSEEN:
        return "-"
    if not seen.ok:
        return str(seen.stage)
    return f"{seen.seconds * 1000:.0f} ms" if seen.seconds < 10 else f"{seen.seconds:.0f} s"
