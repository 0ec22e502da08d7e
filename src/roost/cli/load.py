"""``roost user load`` and ``roost node load``: what mailboxes are used, and how busy and how strong nodes are."""

from __future__ import annotations

from collections.abc import Sequence

from roost.cli.options import COMMON, Common
from roost.cli.safe_text import show_size
from roost.cli.session import Use
from roost.cli.times import shown
from roost.domain.errors import BadSetting
from roost.domain.names import Address, host_name
from roost.wire.usage_resources import LoadView, MinuteView, NodeLoadView, RatesView, StrengthView

_HOUR, _DAY = 3600, 86_400
_BARS = "▁▂▃▄▅▆▇█"
_LONGEST_MINUTES = 2880


def of_user(address: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Show what a mailbox is used: now, and usually.

    Now is the last hour or two, usually the last week or two; the recent weighs
    more. The pattern shows when: two hours for each bar, UTC.

    For example:
      roost user load john@example.test
      roost user load john@example.test --output json

    Parameters
    ----------
    address
        The mailbox.
    """
    out, found = session.out(options), session.client().mailbox_load(str(Address.parse_own(address)))
    if out.json:
        out.document(found)
        return
    out.facts([("Mailbox", found.address), ("Home", found.home), *_facts(found)])
    if found.hour is None or found.week is None:
        out.note("Nothing is known of its use yet: its home tells what it does, within some minutes.")
        return
    out.table(("", "NOW, AN HOUR", "USUALLY, A DAY"), _rates(found.hour, found.week))


def _facts(load: LoadView) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    if load.bytes is not None:
        facts.append(("Size", f"{show_size(load.bytes)} in {load.messages} messages"))
    if load.at is not None:
        facts += [("Measured", f"since {shown(load.since)}, told {shown(load.at)} UTC")]
    if load.pattern:
        bars = "".join(_BARS[int(digit) * (len(_BARS) - 1) // 9] for digit in load.pattern)
        facts += [("Working days", f"0h {bars[:12]} 24h"), ("Weekends", f"0h {bars[12:]} 24h")]
    return facts


def _rates(hour: RatesView, week: RatesView) -> list[tuple[str, str, str]]:
    def row(name: str, now: float, usual: float) -> tuple[str, str, str]:
        return name, _number(now * _HOUR), _number(usual * _DAY)

    def bytes_(name: str, now: float, usual: float) -> tuple[str, str, str]:
        return name, show_size(round(now * _HOUR)), show_size(round(usual * _DAY))

    return [
        row("Logins", hour.logins, week.logins),
        row("Messages in", hour.deliveries, week.deliveries),
        bytes_("Bytes in", hour.bytes_in, week.bytes_in),
        bytes_("Bytes out", hour.bytes_out, week.bytes_out),
        row("Hours connected", hour.connected / _HOUR, week.connected / _HOUR),
        row("Processor, s", hour.cpu, week.cpu),
    ]


def of_node(name: str = "", /, *, minutes: int = 10, options: Common = COMMON, session: Use) -> None:
    """Show how busy the storage nodes are, and how strong.

    Without a name all of them, as they were on average in the last minutes; with
    one, that node minute by minute.

    For example:
      roost node load
      roost node load ms1.cluster.test --minutes 60
      roost node load --output json

    Parameters
    ----------
    name
        The node; all storage nodes where not given.
    minutes
        For how many minutes; at most two days are kept.
    """
    if not 1 <= minutes <= _LONGEST_MINUTES:
        raise BadSetting(f"{minutes} minutes are not kept.", field="minutes", remedy=f"Give 1 to {_LONGEST_MINUTES}.")
    out, client = session.out(options), session.client()
    if not name:
        all_ = client.node_loads(minutes=minutes)
        if out.json:
            out.document(all_)
            return
        out.table(
            ("NODE", "MAILBOXES", *_COLUMNS, "STRENGTH"),
            [(one.node, one.mailboxes, *_cells(one.minutes), _strength(one.strength)) for one in all_],
        )
        return
    found = client.node_load(host_name(name, field="node"), minutes=minutes)
    if out.json:
        out.document(found)
        return
    out.facts([("Node", found.node), ("Mailboxes", found.mailboxes), *_strengths(found)])
    out.table(("TIME", *_COLUMNS), [(shown(minute.at), *_cells([minute])) for minute in found.minutes])


def measure(name: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Let a storage node measure anew how strong it is.

    It takes some two seconds of one processor and of the disk; what others do
    there meanwhile makes the figures smaller.

    For example:
      roost node measure ms1.cluster.test

    Parameters
    ----------
    name
        The node.
    """
    out, done = session.out(options), session.client().measure_node(host_name(name, field="node"))
    if out.json:
        out.document(done)
    for sentence in done.did:
        out.say(sentence)


_COLUMNS = ("CPU", "WAITS CPU", "WAITS DISK", "DISK OPS/S", "LOGINS/S", "MAILS/S", "SESSIONS", "LOGIN", "DISK FREE")


def _cells(minutes: Sequence[MinuteView]) -> tuple[str, ...]:
    """Return the cells of a row: the means of some minutes, and of what is true of a moment the last."""
    if not minutes:
        return ("-",) * len(_COLUMNS)
    total = sum(minute.seconds for minute in minutes)

    def mean(field: str) -> float:
        return sum(float(getattr(minute, field)) * minute.seconds for minute in minutes) / total

    last = minutes[-1]
    return (
        f"{mean('cpu'):.2f}",
        f"{mean('pressure_cpu'):.0%}",
        f"{mean('pressure_io'):.0%}",
        f"{mean('reads') + mean('writes'):.0f}",
        f"{mean('logins'):.2f}",
        f"{mean('deliveries'):.2f}",
        f"{mean('connected'):.1f}",
        f"{last.login * 1000:.0f} ms" if last.login else "-" if last.greeting else "none",
        f"{last.disk_free / last.disk:.0%}" if last.disk else "-",
    )


def _strength(strength: StrengthView) -> str:
    if not strength.cpu and not strength.io:
        return "not measured"
    return f"{strength.cpu:.1f} processors, {strength.io:.0f} writes/s"


def _strengths(found: NodeLoadView) -> list[tuple[str, object]]:
    strength, measured = found.strength, found.measured
    facts: list[tuple[str, object]] = [("Strength", _strength(strength))]
    if strength.memory and strength.disk:
        facts.append(
            ("Has", f"{show_size(round(strength.memory))} of memory, {show_size(round(strength.disk))} of disk")
        )
    if measured is not None:
        spread = f"(runs differed by {measured.cpu_spread:.0%} and {measured.io_spread:.0%})"
        facts.append(("Measured", f"{_strength(measured)} {spread}, {shown(found.measured_at)} UTC"))
    if found.declared:
        facts.append(("Declared", ", ".join(f"{name} {value:g}" for name, value in sorted(found.declared.items()))))
    return facts


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.1 or not value else f"{value:.2g}"
