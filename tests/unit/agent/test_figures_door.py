"""Asking a node for its figures, over TLS: who may, and who may not."""

from __future__ import annotations

import datetime
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from node_papers import papers_for

from roost.agent.figures.door import Door, may_come
from roost.agent.papers import Papers
from roost.control.authority import Authority
from roost.domain.cluster import Cluster, Node, Policy, Role
from roost.domain.desired import NodeSettings, settings_for
from roost.domain.errors import NodeAway, NotAuthenticated
from roost.domain.figures import Figure
from roost.wire import peer

MS1, MS2, CONTROL = "ms1.cluster.test", "ms2.cluster.test", "control.cluster.test"
NODES = (
    Node(MS1, frozenset({Role.STORAGE}), ("192.0.2.1",), joined=True),
    Node(MS2, frozenset({Role.STORAGE}), ("192.0.2.2",), joined=True),
    Node(CONTROL, frozenset({Role.CONTROL}), ("192.0.2.9", "2001:db8::9"), joined=True),
)


def settings(*networks: str) -> NodeSettings:
    return settings_for(Cluster("cluster.test", 1, NODES, (), Policy(metrics_from=networks)), MS1)


def monitoring(folder: Path, authority: Authority) -> tuple[str, str]:
    """Return paths of a certificate for monitoring and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    folder.mkdir()
    (folder / "crt").write_text(authority.sign_monitoring(pem, datetime.datetime.now(datetime.UTC), 30))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return f"{folder}/crt", f"{folder}/key"


class Net:
    """A door, and those who knock."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(*Authority.create("cluster.test", datetime.datetime.now(datetime.UTC)))
        stranger = Authority(*Authority.create("other.test", datetime.datetime.now(datetime.UTC)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.papers = {
            name: papers_for(folder / name, self.authority, name, "127.0.0.1", self.port)
            for name in (MS1, MS2, CONTROL)
        }
        self.monitoring = monitoring(folder / "monitoring", self.authority)
        self.stranger = monitoring(folder / "stranger", stranger)
        self.door = Door(lambda: [Figure("roost_load_ratio", 0.5)], settings, self.papers[MS1])
        self.door.start()

    def asks(self, certificate: tuple[str, str] | None, path: str = "/metrics") -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.papers[MS1].authority)
        if certificate:
            context.load_cert_chain(*certificate)
        context.check_hostname = False
        end = time.monotonic() + 10
        while True:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
            try:
                connection.request("GET", path)
            except ConnectionRefusedError:
                assert time.monotonic() < end, "nobody listens"
            except OSError:
                connection.close()
                raise
            else:
                return connection

    def refuses(self, certificate: tuple[str, str] | None) -> bool:
        """Say whether there is no answer."""
        try:
            with closing(self.asks(certificate)) as connection:
                return connection.getresponse().status != 200
        except (OSError, http.client.HTTPException):
            return True


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    yield made
    made.door.stop()


def identity(papers: Papers) -> tuple[str, str]:
    return papers.identity, papers.identity_key


def test_a_monitoring_certificate_reads_and_so_does_a_controller(net: Net) -> None:
    """Several times over one connection; the certificate's own end is among the figures."""
    connection = net.asks(net.monitoring)
    for _ in range(2):
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200
        assert answer.getheader("Content-Type", "").startswith("text/plain; version=")
        assert "roost_load_ratio 0.5\n" in text
        assert 'roost_certificate_expires_timestamp_seconds{certificate="monitoring"}' in text
        connection.request("GET", "/metrics")
    connection.close()
    connection = net.asks(identity(net.papers[CONTROL]))
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("who", ["nobody", "home", "service", "stranger"])
def test_all_others_are_refused(net: Net, who: str) -> None:
    """Who shows nothing, another node, a node's service certificate, another cluster's monitoring."""
    shown = {
        "nobody": None,
        "home": identity(net.papers[MS2]),
        "service": (net.papers[MS2].service, net.papers[MS2].service_key),
        "stranger": net.stranger,
    }[who]
    assert net.refuses(shown)


def test_nothing_else_is_there(net: Net) -> None:
    connection = net.asks(net.monitoring, "/")
    assert connection.getresponse().status == 404
    connection.close()


def test_places_are_few_and_come_back(net: Net) -> None:
    """Who has no place is sent away, and the others are not disturbed."""
    held = [net.asks(net.monitoring) for _ in range(8)]
    assert [connection.getresponse().read()[:1] for connection in held] == [b"#"] * 8
    assert net.refuses(net.monitoring)
    for connection in held:
        connection.close()
    end = time.monotonic() + 10
    while net.refuses(net.monitoring):
        assert time.monotonic() < end, "a place that was left is not given again"


def test_a_monitoring_certificate_is_no_nodes(net: Net) -> None:
    """Where agents call each other it opens nothing."""
    papers = net.papers[MS2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        context = ssl.create_default_context(cafile=papers.authority)
        context.load_cert_chain(*net.monitoring)
        context.check_hostname = False
        plain = socket.create_connection(("127.0.0.1", port))
        taken, _ = server.accept()
        failed: list[BaseException] = []

        def accept() -> None:
            try:
                peer.accept(taken, authority=papers.authority, certificate=papers.service, key=papers.service_key)
            except (NotAuthenticated, NodeAway) as error:
                failed.append(error)

        thread = threading.Thread(target=accept)
        thread.start()
        with context.wrap_socket(plain):
            thread.join(10)
    assert [type(error) for error in failed] == [NotAuthenticated]


@pytest.mark.parametrize(
    ("address", "comes"),
    [
        ("192.0.2.9", True),
        ("::ffff:192.0.2.9", True),
        ("2001:db8::9", True),
        ("198.51.100.77", True),
        ("198.51.100.200", False),
        ("192.0.2.2", False),
        ("2001:db8::2", False),
        ("127.0.0.1", True),
        ("::1", True),
    ],
)
def test_who_may_come(address: str, comes: bool) -> None:
    """Controllers, the policy's networks, and the machine itself."""
    assert may_come(settings("198.51.100.64/26", "2001:db8:1::/64"), address) is comes


def test_without_networks_only_controllers_come() -> None:
    assert not may_come(settings(), "198.51.100.77")
