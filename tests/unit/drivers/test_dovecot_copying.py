"""What dsync and doveadm say, understood: how a pass ended, its state, the answers of doveadm's socket."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot import copying
from roost.drivers.dovecot.doveadm import Doveadm, Refused, fields
from roost.drivers.dovecot.layout import Layout
from roost.host.fake import FakeHost

ADDRESS = "john@example.test"
STATE = "AQAAAHm4+Jk=\n"
RENAME = (
    "Warning: Mailbox changes caused a desync. You may want to run dsync again: Can't rename mailbox to itself.\n"
)


@pytest.mark.parametrize(
    ("code", "err", "state", "again", "full"),
    [
        (0, "", STATE.strip(), False, False),
        (2, "Warning: Mailbox changes caused a desync. You may want to run dsync again: conflict\n", "", True, False),
        (2, RENAME, "", False, False),
        (75, "Error: Failed to do incremental sync for mailbox INBOX, retry with a full sync\n", "", False, True),
    ],
)
def test_what_a_pass_said(code: int, err: str, state: str, again: bool, full: bool) -> None:
    found = copying.pulled(code, STATE, err)
    assert (found.state, found.again, found.full) == (state, again, full)


@pytest.mark.parametrize("code", [1, 75, 67])
def test_a_pass_that_failed(code: int) -> None:
    with pytest.raises(DaemonFailed, match="disk is full"):
        copying.pulled(code, "", "Error: disk is full")


def test_doveadm_is_asked_over_its_socket() -> None:
    host, layout = FakeHost(), Layout()
    doveadm = Doveadm(layout, host)
    host.replies[layout.doveadm] = b"+\na\x01tb\t\xff\t\n+\n"
    assert fields(doveadm.run("x y", "with\ttab", user=ADDRESS)) == ["a\tb", "\udcff"]
    assert host.asked[0][1].endswith(f"\n\t{ADDRESS}\tx y\twith\x01ttab\n")
    host.replies[layout.doveadm] = b"+\n\n-NOTFOUND\n"
    with pytest.raises(Refused) as caught:
        doveadm.run("kick", ADDRESS)
    assert caught.value.reason == "NOTFOUND"
    host.replies[layout.doveadm] = b"-\n\n+\n"
    with pytest.raises(DaemonFailed, match="greets"):
        doveadm.run("kick", ADDRESS)


def _guid(folder: tuple[bytes, int, bool]) -> bytes:
    return folder[0]


def _state(folders: list[tuple[bytes, int]]) -> str:
    """What dsync says after a pass, for folders with so many messages."""
    data = b"\x01\0\0\0" + b"".join(guid + bytes(24) + count.to_bytes(4, "little") for guid, count in folders)
    return base64.b64encode(data + zlib.crc32(data).to_bytes(4, "little")).decode()


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 2))))
def test_every_folder_is_looked_at_again(folders: list[tuple[bytes, int]]) -> None:
    assert copying.doubted(_state(folders)) == _state([(guid, count + 1) for guid, count in folders])


@given(
    st.lists(
        st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 2), st.booleans()), unique_by=_guid
    )
)
def test_only_some_folders_are_looked_at(folders: list[tuple[bytes, int, bool]]) -> None:
    state = _state([(guid, count) for guid, count, _ in folders])
    only = {guid.hex() for guid, _, wanted in folders if wanted}
    assert copying.doubted(state, only) == _state([(guid, count + wanted) for guid, count, wanted in folders])


@pytest.mark.parametrize(
    "state",
    ["", "AAAA", "no state", _state([])[:-4] + "AAAA", base64.b64encode(bytes(60)).decode()],
)
def test_a_state_that_is_none_is_not_used(state: str) -> None:
    assert copying.doubted(state) == ""
