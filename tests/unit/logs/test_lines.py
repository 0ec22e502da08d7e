"""Lines to rows, without a file: lines of real daemons of both releases of Debian, and lines that lie."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from roost.domain.trace import Fate
from roost.logs.book import Book, Message, Recipient
from roost.logs.parser import Parser

STAMP = "2026-11-25T12:00:00.{:06d}+00:00"
HOST = "localhost[127.0.0.1]"


class Reading:
    """A book, and the lines that were read into it."""

    def __init__(self) -> None:
        self.book = Book()
        self.parser = Parser(self.book)
        self._number = 0

    def __call__(self, program: str, *texts: str, node: str = "mx1.cluster.test") -> Reading:
        for text in texts:
            self._number += 1
            self.parser.read([f"{STAMP.format(self._number)} {node} {program}[4711]: {text}"])
        return self

    @property
    def messages(self) -> list[Message]:
        return [message for node in self.book.messages.values() for message in node.values()]

    @property
    def message(self) -> Message:
        (message,) = self.messages
        return message

    @property
    def recipient(self) -> Recipient:
        (recipient,) = self.message.recipients.values()
        return recipient

    @property
    def refusal(self) -> dict[str, Any]:
        ((_, _, fields),) = self.book.refusals
        return fields

    @property
    def login(self) -> tuple[Any, ...]:
        """User, address, ok, reason."""
        ((_, row),) = self.book.logins
        return row[0], *row[5:]


@pytest.fixture
def read() -> Reading:
    return Reading()


def taken(read: Reading, queue_id: str = "4jZwb24JqszJghP", sender: str = "a@outside.test") -> Reading:
    """Read how an MX takes a message."""
    read("postfix/smtpd", f"connect from {HOST}", f"{queue_id}: client={HOST}")
    read("postfix/cleanup", f"{queue_id}: message-id=<plain@outside.test>")
    return read("postfix/qmgr", f"{queue_id}: from=<{sender}>, size=205, nrcpt=1 (queue active)")


def delivery(to: str = "john@john.pop.example.test", orig: str = "john@example.test", said: str = "") -> str:
    """Return Postfix's words for an attempt to deliver."""
    return (
        f"4jZwb24JqszJghP: to=<{to}>, orig_to=<{orig}>, relay=ms1.cluster.test[127.104.1.11]:24, delay=0.12, "
        f"delays=0.02/0.02/0.03/0.06, dsn=2.0.0, {said or SENT}"
    )


SENT = "status=sent (250 2.0.0 <john@john.pop.example.test> zd4SJs4jCGsUWgAAg+zDdQ Saved)"
SAVED = "lmtp(john@example.test)<23060><zd4SJs4jCGsUWgAAg+zDdQ>: msgid=<plain@outside.test>: saved mail to INBOX"


