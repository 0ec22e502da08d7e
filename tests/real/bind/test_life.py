"""A DNS server's life: empty machine, power cuts, damage, domains and servers that come and go."""

from __future__ import annotations

from pathlib import Path

import dns.rcode
import pytest

from roost.domain.errors import DaemonFailed
from roost.ports.driver import Batch

from .instance import JOHN, ROWS, ZONE, Server, cname, settings


def again(server: Server) -> None:
    """Do what the agent does when a daemon does not live, then feed the rows if the table has lost them."""
    with pytest.raises(DaemonFailed):
        server.driver.alive(server.host, server.services)
    server.bring(settings())
    table = server.table_of(settings())
    assert table.position() == 0
    assert server.ask(f"john.{ZONE}").rcode() == dns.rcode.REFUSED
    table.apply(Batch(ROWS, 9, 0))
    server.open(settings())
    assert dict(table.rows()) == dict(ROWS)
    assert server.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"


def test_an_empty_server_answers_nobody_but_its_agent(server: Server) -> None:
    """An answer would be that no user exists; a resolver that is refused asks another server."""
    server.bring(settings())
    assert server.ask(f"john.{ZONE}").rcode() == dns.rcode.REFUSED
    for _ in range(10):
        server.driver.tick(settings(), server.host)
    assert server.ask(f"john.{ZONE}").rcode() == dns.rcode.REFUSED
    table = server.table_of(settings())
    table.apply(Batch(ROWS, 7, 0))
    assert server.ask(f"john.{ZONE}").rcode() == dns.rcode.REFUSED
    table.complete()
    assert server.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"


def test_a_second_run_changes_nothing(loaded: Server) -> None:
    """Neither files nor process, nor the zones."""
    process, serial = loaded.services.process, loaded.said(ZONE, "SOA")
    loaded.bring(settings())
    assert loaded.services.process is process
    assert loaded.said(ZONE, "SOA") == serial
    assert loaded.table_of(settings()).position() == 7


def test_what_was_acknowledged_survives_a_kill(loaded: Server) -> None:
    """It stands in the journal when apply returns."""
    table = loaded.table_of(settings())
    for revision in range(7, 57):
        table.apply(Batch([(JOHN, cname(f"ms{revision}"))], revision + 1, revision))
    loaded.services.kill()
    loaded.bring(settings())
    assert loaded.table_of(settings()).position() == 57
    assert loaded.said(f"john.{ZONE}", "CNAME") == ["NOERROR", f"john.{ZONE}. 60 ms56.cluster.test."]


@pytest.mark.parametrize("zone", [ZONE, "cluster.test"])
def test_a_damaged_zone_file_is_begun_anew(loaded: Server, zone: str) -> None:
    """The old file is kept beside it."""
    loaded.services.disable("named")
    path = Path(loaded.place.zone_file(zone))
    path.write_text("@ IN SOA what is\nthis (\n")
    again(loaded)
    assert "what is" in Path(f"{path}.damaged").read_text()


def test_a_damaged_journal_is_begun_anew(loaded: Server) -> None:
    """Half of it is noise."""
    loaded.services.kill()
    path = Path(f"{loaded.place.zone_file(ZONE)}.jnl")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 8 :] = b"\x5a" * (len(raw) - len(raw) // 8)
    path.write_bytes(raw)
    again(loaded)


def test_a_lost_zone_file_is_begun_anew(loaded: Server) -> None:
    """With a file restored by hand from yesterday the journal would not fit either."""
    loaded.services.disable("named")
    Path(loaded.place.zone_file(ZONE)).unlink()
    again(loaded)


def test_a_hanging_daemon_is_restarted(loaded: Server) -> None:
    """It runs, and neither rndc nor a query gets an answer."""
    loaded.services.freeze()
    with pytest.raises(DaemonFailed, match="does not answer"):
        loaded.driver.alive(loaded.host, loaded.services)
    loaded.services.kill()
    loaded.bring(settings())
    assert loaded.table_of(settings()).position() == 7


def test_a_frozen_zone_is_thawed(loaded: Server) -> None:
    """An administrator may have left it so."""
    loaded.host.run(
        ["rndc", "-p", str(loaded.place.control_port), "-s", "127.0.0.1", "-k", loaded.place.control_key, "freeze"]
    )
    loaded.table_of(settings()).apply(Batch([(JOHN, cname("ms2"))], 8, 7))
    assert loaded.said(f"john.{ZONE}", "CNAME") == ["NOERROR", f"john.{ZONE}. 60 ms2.cluster.test."]


def test_domains_come_and_go_without_a_restart(loaded: Server) -> None:
    """A domain that comes back begins empty: nobody kept its old zone up to date."""
    process = loaded.services.process
    both = settings(("example.test", "second.test"), revision=2)
    row = ("a.pop.second.test/CNAME", {"zone": "pop.second.test", "ttl": 60, "data": ["ms1.cluster.test."]})
    loaded.bring(both)
    loaded.table_of(both).apply(Batch([row], 8, 7))
    assert loaded.said("a.pop.second.test", "CNAME")[0] == "NOERROR"
    assert loaded.said(f"john.{ZONE}", "CNAME")[0] == "NOERROR"
    loaded.bring(settings(revision=3))
    assert loaded.said("a.pop.second.test", "CNAME")[0] == "REFUSED"
    assert Path(loaded.place.zone_file("pop.second.test") + ".removed").exists()
    loaded.table_of(settings()).apply(Batch([(row[0], None)], 9, 8))
    loaded.bring(both)
    assert loaded.said("a.pop.second.test", "CNAME")[0] == "NXDOMAIN"
    assert loaded.table_of(both).position() == 9
    assert loaded.services.process is process


def test_servers_come_and_go(loaded: Server) -> None:
    """Every zone names all of them, and only them."""
    for servers in (("ns1.cluster.test", "ns2.cluster.test", "ns3.cluster.test"), ("ns1.cluster.test",)):
        loaded.bring(settings(servers=servers, revision=2))
        for zone in (ZONE, "cluster.test"):
            assert loaded.said(zone, "NS") == ["NOERROR", *(f"{zone}. 300 {name}." for name in servers)]


def test_a_wrong_file_is_refused_in_the_checkers_words(loaded: Server) -> None:
    """Nothing has been told to the running daemon by then."""
    path = Path(loaded.place.conf)
    path.write_text(path.read_text().replace("recursion no;", "recursion perhaps;"))
    with pytest.raises(DaemonFailed, match="perhaps"):
        loaded.driver.check(loaded.host)
