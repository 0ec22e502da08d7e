"""A file made wrong: Postfix goes on with the old one, and the node says what is wrong (``common/spoilt.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..common.spoilt import SpoiltNode
from .instance import Instance, row


@pytest.mark.parametrize(
    ("end", "old", "new", "words"),
    [
        ("main.cf", "queue_run_delay = 30s", "queue_run_dealy = 30s", "queue_run_dealy"),
        ("main.cf", "smtpd_helo_required = yes", "smtpd_helo_required = ${x", "truncated macro"),
        ("main.cf", "message_size_limit = 52428800", "message_size_limit = plenty", "message_size_limit"),
        ("main.cf", "disable_vrfy_command = yes", "disable_vrfy_command = perhaps", "does not come up"),
        ("master.cf", "qmgr       unix  n       -       n", "qmgr       unix  n       -", "bad field count"),
        ("roost-commands", "/^(MAIL", "/^(MAIL(", "roost-commands"),
        ("roost-replies", "/^5", "/^(5", "roost-replies"),
    ],
)
def test_what_the_checker_refuses_never_reaches_the_daemon(
    mx: Instance, tmp_path: Path, end: str, old: str, new: str, words: str
) -> None:
    mx.put(row("john@example.test"))
    node = SpoiltNode(mx, tmp_path)
    mx.expected += ["postmap", "disable_vrfy_command"]

    assert words in node.spoil(end, old, new)

    assert mx.rcpt("john@example.test")[0] == 250
    assert "restart" not in mx.services.calls
    node.mend()
    assert mx.rcpt("john@example.test")[0] == 250


def test_what_only_the_daemon_finds_is_put_back(mx: Instance, tmp_path: Path) -> None:
    """The checker sees no wrong in a door behind which another service stands."""
    mx.put(row("john@example.test"))
    node = SpoiltNode(mx, tmp_path)
    mx.expected += ["discard"]

    assert "a greeting was expected" in node.spoil("master.cf", "-       smtpd", "-       discard")

    mx.wait_alive()
    assert mx.rcpt("john@example.test")[0] == 250
    node.mend()
