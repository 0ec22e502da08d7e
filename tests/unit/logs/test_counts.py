"""Lines counted: mail by MX, home and outcome, refusals, verdicts, logins; no line twice, no stranger's word."""

from __future__ import annotations

from roost.domain.figures import METRICS, Figure, Spread
from roost.logs.book import Book
from roost.logs.counts import Counts
from roost.logs.parser import Parser

MX, HOME = "mx1.cluster.test", "ms1.cluster.test"
_SENT = "status=sent (250 2.0.0 <john@john.pop.example.test> zd4SJs4jCGsUWgAAg+zDdQ Saved)"
_AWAY = f"status=deferred (connect to {HOME}[198.18.0.31]:24: Connection refused)"
_VERDICT = (
    "<c2a5e1>; task; rspamd_task_write_log: roost verdict=F scores=1.20/15.00 queue={} ip=192.0.2.7 "
    "action=<{}> symbols=[A(0.10)] from=<a@b.test> rcpts=<c@d.test> id=<x>"
)


class Log:
    """Lines with times that go on, and what was counted of them."""

    def __init__(self) -> None:
        self.book = Book()
        self.book.counts.homes = frozenset({HOME})
        self.parser = Parser(self.book)
        self.second = 0
        self.lines: list[str] = []

    def say(self, program: str, text: str, node: str = MX) -> None:
        self.second += 1
        stamp = f"2026-11-25T12:00:{self.second:02d}.000000+00:00"
        self.lines.append(f"{stamp} {node} {program}[7]: {text}")
        self.parser.read(self.lines[-1:])

    def attempt(self, queue_id: str, relay: str, said: str, program: str = "postfix/lmtp") -> None:
        to = "to=<john@john.pop.example.test>, orig_to=<john@example.test>"
        self.say(program, f"{queue_id}: {to}, relay={relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, {said}")

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        told = self.book.counts.told()
        return {one.labels: one.value for one in told if isinstance(one, Figure) and one.name == name}


def test_attempts_have_mx_home_and_outcome() -> None:
    log = Log()
    log.say("postfix/smtpd", "Q1: client=localhost[127.0.0.1]")
    log.attempt("Q1", f"{HOME}[198.18.0.31]:24", _SENT)
    log.attempt("Q2", "none", _AWAY)
    log.attempt("Q3", "mx.stranger-4711.test[192.0.2.7]:25", "status=sent (250 ok)", "postfix/smtp")
    log.attempt("Q4", "none", "status=deferred (connect to mx.stranger.test[192.0.2.7]:25: Connection refused)")
    log.attempt("Q5", "none", "status=bounced (no such user)", "postfix/error")
    assert log.counted("roost_mail_attempts_total") == {
        (MX, HOME, "delivered"): 1,
        (MX, HOME, "waiting"): 1,
        (MX, "outside", "handed-on"): 1,
        (MX, "outside", "waiting"): 1,
        (MX, "outside", "bounced"): 1,
    }
    (spread,) = [one for one in log.book.counts.told() if isinstance(one, Spread)]
    assert (spread.labels, spread.counts[0], spread.total) == ((HOME,), 1, 1.0), "one second after it came"


def test_a_line_that_stands_there_twice_counts_once() -> None:
    """As after a restart of the sender, which goes back some hundred lines."""
    log = Log()
    log.attempt("Q1", f"{HOME}[198.18.0.31]:24", _SENT)
    log.say(
        "dovecot", "imap-login: Login: user=<john@example.test>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1", HOME
    )
    log.say("rspamd", _VERDICT.format("Q1", "add header"))
    log.say("postfix/smtpd", "NOQUEUE: reject: RCPT from a[192.0.2.7]: 550 5.1.1 <b@c.test>: no; from=<> proto=ESMTP")
    log.parser.read(log.lines)
    names = ("attempts", "judged", "refused")
    assert [sum(log.counted(f"roost_mail_{name}_total").values()) for name in names] == [1, 1, 1]
    assert sum(log.counted("roost_logins_total").values()) == 1


def test_refusals() -> None:
    log = Log()
    end = "from=<a@b.test> to=<c@d.test> proto=ESMTP helo=<e>"
    log.say("postfix/smtpd", f"NOQUEUE: reject: RCPT from a[192.0.2.7]: 550 5.1.1 <c@d.test>: no such user; {end}")
    log.say("postfix/smtpd", f"NOQUEUE: reject: RCPT from a[192.0.2.7]: 450 4.2.1 <c@d.test>: later; {end}")
    log.say("postfix/smtpd", "Q1: client=localhost[127.0.0.1]")
    rejected = _VERDICT.format("Q1", "reject").replace("<c@d.test> id", "<c@d.test,e@d.test> id")
    log.say("rspamd", rejected)
    log.say("postfix/cleanup", f"Q1: milter-reject: END-OF-MESSAGE from a[192.0.2.7]: 5.7.1 spam; {end}")
    assert log.counted("roost_mail_refused_total") == {
        (MX, "envelope", "permanent"): 1,
        (MX, "envelope", "temporary"): 1,
        (MX, "message", "permanent"): 1,
    }, "a message for two is refused once"
    assert log.counted("roost_mail_judged_total") == {(MX, "reject"): 1}


def test_verdicts_are_those_that_we_know() -> None:
    log = Log()
    for number, action in enumerate(("no action", "no action", "greylist", "something new")):
        log.say("rspamd", _VERDICT.format(f"Q{number}", action))
    assert log.counted("roost_mail_judged_total") == {(MX, "no action"): 2, (MX, "greylist"): 1, (MX, "other"): 1}


def test_logins_name_no_user() -> None:
    log = Log()
    for name in ("john", "mary", "john"):
        log.say("dovecot", f"pop3-login: Login: user=<{name}@example.test>, method=PLAIN, rip=192.0.2.7, lip=1", HOME)
    refused = (
        "Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<x>, method=PLAIN, rip=::1, x"
    )
    log.say("dovecot", f"imap-login: {refused}", HOME)
    led = "proxy(john@example.test,ms2.cluster.test:993): Started proxying to ms2.cluster.test (0.1 secs): "
    log.say("dovecot", f"imap-login: {led}user=<john@example.test>, method=PLAIN, rip=::1, lip=::1", HOME)
    assert log.counted("roost_logins_total") == {
        (HOME, "pop3", "accepted"): 3,
        (HOME, "imap", "refused"): 1,
        (HOME, "imap", "led-on"): 1,
    }


def test_lines_and_their_delay() -> None:
    log = Log()
    now = [100.0]
    counts = log.book.counts = Counts(lambda: now[0])
    counts.read(10, 2, MX, 1_000_000_000, 1_030_500_000)
    counts.read(5, 0, "", 0, 0)
    assert log.counted("roost_log_lines_total") == {(): 15}
    assert log.counted("roost_log_strange_lines_total") == {(): 2}
    assert log.counted("roost_log_delay_seconds") == {(MX,): 30.5}
    assert log.counted("roost_log_last_line_timestamp_seconds") == {(MX,): 1000}
    assert all(one.name in METRICS for one in counts.told())
    now[0] += 400
    assert log.counted("roost_log_delay_seconds") == {}, "a node that is gone is not late for ever"
    assert log.counted("roost_log_last_line_timestamp_seconds") == {(MX,): 1000}
