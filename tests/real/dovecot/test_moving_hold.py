"""A hold: nobody is refused and nobody gets in; who was there is gone; it ends by hand-over, lift or deadline."""

from __future__ import annotations

import imaplib
import threading
import time
from collections.abc import Iterator

import pytest

from roost.drivers.dovecot.occupants import occupants
from roost.ports.mailstore import Stand

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of
from ..common.waiting import wait_until
from .instance import Instance
from .moving import JOAN, JOHN, MOVE, MS2, Pair, pair, path_of
from .sieve import Sieve

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
    if client.select()[1] == [b"0"]:
        return []
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


def test_a_login_during_the_hold_is_served_here_after_a_lift(both: Pair) -> None:
    write(both.source, "before")
    both.copy()
    both.hold()
    waiting = Login(both.source)
    wait_until(lambda: both.room.came == ["imap"], "the login waits")
    both.stores[0].lift(MOVE)
    both.room.lead(both.source)
    assert waiting.result() == [b"before"]
    assert both.stores[0].standings() == []
    write(both.source, "after")
    assert Login(both.source).result() == [b"before", b"after"]
    # A move that was lifted may be tried again.
    both.hold()
    both.hand_over()
    assert Login(both.source).result() == [b"before", b"after"]


def test_without_an_agent_the_mailbox_opens_by_itself(both: Pair) -> None:
    write(both.source, "before")
    both.hold(1.0)
    both.source.expected += ["Permission denied"]
    source = both.stores[0]
    (held,) = source.standings()
    assert (held.stand, held.address, held.number, held.peer) == (Stand.HELD, JOHN, 1, MS2)
    time.sleep(1.1)
    assert not source.give_away(MOVE, "too late")
    # Nothing has been put right, and all the same he works.
    assert Login(both.source).result() == [b"before"]
    write(both.source, "meanwhile")
    assert both.source.deliver(TARGET, b"Subject: delivered\r\n\r\nx\r\n")[0] == 250
    idle = both.source.login(JOHN)
    both.source.driver.tick(both.source.settings(), both.source.host)
    assert source.standings() == []
    wait_until(lambda: ended(idle), "he has to come again, to the other place")
    assert Login(both.source).result() == [b"before", b"meanwhile", b"delivered"]
    both.copy()
    both.assert_alike()


def test_an_agent_that_begins_anew_opens_what_was_held(both: Pair) -> None:
    write(both.source, "before")
    both.hold(60.0)
    both.open()
    assert both.stores[0].standings() == []
    assert Login(both.source).result() == [b"before"]


def test_a_delivery_during_the_hold_is_in_one_mailbox(both: Pair) -> None:
    both.copy()
    both.hold()
    answers: list[tuple[int, str]] = []
    deliver = threading.Thread(target=lambda: answers.append(both.source.deliver(TARGET)), daemon=True)
    deliver.start()
    wait_until(lambda: both.room.came == ["lmtp"], "the delivery waits")
    assert not answers
    both.hand_over()
    deliver.join(30)
    assert answers
    assert answers[0][0] == 250
    assert len(Login(both.source).result()) == 1
    assert both.source.deliver(TARGET)[0] == 250
    both.settle()
    assert both.source.deliver(TARGET)[0] == 250
    assert len(Login(both.target).result()) == 3


def test_a_recipient_that_was_accepted_before_the_hold_is_put_off(both: Pair) -> None:
    both.source.expected += ["Permission denied", "sieve: Failed to access", "aborted due to temporary failure"]
    both.copy()
    with both.source.lmtp() as client:
        client.mail("a@outside.test")
        assert client.rcpt(TARGET)[0] == 250
        both.hold()
        # It meets the fence.
        assert client.data(b"Subject: x\r\n\r\nx\r\n")[0] == 451
    both.hand_over()
    assert Login(both.source).result() == []


def test_who_was_there_is_gone_and_others_stay(both: Pair) -> None:
    write(both.source, "before")
    both.copy()
    both.source.expected += ["killed with signal 9", "Permission denied"]
    idle, joan = both.source.login(JOHN), both.source.login(JOAN)
    idle.select()
    idle.send(b"i IDLE\r\n")
    assert idle.readline().startswith(b"+")
    reading = both.source.login(JOHN)
    reading.append("INBOX", "", imaplib.Time2Internaldate(time.time()), b"Subject: big\r\n\r\n" + b"x" * 30_000_000)
    reading.select()
    # He does not read what he is sent, so the session hangs in the middle of a message.
    reading.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
    time.sleep(0.3)
    begin = time.monotonic()
    both.hold()
    took = time.monotonic() - begin
    assert took < 2.5
    there = occupants(both.source.layout, path_of(both.source).with_name("john.1.moving"))
    assert not [occupant for occupant in there if occupant.opened]
    wait_until(lambda: not idle.readline(), "the one who waits for mail is told to go")
    assert joan.noop()[0] == "OK"
    assert Login(both.source, JOAN).result() == []
    both.hand_over()
    assert len(Login(both.source).result()) == 2
    joan.logout()
    idle.shutdown()
    reading.shutdown()


def use_pop3_and_sieve(both: Pair) -> None:
    """Come to the source with the password that it knows, and find oneself at the target."""
    pop = both.source.pop3()
    pop.user(JOHN)
    pop.pass_("secret")
    assert pop.stat()[0] == 1
    pop.quit()
    with Sieve(both.source) as sieve:
        sieve.put("mine", "keep;")
    assert (path_of(both.target) / "sieve/mine.sieve").exists()


def test_pop3_and_sieve_are_led_on_too(both: Pair) -> None:
    write(both.source, "before")
    both.copy()
    both.hold()
    both.hand_over()
    use_pop3_and_sieve(both)
    # Without a ticket, by the password that goes through.
    both.settle()
    use_pop3_and_sieve(both)


def test_a_wrong_password_is_refused_on_both_sides(both: Pair) -> None:
    both.copy()
    both.hold()
    both.hand_over()
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, "wrong")
    both.settle()
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, "wrong")


def test_nobody_comes_to_a_copy_before_he_is_let_in(both: Pair) -> None:
    both.target.expected += ["lookup failed", "Failed to lookup user"]
    write(both.source, "before")
    both.copy()
    assert "being moved" in both.target.refused(JOHN)
    assert both.target.deliver(TARGET)[0] == 451
    both.hold()
    both.hand_over()
    # The source's connections only, until everyone is let in.
    assert Login(both.source).result() == [b"before"]
    assert both.target.refused(JOHN)
    assert both.target.deliver(TARGET)[0] == 451
    both.stores[1].open(MOVE)
    assert Login(both.target).result() == [b"before"]


def ended(client: imaplib.IMAP4) -> bool:
    try:
        client.noop()
    except (imaplib.IMAP4.abort, OSError):
        client.shutdown()
        return True
    return False
