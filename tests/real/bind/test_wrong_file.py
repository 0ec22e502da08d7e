"""A file made wrong: BIND goes on with the old one, and the node says what is wrong (``common/spoilt.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..common.spoilt import SpoiltNode
from .instance import ROWS, ZONE, Server, settings


@pytest.mark.parametrize(
    ("end", "old", "new", "words"),
    [
        ("named.conf", "recursion no;", "recursion perhaps;", "perhaps"),
        ("named.conf", "version none;", "vision none;", "vision"),
        ("named.conf", "};\n", "}\n", "missing"),
    ],
)
def test_what_the_checker_refuses_never_reaches_the_daemon(
    loaded: Server, tmp_path: Path, end: str, old: str, new: str, words: str
) -> None:
    node = SpoiltNode(loaded, tmp_path / "agent")
    pid = loaded.services.pid

    assert words in node.spoil(end, old, new)

    assert loaded.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"
    assert loaded.services.pid == pid
    node.mend()


def test_what_only_the_daemon_finds_is_put_back(loaded: Server, tmp_path: Path) -> None:
    """The checker sees no wrong in a server that answers nobody; the zones are none the worse for it."""
    node = SpoiltNode(loaded, tmp_path / "agent")

    assert "refused" in node.spoil("named.conf", "allow-query { roost-asking; };", "allow-query { none; };")

    assert loaded.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"
    assert dict(loaded.table_of(settings()).rows()) == dict(ROWS)
    assert not list(Path(loaded.place.zones).glob("*.damaged*"))
    node.mend()