class TestPostfix:
    def test_a_message_that_was_delivered(self, read: Reading) -> None:
        taken(read)("postfix/lmtp", delivery())("postfix/qmgr", "4jZwb24JqszJghP: removed")

        message, recipient = read.message, read.recipient
        assert (message.client, message.address) == ("localhost", "127.0.0.1")
        assert (message.sender, message.message_id, message.size) == ("a@outside.test", "plain@outside.test", 205)
        assert message.gone
        assert (recipient.recipient, recipient.personal) == ("john@example.test", "john@john.pop.example.test")
        assert (recipient.fate, recipient.home, recipient.attempts) == (Fate.DELIVERED, "ms1.cluster.test", 1)

    @pytest.mark.parametrize("program", ["postfix/lmtp", "postfix-in/lmtp", "postfix/fast/lmtp"])
    def test_names_of_instances_and_services(self, read: Reading, program: str) -> None:
        assert taken(read)(program, delivery()).recipient.fate == Fate.DELIVERED

    @pytest.mark.parametrize("program", ["lmtp", "evil/lmtp", "postfixx/lmtp", "postfix/", "/lmtp"])
    def test_other_programs_of_the_same_name_say_nothing(self, read: Reading, program: str) -> None:
        assert not taken(read)(program, delivery()).message.recipients

    def test_later_versions_may_say_more_between(self, read: Reading) -> None:
        line = delivery().replace("delay=0.12", "conn_use=7, delay=0.12").replace("dsn=", "tls=verified, dsn=")
        assert taken(read)("postfix/lmtp", line).recipient.fate == Fate.DELIVERED

    def test_what_waits_is_counted_and_says_why(self, read: Reading) -> None:
        words = "connect to ms1.cluster.test[127.104.1.11]:24: Connection refused"
        taken(read)("postfix/lmtp", *2 * [delivery(said=f"status=deferred ({words})")])
        assert (read.recipient.fate, read.recipient.attempts, read.recipient.reply) == (Fate.WAITING, 2, words)
        read("postfix/qmgr", "4jZwb24JqszJghP: from=<a@outside.test>, status=expired, returned to sender")
        assert read.recipient.fate == Fate.BOUNCED

    def test_what_another_mx_took_names_its_queue_id(self, read: Reading) -> None:
        said = delivery(said="status=sent (250 2.0.0 Ok: queued as 4jZw9g1KF1zJ9MW)")
        recipient = taken(read)("postfix/smtp", said).recipient
        assert (recipient.fate, recipient.next_node) == (Fate.HANDED_ON, "ms1.cluster.test")
        assert recipient.next_id == "4jZw9g1KF1zJ9MW"

    def test_a_refusal(self, read: Reading) -> None:
        read(
            "postfix/smtpd",
            f"NOQUEUE: reject: RCPT from {HOST}: 550 5.1.1 <a b@example.test>: Recipient address rejected: User "
            'unknown; from=<a@outside.test> to=<"a b"@example.test> proto=ESMTP helo=<client.outside.test>',
        )
        assert read.refusal["recipient"] == '"a b"@example.test'
        assert read.refusal["sender"] == "a@outside.test"
        assert read.refusal["reply"] == "550 5.1.1 <a b@example.test>: Recipient address rejected: User unknown"
        assert (read.refusal["helo"], read.refusal["address"]) == ("client.outside.test", "127.0.0.1")

    def test_a_refusal_before_a_recipient(self, read: Reading) -> None:
        read(
            "postfix/smtpd",
            f"NOQUEUE: reject: MAIL from {HOST}: 552 5.3.4 Message size exceeds fixed limit; from=<a@outside.test> "
            "proto=ESMTP helo=<client.outside.test>",
        )
        assert (read.refusal["recipient"], read.refusal["sender"]) == ("", "a@outside.test")

    def test_a_refusal_by_postscreen(self, read: Reading) -> None:
        read(
            "postfix/postscreen",
            "NOQUEUE: reject: RCPT from [192.0.2.7]:4711: 550 5.7.1 Service unavailable; client [192.0.2.7] blocked "
            "using list.test; from=<a@b.test>, to=<john@example.test>, proto=ESMTP, helo=<x>",
        )
        assert (read.refusal["recipient"], read.refusal["address"]) == ("john@example.test", "192.0.2.7")

    def test_a_refusal_after_the_end_is_one_for_each_recipient(self, read: Reading) -> None:
        read("postfix/smtpd", f"4jZwb24JqszJghP: client={HOST}")
        read(
            "rspamd",
            "<c2a5e1>; proxy; rspamd_task_write_log: roost verdict=T scores=20.10/15.00 queue=4jZwb24JqszJghP "
            "ip=127.0.0.1 action=<reject> symbols=[GTUBE(0.00)] from=<a@outside.test> "
            "rcpts=<john@example.test,mary@example.test> id=<x>",
        )
        read(
            "postfix/cleanup",
            f"4jZwb24JqszJghP: milter-reject: END-OF-MESSAGE from {HOST}: 5.7.1 Gtube pattern; from=<a@outside.test> "
            "to=<mary@example.test> proto=ESMTP helo=<client.outside.test>",
        )
        assert [(one.recipient, one.fate, one.reply) for one in read.message.recipients.values()] == [
            (f"{name}@example.test", Fate.REFUSED, "5.7.1 Gtube pattern") for name in ("john", "mary")
        ]
        assert read.message.gone
        assert (read.message.verdict, read.message.score) == ("reject", 20.1)


