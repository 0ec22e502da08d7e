"""What the filter marked goes to Junk; what users move into it or out of it is put where the agent fetches it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..common.waiting import wait_until
from .instance import Instance, account

MARKED = b"X-Spam: Yes\r\nSubject: offer\r\n\r\nBuy.\r\n"
GOOD = b"Subject: hello\r\n\r\nHello.\r\n"


def lessons(dovecot: Instance) -> list[Path]:
    return sorted(Path(dovecot.layout.lessons, "new").iterdir())


def count(dovecot: Instance, folder: str) -> int:
    client = dovecot.login("john@example.test")
    try:
        kind, answer = client.select(folder, readonly=True)
        assert kind == "OK"
        return int(answer[0] or b"0")
    finally:
        client.logout()


def move(dovecot: Instance, source: str, target: str, numbers: str = "1") -> None:
    client = dovecot.login("john@example.test")
    try:
        client.select(source)
        kind, words = client._simple_command("MOVE", numbers, target)  # type: ignore[attr-defined]
        assert kind == "OK", words
    finally:
        client.logout()


def test_what_is_marked_goes_to_junk_and_nothing_else_does(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    assert dovecot.deliver("john@john.pop.example.test", MARKED)[0] == 250
    assert dovecot.deliver("john@john.pop.example.test", GOOD)[0] == 250
    assert (count(dovecot, "Junk"), count(dovecot, "INBOX")) == (1, 1)


def test_what_users_move_is_learned(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    dovecot.deliver("john@john.pop.example.test", GOOD)
    assert lessons(dovecot) == []

    move(dovecot, "INBOX", "Junk")
    wait_until(lambda: len(lessons(dovecot)) == 1, "one lesson")
    (first,) = lessons(dovecot)
    assert first.suffix == ".spam"
    assert b"Subject: hello" in first.read_bytes()

    move(dovecot, "Junk", "INBOX")
    wait_until(lambda: len(lessons(dovecot)) == 2, "two lessons")
    assert [path.suffix for path in lessons(dovecot)] == [".spam", ".ham"]

    move(dovecot, "INBOX", "Trash")
    dovecot.deliver("john@john.pop.example.test", MARKED)
    move(dovecot, "Junk", "Trash")
    assert len(lessons(dovecot)) == 2, "what is thrown away says nothing"


def run(dovecot: Instance, argv: Sequence[str], message: str) -> int:
    program = f"{dovecot.layout.programs}/roost-learn"
    return dovecot.host.run([program, *argv], stdin=message, check=False).code


def test_a_user_teaches_so_much_and_no_more(dovecot: Instance) -> None:
    for _ in range(105):
        assert run(dovecot, ["spam", "john@example.test"], "Subject: x\n\nx\n") == 0
    assert len(lessons(dovecot)) == 100
    assert run(dovecot, ["ham", "mary@example.test"], "Subject: x\n\nx\n") == 0
    assert run(dovecot, ["ham", "mary@example.test"], "x" * 1_000_001) == 0
    assert run(dovecot, ["other", "mary@example.test"], "Subject: x\n\nx\n") == 0
    assert len(lessons(dovecot)) == 101


def test_without_a_filter_a_mark_means_nothing(dovecot: Instance) -> None:
    dovecot.set_policy(filter="off")
    dovecot.put(account("john@example.test"))
    dovecot.deliver("john@john.pop.example.test", MARKED)
    move(dovecot, "INBOX", "Junk")
    assert lessons(dovecot) == []
