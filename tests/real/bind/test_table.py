"""The table of names in a real BIND: rows in, answers out, and what the zones really hold."""

from __future__ import annotations

import time

import dns.rcode
import pytest

from roost.domain.errors import DaemonFailed
from roost.ports.driver import Batch

from .instance import JOHN, ROWS, ZONE, Server, address, cname, settings


def test_what_is_put_in_is_answered_and_read_back(loaded: Server) -> None:
    """Rows come back in the store's canonical form, or every check would find drift."""
    assert loaded.said(f"john.{ZONE}", "CNAME") == ["NOERROR", f"john.{ZONE}. 60 ms1.cluster.test."]
    assert loaded.said("ms1.cluster.test") == [
        "NOERROR",
        "ms1.cluster.test. 300 198.18.0.131",
        "ms1.cluster.test. 300 198.18.0.31",
    ]
    assert loaded.said(f"nobody.{ZONE}")[0] == "NXDOMAIN"
    table = loaded.table_of(settings())
    assert dict(table.rows()) == dict(ROWS)
    assert table.position() == 7


def test_a_flip_is_answered_when_apply_returns(loaded: Server) -> None:
    """And everybody can see the revision that the zone has."""
    table = loaded.table_of(settings())
    table.apply(Batch([(JOHN, cname("ms2"))], 8, 7))
    assert loaded.said(f"john.{ZONE}", "CNAME") == ["NOERROR", f"john.{ZONE}. 60 ms2.cluster.test."]
    assert loaded.said(f"_roost.{ZONE}", "TXT") == ["NOERROR", f'_roost.{ZONE}. 0 "8"']
    assert loaded.said("_roost.cluster.test", "TXT") == ["NOERROR", '_roost.cluster.test. 0 "8"']


def test_a_row_that_is_gone_is_gone(loaded: Server) -> None:
    """Also where it has gone already."""
    table = loaded.table_of(settings())
    for revision in (7, 8):
        table.apply(Batch([(JOHN, None)], revision + 1, revision))
    assert loaded.said(f"john.{ZONE}", "CNAME")[0] == "NXDOMAIN"
    assert JOHN not in dict(table.rows())


def test_a_batch_that_begins_elsewhere_is_refused(loaded: Server) -> None:
    """It changes nothing; one that may have been applied already is applied again."""
    table = loaded.table_of(settings())
    with pytest.raises(DaemonFailed, match="at revision 7"):
        table.apply(Batch([(JOHN, cname("ms9"))], 12, 9))
    assert dict(table.rows())[JOHN] == cname("ms1")
    table.apply(Batch([(JOHN, cname("ms2"))], 8, 7))
    table.apply(Batch([(JOHN, cname("ms2"))], 8, 7))
    assert table.position() == 8


def test_a_second_writer_is_noticed(loaded: Server) -> None:
    """The revision is compared in the message that changes it, not only before."""
    one, other = loaded.table_of(settings()), loaded.table_of(settings())
    assert one.position() == other.position() == 7
    one.apply(Batch([], 8, 7))
    with pytest.raises(DaemonFailed, match="another revision"):
        other.apply(Batch([("ms1.cluster.test/A", address("198.18.0.99"))], 8, 7))
    assert dict(one.rows())["ms1.cluster.test/A"] == address("198.18.0.31", "198.18.0.131")


def test_the_serial_grows_with_every_change(loaded: Server) -> None:
    """Or a secondary would not ask for the zone again; repairs too, which keep the revision."""

    def serial() -> int:
        return int(loaded.said(ZONE, "SOA")[1].split()[4])

    table, seen = loaded.table_of(settings()), [serial()]
    for batch in (
        Batch([(JOHN, cname("ms2"))], 8, 7),
        Batch([(JOHN, cname("ms1"))], 8, None),
        Batch([(JOHN, cname("ms3"))], 9, 8),
    ):
        table.apply(batch)
        seen.append(serial())
    assert seen == sorted(set(seen))
    assert table.position() == 9


def test_a_row_of_an_unknown_zone_waits_for_the_settings(loaded: Server) -> None:
    """Nothing of the batch counts, so that it comes again."""
    table = loaded.table_of(settings())
    row = {"zone": "pop.new.test", "ttl": 60, "data": ["ms1.cluster.test."]}
    with pytest.raises(DaemonFailed, match="does not serve yet"):
        table.apply(Batch([("a.pop.new.test/CNAME", row)], 8, 7))
    assert table.position() == 7


def test_what_was_changed_by_hand_is_found_and_repaired(loaded: Server) -> None:
    """Changed, removed, added, of another type, under a name that no row has."""
    done = loaded.by_hand(
        f"update delete john.{ZONE}. CNAME",
        f"update add john.{ZONE}. 60 CNAME evil.example.",
        f"update delete xn--bcher-kva.{ZONE}.",
        f"update add stranger.{ZONE}. 60 A 192.0.2.9",
        f"update add noted.{ZONE}. 60 TXT by-hand",
        f"update add {ZONE}. 60 MX 10 mx.example.",
    )
    assert done.code == 0, done.err
    table = loaded.table_of(settings())
    found, should = dict(table.rows()), dict(ROWS)
    differ = {key for key in found.keys() | should.keys() if found.get(key) != should.get(key)}
    assert differ == {
        JOHN,
        f"xn--bcher-kva.{ZONE}/CNAME",
        f"stranger.{ZONE}/A",
        f"!noted.{ZONE}/TXT",
        f"!{ZONE}/MX",
    }
    table.apply(Batch([(key, should.get(key)) for key in sorted(differ)], 7, None))
    assert dict(table.rows()) == should
    assert table.position() == 7


def test_nameservers_changed_by_hand_are_put_right(loaded: Server) -> None:
    """They are no rows: the driver minds them by itself."""
    assert loaded.by_hand(f"update add {ZONE}. 60 NS evil.example.").code == 0
    loaded.driver.tick(settings(), loaded.host)
    assert loaded.said(ZONE, "NS") == ["NOERROR", f"{ZONE}. 300 ns1.cluster.test.", f"{ZONE}. 300 ns2.cluster.test."]


def test_clear_makes_a_new_beginning(loaded: Server) -> None:
    """The world is sent away until the rows are there again: it must not hear that nobody exists."""
    table = loaded.table_of(settings())
    table.clear()
    assert table.position() == 0
    assert loaded.ask(f"john.{ZONE}").rcode() == dns.rcode.REFUSED
    table.apply(Batch(ROWS, 9, 0))
    loaded.open(settings())
    assert dict(table.rows()) == dict(ROWS)
    assert loaded.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"


def test_a_hundred_thousand_names(server: Server) -> None:
    """Loaded in seconds, and one change costs milliseconds; both with room for a slow machine."""
    server.bring(settings())
    table = server.table_of(settings())
    began, step = time.monotonic(), 5000
    for start in range(0, 100_000, step):
        rows = [(f"u{number}.{ZONE}/CNAME", cname("ms1")) for number in range(start, start + step)]
        table.apply(Batch(rows, start + step, start))
    assert time.monotonic() - began < 15
    server.open(settings())
    took = []
    for revision in range(100_000, 100_200):
        began = time.monotonic()
        table.apply(Batch([(f"u{revision % 977}.{ZONE}/CNAME", cname(f"ms{revision}"))], revision + 1, revision))
        took.append(time.monotonic() - began)
    assert sorted(took)[100] < 0.05
    assert sum(1 for _ in table.rows()) == 100_000 + 2  # and the addresses of the two servers
