"""From what a round saw to the hop that is broken: each cause once, and nothing that only follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from roost.domain.hops import verdict
from roost.domain.probe import Door, Figure, Login, Mail, NamedBox, Round, Seen, Stage, figures

MX, BACKUP, DNS, STORES = ("mx1", "mx2"), "backup", ("ns1", "ns2"), ("ms1", "ms2", "ms3")
OK = Seen(Stage.OK, seconds=0.05)
UNSEEN = Seen(Stage.UNSEEN)
REFUSED = Seen(Stage.CONNECT, "Connection refused")
LOST = Seen(Stage.MISSING, "it is not there after 20 s")
FILTER = Seen(Stage.REFUSED, "451 4.7.1 Service unavailable - try again later")

T = TypeVar("T", Mail, Login, Door)
Change = Callable[[Mail | Login | Door], Seen | None]


def found(change: Change = lambda _: None, *, mx: tuple[str, ...] = (*MX, BACKUP)) -> Round:
    """Return a round in which all is well but for what ``change`` says of a try."""

    def seen(tried: T) -> T:
        return replace(tried, seen=change(tried) or OK)

    return Round(
        number=1,
        began=datetime(2026, 11, 26, tzinfo=UTC),
        seconds=1.0,
        mails=tuple(seen(Mail(host, store, OK)) for host in mx for store in STORES),
        logins=tuple(seen(Login(dns, store, OK)) for dns in DNS for store in STORES),
        doors=tuple(seen(Door(store, protocol, OK)) for store in STORES for protocol in ("imap", "pop3")),
        boxes=tuple(NamedBox(store, f"{store}-x@probe.test", f"{store}-x.pop.probe.test") for store in STORES),
        backups=(BACKUP,),
    )


def mail(seen: Seen, *, mx: str = "", store: str = "") -> Change:
    """Say how mail goes by an MX, to a storage node; '' for every."""

    def change(tried: object) -> Seen | None:
        hit = isinstance(tried, Mail) and mx in ("", tried.mx) and store in ("", tried.store)
        return seen if hit else None

    return change


def login(seen: Seen, *, dns: str, store: str = "") -> Change:
    def change(tried: object) -> Seen | None:
        return seen if isinstance(tried, Login) and tried.dns == dns and store in ("", tried.store) else None

    return change


def home(store: str, seen: Seen, *, protocol: str = "") -> Change:
    """A home lets nobody in: mail to it cannot be looked for, and every login there fails alike."""

    def change(tried: object) -> Seen | None:
        if isinstance(tried, Door):
            return seen if tried.store == store and protocol in ("", tried.protocol) else None
        if protocol == "pop3" or not isinstance(tried, (Mail, Login)) or tried.store != store:
            return None
        return UNSEEN if isinstance(tried, Mail) else seen

    return change


def both(*changes: Change) -> Change:
    def change(tried: Mail | Login | Door) -> Seen | None:
        return next((seen for one in changes if (seen := one(tried))), None)

    return change


CASES: dict[str, tuple[Change, dict[str, str]]] = {
    "all is well": (lambda _: None, {}),
    "a DNS server is dead": (
        login(Seen(Stage.SILENT, "no answer in time"), dns="ns1"),
        {"ns1": "does not answer: no answer in time."},
    ),
    "a DNS server has an old answer for one name": (
        login(Seen(Stage.WRONG, "ms2.pop leads to ms1"), dns="ns2", store="ms2"),
        {"ns2": "for ms2 it gives a wrong answer: ms2.pop leads to ms1."},
    ),
    "an MX is dead": (mail(REFUSED, mx="mx2"), {"mx2": "does not answer by SMTP: Connection refused."}),
    "the filter of an MX is dead": (
        mail(FILTER, mx="mx1"),
        {"mx1": "does not take mail: 451 4.7.1 Service unavailable - try again later."},
    ),
    "an MX lacks a recipient": (
        mail(Seen(Stage.REFUSED, "550 5.1.1 User unknown"), mx="mx1", store="ms3"),
        {"mx1 → ms3": "mx1 does not take mail: 550 5.1.1 User unknown."},
    ),
    "the way from an MX to a home is cut": (
        mail(LOST, mx="mx1", store="ms1"),
        {"mx1 → ms1": "mail that mx1 has taken does not arrive at ms1: it is not there after 20 s."},
    ),
    "the same, and the backup hands to that MX": (
        both(mail(LOST, mx="mx1", store="ms1"), mail(LOST, mx=BACKUP, store="ms1")),
        {"mx1 → ms1": "mail that mx1 has taken does not arrive at ms1: it is not there after 20 s."},
    ),
    "a home takes no deliveries": (
        mail(LOST, store="ms2"),
        {"ms2": "takes no delivery (LMTP) from any MX, though it can be logged in to: it is not there after 20 s."},
    ),
    "an MX keeps what it takes": (
        mail(LOST, mx="mx2"),
        {"mx2": "takes mail and does not deliver it: it is not there after 20 s."},
    ),
    "a backup keeps what it takes": (
        mail(LOST, mx=BACKUP),
        {"backup": "takes mail and does not deliver it: it is not there after 20 s."},
    ),
    "no primary answers, so the backup keeps its mail": (
        both(mail(REFUSED, mx="mx1"), mail(REFUSED, mx="mx2"), mail(LOST, mx=BACKUP)),
        {
            "mx1": "does not answer by SMTP: Connection refused.",
            "mx2": "does not answer by SMTP: Connection refused.",
        },
    ),
    "a home is dead": (home("ms3", REFUSED), {"ms3": "does not answer by IMAP: Connection refused."}),
    "a home's certificate is old": (
        home("ms1", Seen(Stage.CERTIFICATE, "certificate has expired")),
        {"ms1": "has a bad certificate by IMAP: certificate has expired."},
    ),
    "a home refuses the login": (
        home("ms1", Seen(Stage.LOGIN, "[AUTHENTICATIONFAILED] Authentication failed.")),
        {"ms1": "refuses the test mailbox's login by IMAP: [AUTHENTICATIONFAILED] Authentication failed."},
    ),
    "a home does not open the mailbox": (
        home("ms2", Seen(Stage.OPEN, "Internal error")),
        {"ms2": "lets the test mailbox log in by IMAP and does not open it: Internal error."},
    ),
    "POP3 alone is away": (
        home("ms2", REFUSED, protocol="pop3"),
        {"ms2": "does not answer by POP3: Connection refused."},
    ),
    "a login fails though another was fine": (
        login(Seen(Stage.LOGIN, "[UNAVAILABLE]"), dns="ns1", store="ms1"),
        {"ms1": "refuses the test mailbox's login by IMAP: [UNAVAILABLE]."},
    ),
    "mail by one MX is late": (mail(Seen(Stage.OK, seconds=12.4), mx="mx1"), {"mx1": "test mail takes 12 s."}),
    "mail to one home is late": (mail(Seen(Stage.OK, seconds=15.0), store="ms1"), {"ms1": "test mail takes 15 s."}),
    "logins at a home are late": (
        home("ms1", Seen(Stage.OK, seconds=11.0), protocol="pop3"),
        {"ms1": "a login by POP3 takes 11 s."},
    ),
    "two things at once": (
        both(login(Seen(Stage.SILENT, "no answer in time"), dns="ns2"), home("ms1", REFUSED)),
        {"ms1": "does not answer by IMAP: Connection refused.", "ns2": "does not answer: no answer in time."},
    ),
    "the prober has no network": (
        lambda tried: Seen(Stage.SILENT) if isinstance(tried, Login) else REFUSED,
        {"control": "no test reached anything: no MX, no DNS server, no storage node."},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_hop_is_named_once(case: str) -> None:
    change, expected = CASES[case]
    findings = verdict(found(change), "control")
    assert [(one.hop, one.words) for one in findings] == sorted(expected.items())
    assert all(one.remedy.endswith(".") or one.remedy.endswith("?") for one in findings)


def test_the_filter_is_named_in_the_remedy() -> None:
    [finding] = verdict(found(mail(FILTER, mx="mx1")), "control")
    assert "rspamd" in finding.remedy


def test_the_way_is_to_be_traced_by_the_test_mailbox() -> None:
    [finding] = verdict(found(mail(LOST, mx="mx1", store="ms1")), "control")
    assert "roost trace ms1-x@probe.test" in finding.remedy


@pytest.mark.parametrize(
    ("lost", "hops"),
    [
        (mail(LOST, store="ms1"), ["ms1"]),
        (mail(LOST), ["mx1"]),
        (both(mail(LOST, store="ms1"), mail(LOST, store="ms2")), ["ms1", "ms2"]),
    ],
)
def test_with_one_mx_a_home_is_to_blame_where_others_get_theirs(lost: Change, hops: list[str]) -> None:
    assert [one.hop for one in verdict(found(lost, mx=("mx1",)), "control")] == hops


def test_figures_leave_out_of_what_nothing_can_be_said() -> None:
    shown = list(figures(found(home("ms1", REFUSED))))
    assert Figure("mail", "mx1", "ms2", ok=True, seconds=0.05, stage="ok") in shown
    assert Figure("imap", "", "ms1", ok=False, seconds=0.0, stage="connect") in shown
    assert Figure("login", "ns1", "ms2", ok=True, seconds=0.05, stage="ok") in shown
    assert [figure for figure in shown if (figure.kind, figure.store) == ("mail", "ms1")] == []
