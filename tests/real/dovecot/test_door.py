"""Who may deliver, and how much one client may have."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest

from . import instance
from .instance import Instance, account

TARGET = "john@john.pop.example.test"
STRANGER = "127.0.0.77"


def test_only_mx_hosts_and_homes_may_deliver(dovecot: Instance) -> None:
    """To anybody else nobody exists: no way round the filter, and nothing to be learnt about who is here."""
    dovecot.put(account("john@example.test"))
    assert dovecot.deliver(TARGET)[0] == 250
    with dovecot.lmtp(source=STRANGER) as client:
        client.mail("a@outside.test")
        code, words = client.rcpt(TARGET)
    assert (code, words[:5]) == (550, b"5.1.1")
    assert dovecot.deliver(TARGET)[0] == 250


def test_one_user_at_one_address_has_so_many_connections(dovecot: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """More are refused; neither another user there nor the same one elsewhere is."""
    dovecot.put(account("john@example.test"), account("joan@example.test", 2))
    monkeypatch.setattr(instance, "_SOURCE", itertools.repeat(5))
    clients = [dovecot.login("john@example.test") for _ in range(30)]
    assert "mail_max_userip_connections" in dovecot.refused("john@example.test")
    clients.append(dovecot.login("joan@example.test"))
    monkeypatch.setattr(instance, "_SOURCE", itertools.repeat(6))
    clients.append(dovecot.login("john@example.test"))
    for client in clients:
        client.logout()


def test_a_process_for_each_login_where_policy_wants_it(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    for policy, shared in (("performance", True), ("security", False)):
        dovecot.set_policy(login_processes=policy)
        clients = [dovecot.login("john@example.test") for _ in range(6)]
        processes = {line for line in _children(dovecot) if "imap-login" in line}
        assert (len(processes) < len(clients)) is shared, processes
        for client in clients:
            client.logout()


def _children(dovecot: Instance) -> list[str]:
    found = dovecot.host.run(["ps", "-o", "pid=,args=", "--ppid", str(dovecot.services.pid)]).out
    return found.splitlines()


def test_accounts_can_be_listed(dovecot: Instance) -> None:
    """What doveadm's -A works through: each once, by address."""
    dovecot.put(account("john@example.test"), account("joan@example.test", 2))
    found = dovecot.host.run(["doveadm", "-c", dovecot.layout.conf, "user", "*"]).out.split()
    assert sorted(found) == ["joan@example.test", "john@example.test"]


def test_expunged_mail_leaves_the_disk_at_night(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    for _ in range(3):
        assert (
            dovecot.deliver(TARGET, b"Subject: x\r\n\r\n" + random.randbytes(300_000).hex().encode() + b"\r\n")[0]
            == 250
        )
    mailbox = dovecot.folder / "mail/example.test/john.1"
    with dovecot.login("john@example.test") as client:
        client.select()
        client.store("1:*", "+FLAGS", r"\Deleted")
        client.expunge()
    assert _size(mailbox) > 1_000_000
    unit = dovecot.host.read(dovecot.layout.purge_service)
    assert unit is not None
    (command,) = re.findall(r"^ExecStart=(.+)$", unit.content, re.MULTILINE)
    dovecot.host.run(command.split())
    assert _size(mailbox) < 100_000


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
