"""What Dovecot tells of each mailbox: exactly what was done, by whatever way, and nothing of anybody else."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

from roost.domain.usage import Counts, Deed, Size, together
from roost.ports.usage import Reading, Teller

from ..common.waiting import wait_until
from .instance import Instance, account

JOHN, ANN = 7, 8
_BODY = b"Subject: one of several\r\n\r\n" + b"some words in a line of mail\r\n" * 100


def _accounts(dovecot: Instance) -> Teller:
    dovecot.put(account("john@example.test", JOHN), account("ann@example.test", ANN))
    return dovecot.driver.usage(dovecot.host)


class _Reader:
    """Reads on from where it was, and adds up."""

    def __init__(self, teller: Teller) -> None:
        self.teller, self.place = teller, 0
        self.deeds: list[Deed] = []
        self.refused: dict[str, int] = {}

    def read(self) -> Reading:
        found = self.teller.read(self.place)
        self.place = found.place
        self.deeds += found.deeds
        for why, count in found.refused.items():
            self.refused[why] = self.refused.get(why, 0) + count
        return found

    def of(self, number: int) -> Counts:
        self.read()
        return together(deed.counts for deed in self.deeds if deed.number == number)

    def wait_for(self, number: int, **wanted: float) -> Counts:
        def there() -> bool:
            found = self.of(number)
            return all(getattr(found, name) >= value for name, value in wanted.items())

        wait_until(there, f"{wanted} is told")
        return self.of(number)


def _poll_pop3(dovecot: Instance, user: str, *, fetch: int = 0) -> None:
    client = dovecot.pop3()
    client.user(user)
    client.pass_("secret")
    client.stat()
    for number in range(1, fetch + 1):
        client.retr(number)
    client.quit()


def test_sessions_and_deliveries_are_counted_exactly_once_and_to_the_right_mailbox(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    for _ in range(3):
        assert dovecot.deliver("john@john.pop.example.test", _BODY)[0] == 250
    assert dovecot.deliver("ann@ann.pop.example.test", _BODY)[0] == 250
    for _ in range(4):
        _poll_pop3(dovecot, "john@example.test")
    _poll_pop3(dovecot, "john.pop.example.test", fetch=2)
    for _ in range(2):
        client = dovecot.login("john@john.pop.example.test")
        client.select("INBOX")
        client.fetch("1:*", "(FLAGS)")
        client.logout()

    john, ann = reader.wait_for(JOHN, logins=7, deliveries=3), reader.wait_for(ANN, deliveries=1)
    time.sleep(0.5)

    john, ann = reader.of(JOHN), reader.of(ANN)
    assert (john.logins, john.deliveries) == (7, 3)
    assert (ann.logins, ann.deliveries) == (0, 1)
    assert 3 * len(_BODY) <= john.bytes_in <= 3 * (len(_BODY) + 800) + (2000 if dovecot.is_24 else 0)
    assert 0 < john.connected < 60
    assert not reader.refused
    assert {deed.number for deed in reader.deeds} == {JOHN, ANN}


def test_bytes_are_those_that_were_carried(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    client = dovecot.login("john@example.test")
    client.select("INBOX")
    client.append("INBOX", None, None, _BODY * 20)  # type: ignore[arg-type]
    for _ in range(3):
        client.fetch("1", "(BODY.PEEK[])")
    client.logout()
    size = len(_BODY * 20)

    john = reader.wait_for(JOHN, logins=1)

    assert size <= john.bytes_in <= size + 1000
    assert 3 * size <= john.bytes_out <= 3 * size + 5000
    if dovecot.is_24:
        assert dovecot.deliver("ann@ann.pop.example.test", _BODY * 20)[0] == 250
        _poll_pop3(dovecot, "ann@example.test", fetch=1)
        ann = reader.wait_for(ANN, logins=1, deliveries=1)
        assert size <= ann.bytes_out <= size + 2000


def test_work_takes_processor_time(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    client = dovecot.login("john@example.test")
    for number in range(60):
        client.create(f"folder{number}")
        client.append(f"folder{number}", None, None, _BODY * 20)  # type: ignore[arg-type]
    client.logout()

    john = reader.wait_for(JOHN, logins=1)

    assert 0.01 <= john.cpu < 60


def test_what_others_do_is_nobodys_use(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    dovecot.refused("john@example.test", "wrong")
    dovecot.host.run(["doveadm", "-c", dovecot.layout.conf, "mailbox", "list", "-u", "john@example.test"])
    assert dovecot.deliver("nobody@nobody.pop.example.test")[0] == 550
    _poll_pop3(dovecot, "ann@example.test")

    reader.wait_for(ANN, logins=1)

    assert reader.of(JOHN) == Counts()
    assert not reader.refused


def test_counting_goes_on_where_it_was_and_after_a_restart_of_dovecot(dovecot: Instance) -> None:
    teller = _accounts(dovecot)
    first = _Reader(teller)
    _poll_pop3(dovecot, "john@example.test")
    first.wait_for(JOHN, logins=1)

    second = _Reader(teller)
    second.place = first.place
    dovecot.services.restart("dovecot.service")
    dovecot.wait_alive()
    _poll_pop3(dovecot, "john@example.test")

    second.wait_for(JOHN, logins=1)
    assert second.of(JOHN).logins == 1


def test_what_was_not_read_for_long_is_no_peak(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    _poll_pop3(dovecot, "john@example.test")
    time.sleep(1)
    dovecot.clock.ahead = datetime.timedelta(hours=10)

    reader.wait_for(JOHN, logins=1)

    (deed,) = reader.deeds
    assert 36_000 <= deed.seconds < 36_100


def test_what_was_read_is_cut_off_and_nothing_is_counted_twice(dovecot: Instance) -> None:
    reader = _Reader(_accounts(dovecot))
    _poll_pop3(dovecot, "john@example.test")
    reader.wait_for(JOHN, logins=1)
    path = Path(dovecot.layout.usage)
    with path.open("ab") as file:
        file.write(b"no event\n" * 200_000)
    while reader.read().more:
        pass
    with path.open("ab") as file:
        file.write(b"not read yet\n")
    reader.place = reader.teller.forget(reader.place)
    assert (reader.place, path.read_bytes()) == (0, b"not read yet\n")
    _poll_pop3(dovecot, "john@example.test")

    reader.wait_for(JOHN, logins=2)
    assert reader.refused == {"strange": 200_001}


def test_the_size_is_what_the_owner_sees_and_that_of_a_stranger_is_not_told(dovecot: Instance) -> None:
    teller = _accounts(dovecot)
    for _ in range(3):
        dovecot.deliver("john@john.pop.example.test", _BODY)
    found = teller.size(JOHN)
    assert found is not None
    assert found.messages == 3
    assert 3 * len(_BODY) <= found.bytes <= 3 * (len(_BODY) + 800)
    assert teller.size(ANN) == Size(0, 0)
    assert teller.size(99) is None
