"""A file made wrong: Dovecot goes on with the old one, and the node says what is wrong (``common/spoilt.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..common.spoilt import SpoiltNode
from .instance import Instance, account


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ssl_min_protocol = TLSv1.2", "ssl_min_protokoll = TLSv1.2", "ssl_min_protokoll"),
        ("service lmtp {", "service lmtp {{", "line"),
        ("ssl = required", "ssl = perhaps", "perhaps"),
    ],
)
def test_what_the_checker_refuses_never_reaches_the_daemon(
    dovecot: Instance, tmp_path: Path, old: str, new: str, words: str
) -> None:
    dovecot.put(account("john@example.test"))
    node = SpoiltNode(dovecot, tmp_path)
    client = dovecot.login("john@example.test")
    pid = dovecot.services.pid

    assert words in node.spoil("dovecot.conf", old, new)

    assert client.noop()[0] == "OK"
    dovecot.login("john@example.test").logout()
    assert dovecot.services.pid == pid
    node.mend()
    client.logout()


def test_what_only_the_daemon_finds_is_put_back(dovecot: Instance, tmp_path: Path) -> None:
    """The checker does not know that LMTP is wanted."""
    dovecot.put(account("john@example.test"))
    node = SpoiltNode(dovecot, tmp_path)

    assert "where '220 ' was expected" in node.spoil("dovecot.conf", "imap pop3 lmtp", "imap pop3")

    dovecot.wait_alive()
    assert dovecot.deliver("john@john.pop.example.test")[0] == 250
    node.mend()