class TestDovecot:
    @pytest.mark.parametrize("home_first", [True, False])
    def test_both_halves_of_a_delivery_find_each_other(self, read: Reading, home_first: bool) -> None:
        taken(read)
        lines = [("postfix/lmtp", delivery(), "mx1.cluster.test"), ("dovecot", SAVED, "ms2.cluster.test")]
        for program, text, node in reversed(lines) if home_first else lines:
            read(program, text, node=node)
        assert (read.recipient.action, read.recipient.folder) == ("stored", "INBOX")
        # Who has it is who says so: a mailbox that moved is elsewhere than the MX thinks.
        assert read.recipient.home == "ms2.cluster.test"
        assert not read.recipient.awaits

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
    def test_the_new_home_of_a_mailbox_that_moved(self, read: Reading, order: tuple[int, ...]) -> None:
        """The old home has passed it on, and said so to the MX under its own session."""
        passed_on = (
            "lmtp(9311): lmtp-server: conn 127.0.0.1:57935 [1]: rcpt john@john.pop.example.test: "
            "<zd4SJs4jCGsUWgAAg+zDdQ>: Sent message to <john@example.test> at john.pop.example.test:24: 250 2.0.0 "
            "<john@example.test> Te3cH+0pCGusJAAAg+zDdQ Saved (1/1 at 12 ms)"
        )
        saved = "lmtp(john@example.test)<9388><Te3cH+0pCGusJAAAg+zDdQ>: msgid=<m@x>: saved mail to INBOX"
        lines = [
            ("postfix/lmtp", delivery(), "mx1.cluster.test"),
            ("dovecot", passed_on, "ms1.cluster.test"),
            ("dovecot", saved, "ms2.cluster.test"),
        ]
        taken(read)
        for place in order:
            program, text, node = lines[place]
            read(program, text, node=node)
        assert (read.recipient.home, read.recipient.folder) == ("ms2.cluster.test", "INBOX")
        assert not read.recipient.awaits

    @pytest.mark.parametrize(
        ("done", "action", "folder"),
        [
            ("msgid=unspecified: saved mail to INBOX", "stored", "INBOX"),
            ("sieve: msgid=<a@b>: stored mail into mailbox 'INBOX'", "stored", "INBOX"),
            ("sieve: msgid=<a@b>: fileinto action: stored mail into mailbox 'Shop/It''s'", "stored", "Shop/It''s"),
            ("sieve: msgid=<a@b>: redirect action: forwarded to <x@y.test>", "redirected to x@y.test", ""),
            (
                (
                    "sieve: msgid=<a@b>: discard action: Marked message to be discarded if not explicitly delivered "
                    "(discard action)"
                ),
                "discarded",
                "",
            ),
        ],
    )
    def test_what_sieve_did(self, read: Reading, done: str, action: str, folder: str) -> None:
        taken(read)("dovecot", f"lmtp(john@example.test)<1><zd4SJs4jCGsUWgAAg+zDdQ>: {done}")(
            "postfix/lmtp", delivery()
        )
        assert (read.recipient.action, read.recipient.folder) == (action, folder)

    def test_several_actions(self, read: Reading) -> None:
        begin = "lmtp(john@example.test)<1><zd4SJs4jCGsUWgAAg+zDdQ>: sieve: msgid=<a@b>: "
        taken(read)("dovecot", f"{begin}forwarded to <x@y.test>", f"{begin}stored mail into mailbox 'INBOX'")
        read("postfix/lmtp", delivery())
        assert (read.recipient.action, read.recipient.folder) == ("redirected to x@y.test, stored", "INBOX")

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (
                (
                    "imap-login: Login: user=<john@example.test>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, "
                    "mpid=2, TLS, session=<ZLQ7zCxhH9d/1qgG>"
                ),
                ("john@example.test", "192.0.2.1", True, ""),
            ),
            (
                (
                    "pop3-login: Logged in: user=<jörg@xn--bcher-kva.example>, method=PLAIN, rip=2001:db8::1, "
                    "lip=2001:db8::2, mpid=3292, TLS, session=<48X71Sxhm61/7Q4e>"
                ),
                ("jörg@xn--bcher-kva.example", "2001:db8::1", True, ""),
            ),
            (
                (
                    "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<Joan@X>, "
                    "method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS: Connection closed, session=<y>"
                ),
                ("joan@x", "192.0.2.1", False, "Disconnected: Connection closed (auth failed, 1 attempts in 2 secs)"),
            ),
            (
                (
                    "imap-login: Login aborted: Logged out (auth failed, 1 attempts in 0 secs) (auth_failed): "
                    "user=<joan>, "
                    "rip=192.0.2.1, lip=192.0.2.2, session=<CifU1Cxhip5/AAAB>"
                ),
                (
                    "joan",
                    "192.0.2.1",
                    False,
                    "Login aborted: Logged out (auth failed, 1 attempts in 0 secs) (auth_failed)",
                ),
            ),
        ],
    )
    def test_logins(self, read: Reading, text: str, found: tuple[Any, ...]) -> None:
        assert read("dovecot", text, node="ms1.cluster.test").login == found

    @pytest.mark.parametrize(
        "said",
        [
            (
                "proxy(john@example.test,127.0.166.3:993): Started proxying to <127.0.166.3> (<john.pop.example>) "
                "from 127.0.166.2 (0.124 secs)"
            ),
            "proxy(john@example.test,127.0.166.3:993): Started proxying to remote host from 127.0.166.6 (0.031 secs)",
        ],
    )
    def test_a_login_that_was_led_on(self, read: Reading, said: str) -> None:
        rest = (
            "user=<john@example.test>, method=PLAIN, rip=192.0.2.1, lip=127.0.166.2, TLS, session=<vAo6US1hR7h/5nwC>"
        )
        read("dovecot", f"imap-login: {said}: {rest}")
        assert read.login == ("john@example.test", "192.0.2.1", True, "led on to 127.0.166.3:993")
        ended = "proxy(john@example.test,127.0.166.3:993): Disconnected by server (0s idle, in=248, out=800)"
        read("dovecot", f"imap-login: {ended}: {rest}")
        assert len(read.book.logins) == 1

    @pytest.mark.parametrize(
        "text",
        [
            (
                "imap-login: Disconnected: Aborted login by logging out (no auth attempts in 0 secs): user=<>, "
                "rip=127.0.0.1, lip=127.0.0.1, session=<y>"
            ),
            (
                "imap-login: Login aborted: Connection closed: SSL_accept() failed: error (disconnected "
                "during TLS handshake) (tls_handshake_not_finished): user=<>, rip=127.0.0.1, lip=127.0.0.1, TLS"
            ),
            "imap(john@example.test)<23><y>: Disconnected: Logged out in=12 out=34",
            "lmtp(2304): Disconnect from 127.0.0.1: Connection closed (state=READY)",
        ],
    )
    def test_who_tried_nothing_is_not_told(self, read: Reading, text: str) -> None:
        read("dovecot", text)
        assert not read.book.logins
        assert not read.book.landings


