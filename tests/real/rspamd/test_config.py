"""The configuration as rspamd itself sees it: nothing is fetched, and a wrong file is not taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..common.spoilt import SpoiltNode
from ..common.waiting import wait_until
from .conftest import Net

EVERYTHING = {
    "greylist_score": 4,
    "dns_lists": ("bl.outside.test",),
    "client_rate": 1000,
    "sender_rate": 100,
    "clamav": "on",
    "dmarc": "quarantine",
}


@pytest.mark.parametrize("policy", [{}, EVERYTHING], ids=["default", "everything"])
def test_nothing_is_fetched_from_anywhere(net: Net, policy: dict[str, object]) -> None:
    net.filter.set_policy(**policy)
    dumped = net.filter.host.run(["rspamadm", "configdump", "-c", net.filter.layout.conf])
    assert "worker" in dumped.out
    assert not [line for line in dumped.out.splitlines() if "http://" in line or "https://" in line]
    assert "rspamd.com" not in dumped.out
    sockets = net.filter.host.run(["ss", "-Htunap"]).out
    pids = {f"pid={path.name}," for path in Path("/proc").iterdir() if _is_ours(path, net)}
    mine = [line for line in sockets.splitlines() if any(pid in line for pid in pids)]
    assert mine
    assert not [line for line in mine if not line.split()[5].startswith(("127.", "0.0.0.0:", "[::"))]


def _is_ours(path: Path, net: Net) -> bool:
    if not path.name.isdigit():
        return False
    try:
        parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return str(net.filter.services.pid) in (path.name, parent)  # type: ignore[attr-defined]


def test_a_wrong_file_is_put_back(net: Net, tmp_path: Path) -> None:
    spoilt = SpoiltNode(net.filter, tmp_path / "agent")
    assert "configtest" in spoilt.spoil("rspamd.conf", "actions {", "actions }")
    assert "configtest" in spoilt.spoil("roost.lua", "local redis =", "local local =")
    spoilt.mend()
    wait_until(net.filter.is_alive, "it lives")


def test_a_second_look_finds_nothing_to_do(net: Net) -> None:
    starts = net.filter.services.starts  # type: ignore[attr-defined]
    assert net.filter.configure() == frozenset()
    assert net.filter.services.starts == starts  # type: ignore[attr-defined]
