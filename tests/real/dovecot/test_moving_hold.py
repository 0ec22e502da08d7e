"""A hold: nobody is refused and nobody gets in; who was there is gone; it ends by hand-over, lift or deadline."""

from __future__ import annotations

import imaplib
import threading
import time
from collections.abc import Iterator

import pytest

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of
from ..common.waiting import wait_until
from .instance import Instance
from .moving import JOHN, Pair, pair

TARGET = "john@john.pop.example.test"
WAYS = [(source, target) for source in ROOTS for target in ROOTS]


@pytest.fixture(params=WAYS, ids=lambda way: f"{name_of(way[0])}-{name_of(way[1])}")
def both(request: pytest.FixtureRequest, ca: TestCa) -> Iterator[Pair]:
    """A move that copies, in every way between the machines."""
    with pair(*request.param, ca) as made:
        made.begin()
        yield made


class Login(threading.Thread):
    """A login that may take its time; ``marks`` are the subjects that it finds."""

    def __init__(self, instance: Instance, user: str = JOHN) -> None:
        super().__init__(daemon=True)
        self._instance, self._user = instance, user
        self.subjects: list[bytes] | None = None
        self.failed: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            client = self._instance.login(self._user)
            self.subjects = subjects(client)
            client.logout()
        except (OSError, imaplib.IMAP4.error) as error:
            self.failed = error

    def result(self) -> list[bytes]:
        self.join(30)
        assert self.failed is None, self.failed
        assert self.subjects is not None, "the login has not ended"
        return self.subjects


def subjects(client: imaplib.IMAP4) -> list[bytes]:
    client.select()
    found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return [part[1].strip().removeprefix(b"Subject: ") for part in found if isinstance(part, tuple)]


def write(instance: Instance, subject: str, folder: str = "INBOX") -> None:
    client = instance.login(JOHN)
    client.append(
        folder, r"(\Seen)", imaplib.Time2Internaldate(time.time()), f"Subject: {subject}\r\n\r\nx\r\n".encode()
    )
    client.logout()


def test_a_login_during_the_hold_is_served_by_the_target(both: Pair) -> None:
    write(both.source, "before")
    both.copy()
    both.assert_alike()
    both.hold()
    waiting = Login(both.source)
    wait_until(lambda: both.room.came == ["imap"], "the login waits")
    time.sleep(0.3)
    assert waiting.is_alive()
    both.hand_over()
    assert waiting.result() == [b"before"]
    # Who comes later is passed on, before and after the controller knows.
    assert Login(both.source).result() == [b"before"]
    write(both.source, "after")
    both.settle()
    assert Login(both.source).result() == Login(both.target).result() == [b"before", b"after"]
