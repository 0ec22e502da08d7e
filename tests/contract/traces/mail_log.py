"""Log lines of an invented cluster: two MX hosts, a backup MX, two homes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 25, 23, 59, 50, tzinfo=UTC)
"""Ten seconds before midnight, so that every test has two days."""


class MailLog:
    """Writes lines into a file for each node. Each line is a second later than the one before, unless it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.now = START
        self.lines: list[tuple[str, str]] = []
        """Node and line, in the order of time."""

    def say(self, node: str, program: str, text: str, after: float = 1.0) -> None:
        """Write a line."""
        self.now += timedelta(seconds=after)
        name = f"{node}.cluster.test"
        line = f"{self.now.isoformat(timespec='microseconds')} {name} {program}[4711]: {text}\n"
        self.lines.append((name, line))
        with (self.folder / f"{name}.log").open("a") as file:
            file.write(line)

    def taken(
        self, node: str, queue_id: str, sender: str = "a@outside.test", client: str = "x.test[192.0.2.9]"
    ) -> None:
        """An MX takes a message."""
        self.say(node, "postfix/smtpd", f"{queue_id}: client={client}")
        self.say(node, "postfix/cleanup", f"{queue_id}: message-id=<{queue_id}@outside.test>")
        self.say(node, "postfix/qmgr", f"{queue_id}: from=<{sender}>, size=500, nrcpt=1 (queue active)")

    def put_off(self, node: str, queue_id: str, to: str = "john") -> None:
        """The home does not answer."""
        self._attempt(node, queue_id, to, "none", "deferred (connect to ms1.cluster.test[10.0.0.1]:24: refused)")

    def delivered(self, node: str, queue_id: str, to: str = "john", session: str = "", folder: str = "INBOX") -> None:
        """The home takes it, and the MX has done with it."""
        session = session or f"session-{queue_id}-{to}"
        said = f"lmtp({to}@example.test)<7><{session}>: sieve: msgid=<x>: stored mail into mailbox '{folder}'"
        self.say("ms1", "dovecot", said, 0.001)
        words = f"sent (250 2.0.0 <{to}@{to}.pop.example.test> {session} Saved)"
        self._attempt(node, queue_id, to, "ms1.cluster.test[10.0.0.1]:24", words)
        self.say(node, "postfix/qmgr", f"{queue_id}: removed")

    def _attempt(self, node: str, queue_id: str, to: str, relay: str, words: str) -> None:
        text = (
            f"{queue_id}: to=<{to}@{to}.pop.example.test>, orig_to=<{to}@example.test>, relay={relay}, delay=1, "
            f"delays=1/0/0/0, dsn=0.0.0, status={words}"
        )
        self.say(node, "postfix/lmtp", text)

    def handed_on(self, queue_id: str, to_id: str, to: str = "john") -> None:
        """The backup MX hands a message to mx1."""
        self.taken("mx1", to_id, client="mx-backup.cluster.test[10.0.0.9]")
        text = (
            f"{queue_id}: to=<{to}@example.test>, relay=mx1.cluster.test[10.0.0.2]:25, delay=1, delays=1/0/0/0, "
            f"dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {to_id})"
        )
        self.say("mx-backup", "postfix/smtp", text)
        self.say("mx-backup", "postfix/qmgr", f"{queue_id}: removed")

    def refused(self, node: str, to: str = "nobody", sender: str = "a@outside.test") -> None:
        """An MX does not know a recipient."""
        text = (
            f"NOQUEUE: reject: RCPT from x.test[192.0.2.9]: 550 5.1.1 <{to}@example.test>: Recipient address "
            f"rejected: User unknown; from=<{sender}> to=<{to}@example.test> proto=ESMTP helo=<x.test>"
        )
        self.say(node, "postfix/smtpd", text)

    def login(self, user: str = "john@example.test", ok: bool = True, protocol: str = "imap") -> None:
        """Somebody logs in, or tries to."""
        said = "Logged in" if ok else "Login aborted: Logged out (auth failed, 1 attempts in 2 secs) (auth_failed)"
        text = (
            f"{protocol}-login: {said}: user=<{user}>, method=PLAIN, rip=192.0.2.77, lip=10.0.0.1, TLS, session=<y>"
        )
        self.say("ms1", "dovecot", text)

    def everything(self) -> None:
        """All of that, mixed."""
        self.taken("mx-backup", "B1111")
        self.refused("mx1")
        self.login()
        self.taken("mx2", "C1111")
        self.put_off("mx2", "C1111")
        self.handed_on("B1111", "A1111")
        self.put_off("mx2", "C1111")
        self.delivered("mx1", "A1111")
        self.login(ok=False)
        self.delivered("mx2", "C1111", folder="Lists/Postfix")
        self.taken("mx1", "A2222")
