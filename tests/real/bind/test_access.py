"""Who may change zones, and who may have them whole."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest

from roost.domain.errors import DaemonFailed
from roost.drivers.bind import keys
from roost.ports.driver import Batch

from ..common.machines import seen_below
from . import instance
from .instance import JOHN, ROWS, ZONE, Server, cname, settings


def attempt(server: Server, key: str, source: str | None, port: int) -> dns.rcode.Rcode:
    message = dns.update.UpdateMessage(ZONE)
    message.replace("john", 60, "CNAME", "evil.example.")
    if key:
        name, algorithm, secret = keys.secret_of(server.host, key)
        message.use_tsig(dns.tsig.Key(name, secret, algorithm))
    return dns.query.tcp(message, "127.0.0.1", timeout=5, port=port, source=source).rcode()


def test_only_the_agents_key_on_loopback_may_change(loaded: Server) -> None:
    """Not nobody's, not the secondaries', and not even the agent's from elsewhere."""
    local, place = loaded.place.local_port, loaded.place
    assert attempt(loaded, "", None, local) == dns.rcode.REFUSED
    assert attempt(loaded, place.transfer_key, None, local) == dns.rcode.REFUSED
    assert attempt(loaded, place.local_key, "127.0.0.5", local) == dns.rcode.REFUSED
    assert attempt(loaded, "", None, place.port) == dns.rcode.REFUSED
    assert loaded.said(f"john.{ZONE}", "CNAME")[1].endswith("ms1.cluster.test.")
    assert attempt(loaded, place.local_key, None, local) == dns.rcode.NOERROR


def test_a_key_that_was_changed_is_read_again(loaded: Server) -> None:
    """BIND has the old one until it is told; then the table goes on by itself."""
    table = loaded.table_of(settings())
    table.apply(Batch([(JOHN, cname("ms2"))], 8, 7))
    Path(loaded.place.local_key).unlink()
    loaded.driver.check(loaded.host)  # makes a new one
    with pytest.raises(DaemonFailed, match="key"):
        loaded.table_of(settings()).apply(Batch([(JOHN, cname("ms3"))], 9, 8))
    loaded.driver.activate(loaded.host, loaded.services, frozenset({loaded.place.conf}))
    loaded.table_of(settings()).apply(Batch([(JOHN, cname("ms3"))], 9, 8))
    assert loaded.said(f"john.{ZONE}", "CNAME")[1].endswith("ms3.cluster.test.")


def test_keys_are_for_root_and_named_alone(loaded: Server) -> None:
    """Whoever has one may change the zones, or walk them."""
    for path in (loaded.place.local_key, loaded.place.transfer_key, loaded.place.control_key):
        assert Path(path).stat().st_mode & 0o777 == 0o640


def ask_for_the_whole(server: Server, key: str, source: str) -> dns.rcode.Rcode:
    query = dns.message.make_query(ZONE, "AXFR", flags=0)
    if key:
        name, algorithm, secret = keys.secret_of(server.host, key)
        query.use_tsig(dns.tsig.Key(name, secret, algorithm))
    return dns.query.tcp(query, "127.0.0.1", timeout=5, port=server.place.port, source=source).rcode()


def test_zones_cannot_be_walked(loaded: Server) -> None:
    """A foreign secondary needs an address of the policy, of which there are none here, and the key."""
    place = loaded.place
    for key in ("", place.transfer_key, place.local_key):
        assert ask_for_the_whole(loaded, key, instance.STRANGER) == dns.rcode.REFUSED
    assert ask_for_the_whole(loaded, "", "127.0.0.1") == dns.rcode.REFUSED
    loaded.bring(settings(secondaries=(instance.STRANGER,), revision=2))
    assert ask_for_the_whole(loaded, "", instance.STRANGER) == dns.rcode.REFUSED
    assert ask_for_the_whole(loaded, place.transfer_key, instance.STRANGER) == dns.rcode.NOERROR


