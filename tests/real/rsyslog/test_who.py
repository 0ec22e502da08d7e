"""Who may send, and under which name a line is kept."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from roost.domain.logs import ports_of
from roost.drivers.rsyslog import Rsyslog
from roost.drivers.rsyslog.driver import sender

from ..common.waiting import wait_until
from .conftest import AT, Pair
from .instance import HOME, LOG, MX

_PORTS = ports_of([MX, HOME, LOG])


def relp(pair: Pair, port: int, certificate_of: str, kind: str, frame: bytes) -> bytes:
    """Speak RELP by hand with a certificate; return all that the log node says until it has answered or hung up."""
    path = pair.mx.cluster.path
    context = ssl.create_default_context(cafile=str(pair.mx.cluster.folder / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(path(certificate_of, kind, "crt"), path(certificate_of, kind, "key"))
    offers = b"relp_version=0\nrelp_software=test\ncommands=syslog"
    said = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((AT[LOG], port), timeout=20) as plain,
        context.wrap_socket(plain) as line,
    ):
        for asked in (b"1 open %d %s\n" % (len(offers), offers), b"2 syslog %d %s\n" % (len(frame), frame)):
            line.sendall(asked)
            said += line.recv(4096)
    return said


def test_the_name_is_that_of_the_certificate(pair: Pair) -> None:
    """Whatever the message claims."""
    frame = b"<22>1 2026-11-25T03:40:24.123456Z ms1.cluster.test dovecot 7 - - claims another name"
    assert b"200 OK" in relp(pair, _PORTS[MX], MX, "identity", frame)
    line = pair.log.wait_for(MX, "claims another name")
    assert line == "2026-11-25T03:40:24.123456+00:00 mx1.cluster.test dovecot[7]: claims another name"
    assert not pair.log.files(HOME)


def test_a_frame_with_newlines_is_one_line(pair: Pair) -> None:
    frame = b"<22>1 2026-11-25T03:40:24Z x y 7 - - one\n2026-11-25T03:40:24.000000+00:00 ms1.cluster.test a: two"
    assert b"200 OK" in relp(pair, _PORTS[MX], MX, "identity", frame)
    line = pair.log.wait_for(MX, "a: two")
    assert line.startswith("2026-11-25T03:40:24.000000+00:00 mx1.cluster.test y[7]: one#012")


def test_what_is_no_message_is_kept_under_the_senders_name(pair: Pair) -> None:
    assert b"200 OK" in relp(pair, _PORTS[MX], MX, "identity", b"2026-11-25 rubbish \x00 without a head")
    line = pair.log.wait_for(MX, "without a head")
    assert line.split(" ")[1] == MX


@pytest.mark.parametrize(
    ("port_of", "certificate_of", "kind"),
    [(HOME, MX, "identity"), (MX, MX, "service"), (MX, HOME, "service")],
    ids=["another node's port", "a daemon's certificate", "a daemon's certificate of another"],
)
def test_the_wrong_certificate_is_refused(pair: Pair, port_of: str, certificate_of: str, kind: str) -> None:
    said = relp(pair, _PORTS[port_of], certificate_of, kind, b"<22>1 - ms1.cluster.test dovecot 7 - - forged")
    assert b"200 OK" not in said
    pair.mx.say(b"a later line")
    pair.log.wait_for(MX, "a later line")
    assert not pair.log.files(HOME)
    assert not any("forged" in line for line in pair.log.raw(MX))


def test_a_certificate_of_another_authority_is_refused(pair: Pair, ca, tmp_path) -> None:  # type: ignore[no-untyped-def]
    ca.issue(tmp_path, [MX])
    for end in ("crt", "key"):
        pair.mx.cluster.path("stranger", "identity", end).write_bytes((tmp_path / f"service.{end}").read_bytes())
    assert b"200 OK" not in relp(pair, _PORTS[MX], "stranger", "identity", b"<22>1 - x y 7 - - forged")


def test_nothing_is_sent_to_a_false_log_node(pair: Pair) -> None:
    """Another node's daemons at the log node's address: the sender waits, and tells the true one later."""
    true = pair.log.driver
    pair.log.driver = Rsyslog(pair.log.placed(HOME))
    pair.log.bring()
    pair.mx.services.restart(sender(LOG))
    pair.mx.say(b"for the true log node only")
    wait_until(lambda: not pair.mx.services.is_active(sender(LOG)), "the sender gives up")
    assert not any("true log node" in line for line in pair.log.raw(MX))
    pair.log.driver = true
    pair.log.configure()
    for box in (pair.log, pair.mx):  # the log node's own sender may have given up, too
        box.services.as_systemd()
    pair.log.wait_alive()
    pair.log.wait_for(MX, "for the true log node only")