class TestSendmail:
    def test_a_message_that_was_delivered(self, read: Reading) -> None:
        read(
            "sm-mta",
            "5AP3eOxx012345: from=<a@outside.test>, size=205, class=0, nrcpts=1, msgid=<p@outside.test>, "
            "bodytype=8BITMIME, proto=ESMTP, daemon=MTA-v4, relay=client.outside.test [192.0.2.9]",
            "5AP3eOxx012345: to=<john@john.pop.example.test>, ctladdr=<john@example.test> (8/0), delay=00:00:01, "
            "xdelay=00:00:01, mailer=lmtp, pri=30205, relay=ms1.cluster.test. [192.0.2.31], dsn=2.0.0, stat=Sent "
            "(<john@john.pop.example.test> zd4SJs4jCGsUWgAAg+zDdQ Saved)",
        )
        assert (read.message.sender, read.message.message_id) == ("a@outside.test", "p@outside.test")
        assert (read.message.client, read.message.address) == ("client.outside.test", "192.0.2.9")
        assert (read.recipient.recipient, read.recipient.home) == ("john@example.test", "ms1.cluster.test")
        assert (read.recipient.fate, read.recipient.awaits) == (Fate.DELIVERED, "zd4SJs4jCGsUWgAAg+zDdQ")
        assert read.message.gone

    def test_what_waits(self, read: Reading) -> None:
        read(
            "sendmail",
            "5AP3eOxx012345: to=<a@x.test>,<b@x.test>, delay=00:00:01, xdelay=00:00:00, mailer=esmtp, pri=30205, "
            "relay=x.test., dsn=4.0.0, stat=Deferred: Connection refused by x.test.",
        )
        assert [(one.personal, one.fate) for one in read.message.recipients.values()] == [
            ("a@x.test", Fate.WAITING),
            ("b@x.test", Fate.WAITING),
        ]

    def test_refusals(self, read: Reading) -> None:
        read(
            "sm-mta",
            "5AP3eOxx012345: ruleset=check_rcpt, arg1=<x@outside.test>, relay=client.test [192.0.2.9], reject=550 "
            "5.7.1 <x@outside.test>... Relaying denied",
        )
        assert (read.refusal["recipient"], read.refusal["address"]) == ("x@outside.test", "192.0.2.9")


