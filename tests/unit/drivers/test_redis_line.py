"""Redis's protocol: commands as bytes, answers in pieces of any size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd import redis_line
from roost.host.fake import FakeHost


class Line(FakeHost):
    """A host on which Redis answers in small pieces."""

    def __init__(self, answer: bytes, piece: int) -> None:
        super().__init__()
        self.answer, self.piece, self.said = answer, piece, ""

    def ask(self, socket: str, said: str, answered: Callable[[bytearray], bool], *, seconds: float = 10.0) -> bytes:
        self.said, found = said, bytearray()
        for start in range(0, len(self.answer), self.piece):
            assert not answered(found)
            found += self.answer[start : start + self.piece]
        assert answered(found)
        return bytes(found)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_answers(piece: int) -> None:
    answer = b"+OK\r\n:7\r\n$-1\r\n$5\r\na\r\nbc\r\n*2\r\n$1\r\n0\r\n*2\r\n$3\r\n\xc3\xa4x\r\n$0\r\n\r\n"
    line = Line(answer, piece)
    found = redis_line.ask(line, "/sock", [("SELECT", "1"), ("X",), ("GET", "ä b"), ("Y",), ("HSCAN",)])
    assert found == ["OK", 7, None, "a\r\nbc", ["0", ["äx", ""]]]
    assert line.said.startswith("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n*1\r\n$1\r\nX\r\n*2\r\n$3\r\nGET\r\n$4\r\nä b\r\n")


def test_a_refusal_is_told() -> None:
    with pytest.raises(DaemonFailed, match="OOM command not allowed"):
        redis_line.ask(Line(b"-OOM command not allowed\r\n", 1000), "/sock", [("SET", "a", "b")])
