"""People log in: every form of the name, over TLS only, and not where they should not."""

from __future__ import annotations

import imaplib
import poplib
import ssl
import time

import pytest

from ..common.waiting import wait_until
from .instance import DOMAINS, Instance, account


def test_verified_tls_at_the_personal_hostname(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    client = dovecot.imap("john.pop.example.test")
    assert client.login("john@example.test", "secret")[0] == "OK"
    assert client.socket().version() in {"TLSv1.2", "TLSv1.3"}
    client.logout()
    pop = dovecot.pop3("john.pop.example.test")
    pop.user("john@example.test")
    assert pop.pass_("secret").startswith(b"+OK")
    pop.quit()
    with pytest.raises(ssl.SSLCertVerificationError):
        dovecot.imap("john.pop.other.test")


def test_starttls_and_nothing_without_tls(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    with imaplib.IMAP4(dovecot.address, dovecot.layout.imap, timeout=20) as client:
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error):
            client.login("john@example.test", "secret")
    with imaplib.IMAP4(dovecot.address, dovecot.layout.imap, timeout=20) as client:
        client.host = "john.pop.example.test"
        client.starttls(dovecot.ca.context())
        assert client.login("john@example.test", "secret")[0] == "OK"
    pop = poplib.POP3(dovecot.address, dovecot.layout.pop3, timeout=20)
    with pytest.raises(poplib.error_proto):
        pop.user("john@example.test")
    pop.close()
    pop = poplib.POP3(dovecot.address, dovecot.layout.pop3, timeout=20)
    pop.host = "john.pop.example.test"
    pop.stls(dovecot.ca.context())
    pop.user("john@example.test")
    assert pop.pass_("secret").startswith(b"+OK")
    pop.quit()


def test_old_tls_is_refused(dovecot: Instance) -> None:
    context = dovecot.ca.context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    dovecot.ca.context = lambda: context  # type: ignore[method-assign]
    try:
        with pytest.raises(ssl.SSLError):
            dovecot.imap()
    finally:
        del dovecot.ca.context


@pytest.mark.parametrize(
    "user",
    [
        "john@example.test",
        "JOHN@Example.Test",
        "john@john.pop.example.test",
        "john.pop.example.test",
        "John.Pop.example.TEST",
    ],
)
def test_every_form_of_the_login_name(dovecot: Instance, user: str) -> None:
    dovecot.put(account("john@example.test"), account("joan@example.test", 2, "other"))
    with dovecot.login(user) as client:
        client.select()
        client.append("INBOX", "", imaplib.Time2Internaldate(time.time()), b"Subject: mine\r\n\r\n")
    assert (dovecot.folder / "mail/example.test/john.1/mdbox").is_dir()
    assert dovecot.refused(user, "wrong")


def test_names_beyond_ascii(dovecot: Instance) -> None:
    ascii_domain = DOMAINS[1]
    row = {
        "hostname": f"xn--jrg-sna.pop.{ascii_domain}",
        "target": f"xn--jrg-sna@xn--jrg-sna.pop.{ascii_domain}",
    }
    _, value = account(f"x@{ascii_domain}", 7)
    dovecot.put((f"jörg@{ascii_domain}", {**value, **row}))
    for user in (
        f"jörg@{ascii_domain}",
        "jörg@bücher.example",
        "jörg.pop.bücher.example",
        f"xn--jrg-sna.pop.{ascii_domain}",
        f"xn--jrg-sna@xn--jrg-sna.pop.{ascii_domain}",
    ):
        dovecot.login(user).logout()
    assert dovecot.deliver(str(row["target"]))[0] == 250
    assert (dovecot.folder / f"mail/{ascii_domain}/xn--jrg-sna.7").is_dir()


def test_strange_names_are_refused_and_harmless(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    for user in (
        "nobody@example.test",
        "x' OR 1=1 --",
        "john@example.test'--",
        "*@example.test",
        "%u",
        "a\tb",
        "x" * 900,
    ):
        assert dovecot.refused(user)
    dovecot.login("john@example.test").logout()


def test_a_lookup_without_a_password_opens_nothing(dovecot: Instance) -> None:
    """An answer of it in the cache would let anybody in."""
    dovecot.put(account("john@example.test"))
    lookup = ["doveadm", "-c", dovecot.layout.conf, "auth", "lookup", "-x", "service=imap", "john@example.test"]
    dovecot.host.run(lookup, check=False)
    assert "AUTHENTICATIONFAILED" in dovecot.refused("john@example.test", "wrong")
    dovecot.login("john@example.test").logout()
    dovecot.host.run(lookup, check=False)
    assert "AUTHENTICATIONFAILED" in dovecot.refused("john@example.test", "wrong")


def test_suspended(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test", login=False))
    assert "suspended" in dovecot.refused("john@example.test")
    assert dovecot.refused("john@example.test", "wrong")
    pop = dovecot.pop3()
    pop.user("john@example.test")
    with pytest.raises(poplib.error_proto, match="suspended"):
        pop.pass_("secret")
    pop.close()
    assert dovecot.deliver("john@john.pop.example.test")[0] == 250


def test_changed_password_is_felt_at_once(dovecot: Instance) -> None:
    names = ("john@example.test", "john@john.pop.example.test", "john.pop.example.test", "JOHN@example.test")
    dovecot.put(account("john@example.test"))
    for name in names:
        dovecot.login(name).logout()
    idle = dovecot.login(names[0])
    dovecot.put(account("john@example.test", password="fresh"))
    for name in names:
        assert "AUTHENTICATIONFAILED" in dovecot.refused(name)
    for name in names:
        dovecot.login(name, "fresh").logout()
    wait_until(lambda: _ended(idle), "the session of the old password ends", 5)


def test_suspension_and_removal_end_sessions(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"), account("joan@example.test", 2))
    john, joan = dovecot.login("john@example.test"), dovecot.login("joan.pop.example.test")
    dovecot.put(account("john@example.test", login=False))
    wait_until(lambda: _ended(john), "suspended john's session ends", 5)
    assert joan.noop()[0] == "OK"
    dovecot.put(("joan@example.test", None))
    wait_until(lambda: _ended(joan), "removed joan's session ends", 5)
    assert "suspended" in dovecot.refused("john@example.test")
    assert "suspended" not in dovecot.refused("joan@example.test")
    dovecot.put(account("john@example.test"))
    dovecot.login("john@example.test").logout()


def test_many_at_once_are_felt_as_well(dovecot: Instance) -> None:
    """Beyond some hundred names the whole cache is flushed."""
    addresses = [f"many{number}@example.test" for number in range(150)]
    dovecot.put(*(account(address, number) for number, address in enumerate(addresses, 1)))
    clients = [dovecot.login(address) for address in addresses[:4]]
    dovecot.put(*((address, None) for address in addresses))
    for address, client in zip(addresses, clients, strict=False):
        wait_until(lambda client=client: _ended(client), f"the session of {address} ends", 5)
        assert "AUTHENTICATIONFAILED" in dovecot.refused(address)


def _ended(client: imaplib.IMAP4) -> bool:
    try:
        client.noop()
    except (imaplib.IMAP4.abort, OSError):
        client.shutdown()
        return True
    return False


def _sessions(dovecot: Instance) -> dict[tuple[str, ...], float]:
    told = dovecot.driver.figures(dovecot.settings(), dovecot.host)
    return {(one.name, *one.labels): one.value for one in told}


def test_who_is_logged_in_is_counted(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"), account("mary@example.test"))
    nobody = {("roost_sessions", "imap"): 0, ("roost_sessions", "pop3"): 0, ("roost_session_users",): 0}
    wait_until(lambda: _sessions(dovecot) == nobody, "nobody is logged in")
    clients = [dovecot.imap("john.pop.example.test") for _ in range(2)]
    for client in clients:
        client.login("john@example.test", "secret")
    pop = dovecot.pop3("mary.pop.example.test")
    pop.user("mary@example.test")
    pop.pass_("secret")
    wanted = {("roost_sessions", "imap"): 2, ("roost_sessions", "pop3"): 1, ("roost_session_users",): 2}
    wait_until(lambda: _sessions(dovecot) == wanted, "all are counted")
    for client in clients:
        client.logout()
    pop.quit()
    wait_until(lambda: _sessions(dovecot) == nobody, "all have gone")