class TestRspamd:
    def test_a_verdict(self, read: Reading) -> None:
        taken(read)(
            "rspamd",
            "<c2a5e1>; task; rspamd_task_write_log: roost verdict=F scores=-1.20/15.00 queue=4jZwb24JqszJghP "
            "ip=2001:db8::1 action=<no action> symbols=[R_SPF_ALLOW(-0.20),MIME_GOOD(-0.10)] from=<> "
            "rcpts=<j@x.test> id=<a@b> id=<c> queue=evil",
        )
        assert (read.message.verdict, read.message.score) == ("no action", -1.2)
        assert read.message.symbols == "R_SPF_ALLOW(-0.20),MIME_GOOD(-0.10)"
        assert read.message.sender == "a@outside.test"

    def test_a_message_without_a_queue_id_is_none(self, read: Reading) -> None:
        read(
            "rspamd",
            "<c2a5e1>; task; rspamd_task_write_log: roost verdict=F scores=0.00/15.00 queue=undef ip= "
            "action=<no action> symbols=[] from=<> rcpts=<> id=<undef>",
        )
        assert not read.messages


FORGED = (
    ">, orig_to=<mary@example.test>, relay=evil.test[9.9.9.9]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (x"
)


class TestLies:
    """Strangers choose texts; they choose no rows."""

    def test_a_recipient_that_looks_like_a_delivery(self, read: Reading) -> None:
        to = f'"john+{FORGED}"@john.pop.example.test'
        taken(read)(
            "postfix/lmtp", delivery(to=to, orig=f'"john+{FORGED}"@example.test', said="status=deferred (no)")
        )
        assert (read.recipient.personal, read.recipient.fate) == (to, Fate.WAITING)
        assert read.recipient.home == "ms1.cluster.test"

    def test_a_sender_that_looks_like_more(self, read: Reading) -> None:
        sender = '">, size=1, nrcpt=1 (queue active)"@x.test'
        assert taken(read, sender=sender).message.sender == sender
        assert read.message.size == 205

    def test_words_of_a_server_outside(self, read: Reading) -> None:
        said = "status=bounced (host x[1.2.3.4] said: 550 no), status=sent (250 2.0.0 Ok: queued as 4jZw9g1KF1zJ9MW)"
        recipient = taken(read)("postfix/smtp", delivery(said=said)).recipient
        assert (recipient.fate, recipient.next_id) == (Fate.BOUNCED, "")

    @pytest.mark.parametrize(
        "sender", ["a@[x> to=<mary@example.test> proto=ESMTP helo=<z]", '"> to=<mary@example.test> proto=X helo=<"@x']
    )
    def test_a_refused_sender_that_looks_like_more(self, read: Reading, sender: str) -> None:
        read(
            "postfix/smtpd",
            f"NOQUEUE: reject: RCPT from {HOST}: 504 5.5.2 <{sender}>: Sender address rejected: need fully-qualified "
            f"address; from=<{sender}> to=<john@example.test> proto=ESMTP helo=<h>",
        )
        assert (read.refusal["sender"], read.refusal["recipient"]) == (sender, "john@example.test")

    def test_a_refusal_that_can_be_read_in_two_ways_gives_no_address(self, read: Reading) -> None:
        evil = "x>: rejected; from=<a@b.test> to=<mary@example.test> proto=ESMTP helo=<z"
        read(
            "postfix/smtpd",
            f"NOQUEUE: reject: RCPT from {HOST}: 504 5.5.2 <{evil}>: Helo command rejected: Invalid name; "
            f"from=<c@d.test> to=<john@example.test> proto=ESMTP helo=<{evil}>",
        )
        assert (read.refusal["sender"], read.refusal["recipient"], read.refusal["helo"]) == ("", "", "")
        assert read.refusal["address"] == "127.0.0.1"

    def test_a_message_id_that_looks_like_a_verdict_or_a_line(self, read: Reading) -> None:
        text = "2026-11-25T12:00:00.000001+00:00 mx1.cluster.test postfix/qmgr[1]: 4jZwb24JqszJghP: removed"
        read("postfix/cleanup", f"4jZwb24JqszJghP: message-id=<#012{text}>")
        assert read.message.message_id == f"#012{text}"
        assert not read.message.gone

    def test_a_sieve_action_in_a_message_id(self, read: Reading) -> None:
        begin = "lmtp(john@example.test)<1><zd4SJs4jCGsUWgAAg+zDdQ>: msgid=<x: stored mail into mailbox 'Evil'>: "
        taken(read)("dovecot", f"{begin}saved mail to INBOX")("postfix/lmtp", delivery())
        assert read.recipient.folder == "INBOX"
        read("dovecot", begin + "save failed to INBOX: Quota exceeded")
        assert read.recipient.folder == "INBOX"

    def test_a_login_name_that_looks_like_an_address(self, read: Reading) -> None:
        user = "x>, method=plain, rip=9.9.9.9, session=<y>: user=<john@example.test"
        read(
            "dovecot",
            f"imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<{user}>, "
            "method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS: Connection closed, session=<y>",
        )
        assert read.login[:3] == (user, "192.0.2.1", False)

    @pytest.mark.parametrize("sign", ['"', "\\", '"\\', "[", "<", ">", ", ", ": ", "a@", "+"])
    def test_64_kilobytes_are_read_in_no_time(self, read: Reading, sign: str) -> None:
        import time

        long = sign * (65536 // len(sign))
        began = time.perf_counter()
        taken(read, sender=long)("postfix/lmtp", delivery(to=long, orig=long, said=f"status=deferred ({long})"))
        read("postfix/cleanup", f"4jZwb24JqszJghP: message-id={long}")
        read(
            "postfix/smtpd",
            f"NOQUEUE: reject: RCPT from {HOST}: 550 {long}; from=<{long}> to=<{long}> proto=X helo=<{long}>",
        )
        read("dovecot", f"imap-login: Login aborted: x (auth failed): user=<{long}>, rip=1.2.3.4, lip=1")
        read("dovecot", f"lmtp(j)<1><s>: sieve: msgid=<{long}>: stored mail into mailbox '{long}'")
        read(
            "rspamd",
            f"<c2a5e1>; task; rspamd_task_write_log: roost verdict=F scores=0.00/15.00 queue=Q ip=1.2.3.4 "
            f"action=<x> symbols=[{long}] from=<{long}> rcpts=<{long}> id=<{long}>",
        )
        read(
            "sendmail", f"Q1: from=<{long}>, size=1, class=0, nrcpts=1, msgid={long}, proto=ESMTP, relay=x [1.2.3.4]"
        )
        read(
            "sendmail", f"Q1: to=<{long}>,<{long}>, delay=00:00:01, mailer=x, pri=1, relay=x, dsn=2.0.0, stat={long}"
        )
        assert time.perf_counter() - began < 1
        for message in read.messages:
            assert len(message.sender) + len(message.message_id) <= 2100

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "2026-11-25T12:00:00+00:00 mx1 postfix/smtpd[1]: 4jZwb24JqszJghP: client=x[1.2.3.4]",
            "2026-11-25T12:00:00.000001+01:00 mx1 postfix/smtpd[1]: 4jZwb24JqszJghP: client=x[1.2.3.4]",
            "2026-99-25T12:00:00.000001+00:00 mx1 postfix/smtpd[1]: 4jZwb24JqszJghP: client=x[1.2.3.4]",
        ],
    )
    def test_a_line_in_another_form_is_counted(self, read: Reading, line: str) -> None:
        read.parser.read([line])
        assert read.parser.strange == 1
        assert not read.messages

    @pytest.mark.parametrize("word", ["NOQUEUE", "warning", "fatal", "x[1.2.3.4]", ""])
    def test_what_is_no_queue_id_begins_nothing(self, read: Reading, word: str) -> None:
        read("postfix/smtpd", f"{word}: client={HOST}")
        assert not read.messages
