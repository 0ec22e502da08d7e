"""Which hop is broken: from everything that a round saw to as few findings as explain it. Pure.

One cause gives one finding. What follows from it is not named: a login by any DNS server at a home that is down, mail
that cannot be looked for there, mail by a backup MX while no primary takes any. Where the same thing happens along a
whole row or column of tries, the hop that they have in common is named; else the way between the two.

====================  ==============================================================  ==============================
what was seen         where                                                           named hop
====================  ==============================================================  ==============================
no answer, or wrong   a DNS server                                                    that server
not taken             an MX, for every home                                           that MX
not taken             an MX, for some homes                                           MX → home
no session            a home, by IMAP (and POP3)                                      that home
taken, not arrived    a home, by every MX that took it                                that home
taken, not arrived    an MX, at every home (two or more) where others' mail arrives   that MX
taken, not arrived    otherwise                                                       MX → home
late                  as for what has not arrived                                     the same
nothing works         everywhere                                                      the prober
====================  ==============================================================  ==============================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from roost.domain.probe import Door, Login, Mail, Round, Seen, Stage

SLOW_SECONDS = 10.0
"""From so many seconds on, a message or a login is late."""

_WAY = " → "
_NO_SESSION = {
    Stage.CONNECT: "does not answer by {protocol}: {words}",
    Stage.TLS: "makes no TLS by {protocol}: {words}",
    Stage.CERTIFICATE: "has a bad certificate by {protocol}: {words}",
    Stage.REFUSED: "refuses {protocol}: {words}",
    Stage.LOGIN: "refuses the test mailbox's login by {protocol}: {words}",
    Stage.OPEN: "lets the test mailbox log in by {protocol} and does not open it: {words}",
}
_AT_A_HOME = {
    Stage.CERTIFICATE: "On {hop}: 'systemctl restart roost-agent' has its certificate looked at; see its log.",
    Stage.LOGIN: "'roost drift --check' compares its accounts; then see 'roost log' for {hop}.",
    Stage.OPEN: "Look at the disk of {hop}, then at 'roost log'.",
}
_NOT_TAKEN = {
    Stage.CONNECT: "does not answer by SMTP: {words}",
    Stage.TLS: "makes no TLS (STARTTLS): {words}",
    Stage.CERTIFICATE: "makes no TLS (STARTTLS): {words}",
    Stage.REFUSED: "does not take mail: {words}",
}
_FILTER = "4.7.1 Service unavailable"
"""What a mail server says while its filter does not answer."""


@dataclass(frozen=True)
class Finding:
    """A broken hop: a node's name, or two with an arrow between them; what is wrong, and what to do about it."""

    hop: str
    words: str
    remedy: str


def verdict(found: Round, prober: str) -> tuple[Finding, ...]:
    """Return what is broken, each cause once, sorted by hop."""
    if _nothing_works(found):
        return (
            Finding(
                prober,
                "no test reached anything: no MX, no DNS server, no storage node.",
                f"Look at the network of {prober}, which sends them.",
            ),
        )
    closed = {door.store for door in found.doors if door.protocol == "imap" and not door.seen.ok}
    findings = [
        *_names(found.logins),
        *_doors(found.doors),
        *_logins(found.logins, closed),
        *_taken(found),
        *_arrived(found, closed),
        *_late(found),
    ]
    return tuple(sorted(findings, key=lambda finding: (finding.hop, finding.words)))


def _nothing_works(found: Round) -> bool:
    reached = [
        *(mail.seen.stage is not Stage.CONNECT for mail in found.mails),
        *(login.seen.stage not in {Stage.SILENT, Stage.UNSEEN} for login in found.logins),
        *(door.seen.stage not in {Stage.CONNECT, Stage.UNSEEN} for door in found.doors),
    ]
    kinds = bool(found.mails) + bool(found.logins) + bool(found.doors)
    return kinds > 1 and not any(reached)


def _names(logins: tuple[Login, ...]) -> Iterator[Finding]:
    """DNS servers that do not answer, refuse, or answer something else than they should."""
    for dns in sorted({login.dns for login in logins}):
        own = [login for login in logins if login.dns == dns]
        silent = [login for login in own if login.seen.stage is Stage.SILENT]
        wrong = [login for login in own if login.seen.stage is Stage.WRONG]
        if silent:
            words = _some(f"does not answer: {silent[0].seen.words}", silent, own)
            yield Finding(dns, words, f"Look at {dns} and at its name server: 'roost log' for {dns}.")
        if wrong:
            words = _some(f"gives a wrong answer: {wrong[0].seen.words}", wrong, own)
            yield Finding(dns, words, "'roost drift --check' compares its zones with what they should hold.")


def _some(words: str, these: list[Login], of: list[Login]) -> str:
    """Return the words with the homes that they are about, unless those are all."""
    if len(these) == len(of):
        return _sentence(words)
    return _sentence(f"for {_listed(login.store for login in these)} it {words}")


def _doors(doors: tuple[Door, ...]) -> Iterator[Finding]:
    """Homes where no session comes about. What POP3 shows as well has the same cause."""
    shown: dict[str, Stage] = {}
    for door in sorted(doors, key=lambda door: (door.store, door.protocol)):
        stage = door.seen.stage
        if stage not in _NO_SESSION or door.store in shown:
            continue
        shown[door.store] = stage
        yield _closed(door.store, door.protocol, door.seen)


def _closed(store: str, protocol: str, seen: Seen) -> Finding:
    words = _NO_SESSION[seen.stage].format(protocol=protocol.upper(), words=seen.words)
    remedy = _AT_A_HOME.get(seen.stage, "Look at the machine {hop} and at 'roost status'.")
    return Finding(store, _sentence(words), remedy.format(hop=store))