def test_a_foreign_secondary_follows(root: str, tmp_path: Path) -> None:
    """It is notified, asks with the key, and has a change soon; without the key it gets nothing."""
    primary_folder, secondary_folder = tmp_path / "primary", tmp_path / "secondary"
    for folder in (primary_folder, secondary_folder):
        folder.mkdir()
    port, control, primary_port = instance.free_ports(3)
    with (
        instance.one_server(primary_folder, "::1", primary_port, root) as primary,
        seen_below(root, secondary_folder),
    ):
        primary.place = replace(primary.place, notify_port=port)
        primary.driver = type(primary.driver)(primary.place)
        wanted = settings(secondaries=("::1",))
        primary.bring(wanted)
        primary.table_of(wanted).apply(Batch(ROWS, 7, 0))
        primary.open(wanted)
        with secondary(secondary_folder, primary, port, control) as ask:
            assert ask("john") == "ms1.cluster.test."
            primary.table_of(wanted).apply(Batch([(JOHN, cname("ms2"))], 8, 7))
            end = time.monotonic() + 10  # far below the refresh time of the SOA: it was notified
            while ask("john") != "ms2.cluster.test.":
                assert time.monotonic() < end, ask("john")
                time.sleep(0.01)


@contextlib.contextmanager
def secondary(folder: Path, primary: Server, port: int, control: int) -> Iterator[Callable[[str], str]]:
    """A server of somebody else, configured by hand as the README says; yields a way to ask for a home."""
    name, _algorithm, _secret = keys.secret_of(primary.host, primary.place.transfer_key)
    conf = folder / "named.conf"
    key = primary.host.read(primary.place.transfer_key)
    assert key is not None
    conf.write_text(f"""{key.content}
options {{ directory "{folder}"; pid-file none; listen-on {{ none; }}; listen-on-v6 port {port} {{ ::1; }};
  recursion no; session-keyfile "{folder}/session"; }};
controls {{ }};
zone "{ZONE}" {{ type secondary; file "copy"; primaries {{ ::1 port {primary.place.port} key "{name}"; }}; }};
""")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(primary.host.argv(["named", "-g", "-c", str(conf)]), stdout=log, stderr=log)

    def ask(label: str) -> str:
        query = dns.message.make_query(f"{label}.{ZONE}", "CNAME", flags=0)
        answer = dns.query.udp(query, "::1", port=port, timeout=2)
        return answer.answer[0][0].to_text() if answer.answer else dns.rcode.to_text(answer.rcode())

    try:
        end = time.monotonic() + 20
        while "transfer of" not in (said := (folder / "log").read_text()) or "Transfer status: success" not in said:
            assert process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.05)
        yield ask
    finally:
        process.terminate()
        process.wait(20)


def test_it_answers_for_its_zones_and_for_nothing_else(loaded: Server) -> None:
    """No recursion, no cache, no word on which server it is, and no more in an answer than was asked for."""
    for name in ("example.org", "com", "."):
        assert loaded.ask(name).rcode() == dns.rcode.REFUSED
    for name in ("version.bind", "hostname.bind", "id.server", "authors.bind"):
        query = dns.message.make_query(name, "TXT", "CH")
        said = dns.query.udp(query, loaded.address, timeout=5, port=loaded.place.port, source=instance.STRANGER)
        assert said.answer == [], name
    asked = dns.message.make_query(f"john.{ZONE}", "CNAME")  # with RD
    said = dns.query.udp(asked, loaded.address, timeout=5, port=loaded.place.port, source=instance.STRANGER)
    assert not said.flags & dns.flags.RA
    assert said.flags & dns.flags.AA
    assert (len(said.answer), said.authority, said.additional) == (1, [], [])


def test_one_asking_much_is_slowed_and_the_clusters_own_are_not(loaded: Server) -> None:
    """Rate limiting (BIND 9 ARM, rate-limit): beyond 100 equal answers a second to one network, most are not sent."""
    query = dns.message.make_query(f"john.{ZONE}", "CNAME", flags=0).to_wire()

    def answers(source: str) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.bind((source, 0))
            asker.settimeout(0.5)
            for _ in range(240):
                asker.sendto(query, (loaded.address, loaded.place.port))
            got = 0
            with contextlib.suppress(TimeoutError):
                while message := asker.recv(4096):
                    got += not dns.message.from_wire(message, ignore_trailing=True).flags & dns.flags.TC
        return got

    assert answers(instance.STRANGER) < 180
    assert answers("127.0.0.1") == 240
