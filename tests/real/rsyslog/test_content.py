"""Lines as daemons really write them, and as those who mean harm would like to have them."""

from __future__ import annotations

import pytest

from .conftest import Pair
from .instance import MX

TEXTS: list[tuple[bytes, str]] = [
    (b"two\nlines", "two#012lines"),
    (b"a\ttab", "a#011tab"),
    (b"\x1b[31mred\x1b[0m", "#033[31mred#033[0m"),
    (b"bell \x07 return \r.", "bell #007 return #015."),
    (b"delete \x7f.", "delete \x7f."),
    ("Grüße, \N{SNOWMAN}".encode(), "Grüße, \N{SNOWMAN}"),
    (b"not utf-8: \xff\xfe.", "not utf-8: \udcff\udcfe."),
    (b'quotes " and \\ and % and #012', 'quotes " and \\ and % and #012'),
    (b"<13>Nov 26 01:02:03 elsewhere sshd[1]: accepted", "<13>Nov 26 01:02:03 elsewhere sshd[1]: accepted"),
    (b"x\n2026-11-25T03:40:24.1+00:00 ms1.cluster.test a: forged",
     "x#0122026-11-25T03:40:24.1+00:00 ms1.cluster.test a: forged"),
]  # fmt: skip


def test_odd_texts(pair: Pair) -> None:
    for said, _ in TEXTS:
        pair.mx.say(said)
    pair.mx.say(b"the end")
    pair.log.wait_for(MX, "the end")
    texts = [line.split(": ", 1)[1] for line in pair.log.raw(MX) if " mx1.cluster.test postfix/smtpd[42]: " in line]
    assert texts == [*(stands for _, stands in TEXTS), "the end"]


def test_programs_of_every_kind(pair: Pair) -> None:
    for program in ("postfix/mx-in/smtpd", "dovecot", "named", "systemd-logind", "p" * 60):
        pair.mx.say(f"of {program}".encode(), program)
        line = pair.log.wait_for(MX, f"of {program}")
        assert f" mx1.cluster.test {program}[42]: " in line


@pytest.mark.parametrize("filler", [b"x", b"\x01"], ids=["plain", "control"])
def test_a_line_of_64_kb(pair: Pair, filler: bytes) -> None:
    """Every byte that is escaped becomes four."""
    pair.mx.say(filler * 65_000 + b" end")
    line = pair.log.wait_for(MX, " end")
    _, _, text = line.partition("]: ")
    assert text == (filler.decode() if filler == b"x" else "#001") * 65_000 + " end"