def _logins(logins: tuple[Login, ...], closed: set[str]) -> Iterator[Finding]:
    """Logins that fail although DNS is right and the same home has let the prober in: it works only at times."""
    shown = set(closed)
    for login in sorted(logins, key=lambda login: (login.store, login.dns)):
        if login.seen.stage in _NO_SESSION and login.store not in shown:
            shown.add(login.store)
            yield _closed(login.store, "imap", login.seen)


def _taken(found: Round) -> Iterator[Finding]:
    """MX hosts that do not take the test messages."""
    for mx in sorted({mail.mx for mail in found.mails}):
        own = [mail for mail in found.mails if mail.mx == mx]
        failed = [mail for mail in own if mail.seen.stage in _NOT_TAKEN]
        for words, these in _alike(failed).items():
            if len(these) == len(own):
                yield Finding(mx, _sentence(words), _for_mx(mx, words))
                continue
            for mail in these:
                yield Finding(
                    f"{mx}{_WAY}{mail.store}",
                    _sentence(f"{mx} {words}"),
                    f"'roost drift --check' compares the tables of {mx} with what they should hold.",
                )


def _alike(mails: list[Mail]) -> dict[str, list[Mail]]:
    """Return the messages by what became of them."""
    by_words: dict[str, list[Mail]] = {}
    for mail in mails:
        words = _NOT_TAKEN[mail.seen.stage].format(words=mail.seen.words)
        by_words.setdefault(words, []).append(mail)
    return by_words


def _for_mx(mx: str, words: str) -> str:
    if _FILTER in words:
        return f"Its spam filter does not answer: look at rspamd on {mx}."
    return f"Look at the machine {mx} and at 'roost status'."


def _arrived(found: Round, closed: set[str]) -> Iterator[Finding]:
    """Mail that was taken and has not arrived."""
    taken = [mail for mail in found.mails if mail.seen.ok or mail.seen.stage is Stage.MISSING]
    taken = [mail for mail in taken if mail.store not in closed]
    primaries = {mail.mx for mail in found.mails} - set(found.backups)
    if primaries and not any(mail.mx in primaries for mail in taken):
        # A backup has nobody to hand it to, which is said of them.
        taken = []
    mailboxes = {box.store: box.mailbox for box in found.boxes}
    missing = [mail for mail in taken if not mail.seen.ok]
    for hop, some in _common(missing, taken, found.backups):
        mx, _, store = hop.partition(_WAY)
        words = some[0].seen.words
        if store:
            yield Finding(
                hop,
                _sentence(f"mail that {mx} has taken does not arrive at {store}: {words}"),
                f"See 'roost trace {mailboxes.get(store, '')}' for what {mx} says; can it reach port 24 of {store}?",
            )
        elif hop == some[0].mx:
            yield Finding(
                hop,
                _sentence(f"takes mail and does not deliver it: {words}"),
                f"See the log of {hop} ('roost log'), and its queue.",
            )
        else:
            yield Finding(
                hop,
                _sentence(f"takes no delivery (LMTP) from any MX, though it can be logged in to: {words}"),
                f"Look at the disk and at the log of {hop} ('roost log').",
            )


def _late(found: Round) -> Iterator[Finding]:
    """Mail and logins that take too long."""
    fine = [mail for mail in found.mails if mail.seen.ok]
    slow = [mail for mail in fine if mail.seen.seconds >= SLOW_SECONDS]
    for hop, some in _common(slow, fine, found.backups):
        worst = max(mail.seen.seconds for mail in some)
        yield Finding(hop, f"test mail takes {worst:.0f} s.", "See 'roost trace' for where it waits.")
    for door in found.doors:
        if door.seen.ok and door.seen.seconds >= SLOW_SECONDS:
            words = f"a login by {door.protocol.upper()} takes {door.seen.seconds:.0f} s."
            yield Finding(door.store, words, "Look at the load and the disk of the machine.")


def _common(these: list[Mail], among: list[Mail], backups: tuple[str, ...]) -> Iterator[tuple[str, list[Mail]]]:
    """Yield hops that together explain what became of ``these``, out of ``among``: homes, then MX hosts, then ways.

    A home is to blame where it happened by every MX, and there were two; or where there is one only, which does well
    elsewhere. A backup hands on to a primary, so what happened to a primary's mail explains its own.
    """
    explained = {mail.store for mail in these if mail.mx not in backups}
    left = [mail for mail in these if mail.mx not in backups or mail.store not in explained]
    among = [mail for mail in among if mail.mx not in backups or mail.store not in explained or mail in left]
    one = len({mail.mx for mail in among if mail.mx not in backups}) == 1 and len(left) < len(among)
    blamed: set[str] = set()
    for store in sorted({mail.store for mail in left}):
        row = [mail for mail in left if mail.store == store]
        tried = [mail for mail in among if mail.store == store]
        if len(row) == len(tried) and (len(tried) > 1 or one):
            blamed.add(store)
            yield store, row
    left = [mail for mail in left if mail.store not in blamed]
    for mx in sorted({mail.mx for mail in left}):
        column = [mail for mail in left if mail.mx == mx]
        tried = [mail for mail in among if mail.mx == mx and mail.store not in blamed]
        if len(column) == len(tried) > 1:
            left = [mail for mail in left if mail.mx != mx]
            yield mx, column
    for mail in left:
        yield f"{mail.mx}{_WAY}{mail.store}", [mail]


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")


def _sentence(words: str) -> str:
    return words.rstrip(".:, ") + "."
