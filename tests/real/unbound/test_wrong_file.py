"""A file made wrong: Unbound goes on with the old one, and the node says what is wrong (``common/spoilt.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..common.spoilt import SpoiltNode
from .conftest import Net
from .test_unbound_real import AT_MS1, JOHN


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("prefetch: yes", "prefetch: perhaps", "yes or no"),
        ("hide-version: yes", "hide-vision: yes", "hide-vision"),
        ("stub-addr: 127.0.0.1@", "stub-addr: nowhere@", "nowhere"),
    ],
)
def test_what_the_checker_refuses_never_reaches_the_daemon(
    net: Net, tmp_path: Path, old: str, new: str, words: str
) -> None:
    node = SpoiltNode(net.resolver, tmp_path / "agent")
    pid = net.resolver.services.pid

    assert words in node.spoil("unbound.conf", old, new)

    assert net.resolver.said(JOHN) == AT_MS1
    assert net.resolver.services.pid == pid
    node.mend()


def test_what_only_the_daemon_finds_is_put_back(net: Net, tmp_path: Path) -> None:
    """The checker sees no wrong in a resolver that refuses everybody."""
    node = SpoiltNode(net.resolver, tmp_path / "agent")

    said = node.spoil("unbound.conf", "access-control: 127.0.0.0/8 allow", "access-control: 127.0.0.0/8 refuse")

    assert "REFUSED" in said
    net.resolver.until_said(AT_MS1, JOHN, 10)
    node.mend()
