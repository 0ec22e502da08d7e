"""Figures over the API: who may read them, what is in them, and how a node's own reach the administrator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from test_moves_api import Api, one
from world import MS1, MS2

from roost.domain.errors import BadSetting, NotAuthenticated
from roost.domain.figures import MONITORING, Glance, Waiting
from roost.domain.move import State
from roost.store.store import SqlStore
from roost.wire.agent_messages import FeedRequest
from roost.wire.monitoring import holder_of
from roost.wire.resources import NewMonitoringCertificate


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Iterator[Api]:
    made = Api(store, tmp_path)
    yield made
    made.admin.close()


class Showing:
    """The application, for a client that shows a certificate."""

    def __init__(self, app: ASGIApp, der: bytes | None) -> None:
        self._app, self._der = app, der

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})["tls"] = {"client_cert_der": self._der}
        await self._app(scope, receive, send)


def csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def der_of(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)


def read(api: Api, *, der: bytes | None = None, key: str = "") -> tuple[int, str]:
    client = TestClient(Showing(api.http.app, der))
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {key}"} if key else {})
    return answer.status_code, answer.text


def say(api: Api, who: str, glance: Glance) -> None:
    api.who = who
    body = FeedRequest(epoch="x", positions={"settings": 0}, glance=glance, wait=0)
    assert api.http.post("/agent/feed", json=body.model_dump(mode="json")).status_code == 200


def test_a_certificate_for_monitoring_reads_and_does_nothing_else(api: Api) -> None:
    made = api.admin.monitoring_certificate(NewMonitoringCertificate(request=csr(), valid_days=30))
    found = x509.load_pem_x509_certificate(made.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(MONITORING)]
    assert found.not_valid_after_utc == made.expires
    assert made.expires - api.bench.clock.at == timedelta(days=30)
    assert made.authority == api.bench.authority.certificate_pem
    status, text = read(api, der=der_of(made.certificate))
    assert status == 200
    assert "roost_cluster_revision" in text
    client = TestClient(Showing(api.http.app, der_of(made.certificate)))
    assert client.get("/v1/status").status_code == 401


def test_all_others_are_refused(api: Api) -> None:
    """Nobody, a wrong key, a node; a key of the API may."""
    now = api.bench.clock.at
    identity = der_of(api.bench.authority.sign_identity(csr(), MS1, now))
    assert read(api)[0] == 401
    assert read(api, key="roost.x.y")[0] == 401
    assert read(api, der=identity)[0] == 401
    key = api.admin._http.headers["authorization"].removeprefix("Bearer ")
    assert read(api, key=key)[0] == 200
    with pytest.raises(NotAuthenticated):
        holder_of(der_of(api.bench.authority.sign_service(csr(), [MS1], now)))


def test_a_request_that_is_none_is_refused(api: Api) -> None:
    with pytest.raises(BadSetting):
        api.admin.monitoring_certificate(NewMonitoringCertificate(request="nonsense"))


def test_what_nodes_say_is_in_the_status_and_in_the_figures(api: Api) -> None:
    now = api.bench.clock.at.timestamp()
    waiting = {MS1: Waiting(4, 400), MS2: Waiting(0, 0)}
    say(api, "mx1.example.net", Glance(at=now + 30, load=0.5, disk=0.95, disk_path="/", queue=4, waiting=waiting))
    say(api, MS1, Glance(at=now, sessions=3, disk=0.2, disk_path="/", expires=now + 86_400))
    found = api.admin.status()
    assert (found.queue, found.sessions) == (4, 3)
    assert {home: (there.messages, there.oldest) for home, there in found.waiting.items()} == {MS1: (4, 400)}
    nodes = {node.name: node.figures for node in found.nodes}
    assert nodes[MS2] is None
    mx, home = nodes["mx1.example.net"], nodes[MS1]
    assert mx is not None
    assert (mx.load, mx.disk, mx.queue, mx.sessions, mx.skew) == (0.5, 0.95, 4, None, 30.0)
    assert home is not None
    assert (home.queue, home.sessions) == (None, 3)
    named = {(warned.subject, warned.name) for warned in found.warnings}
    assert named >= {
        ("mx1.example.net", "disk-nearly-full"),
        ("mx1.example.net", "clock-skew"),
        (MS1, "mail-waits"),
        (MS1, "certificate-expires"),
    }
    key = api.admin._http.headers["authorization"].removeprefix("Bearer ")
    lines = read(api, key=key)[1].splitlines()
    assert 'roost_node_clock_skew_seconds{node="mx1.example.net"} 30.0' in lines
    assert f'roost_cluster_mailboxes{{home="{MS1}"}} 2.0' in lines
    assert 'roost_warnings{warning="mail-waits"} 1.0' in lines
    assert f'roost_node_connected{{node="{MS1}"}} 1.0' in lines


def test_a_node_that_is_silent_keeps_no_figures(api: Api) -> None:
    now = api.bench.clock.at.timestamp()
    say(api, "mx1.example.net", Glance(at=now, queue=4, waiting={MS1: Waiting(4, 400)}))
    api.bench.clock.at += timedelta(minutes=2)
    found = api.admin.status()
    assert (found.queue, found.waiting) == (0, {})
    assert next(node.figures for node in found.nodes if node.name == "mx1.example.net") is None


def test_a_node_that_is_late_for_long_is_warned_of(api: Api) -> None:
    """The time is that of the change that it lacks, which the store has from the machine's own clock."""
    api.bench.clock.at = datetime.now(UTC)
    say(api, MS1, Glance())
    late = {warned.subject for warned in api.admin.status().warnings if warned.name == "node-late"}
    assert late == set(), "just now"
    api.bench.clock.at += timedelta(minutes=2)
    say(api, MS1, Glance())
    late = {warned.subject for warned in api.admin.status().warnings if warned.name == "node-late"}
    assert late == {MS1}


def test_moves_and_their_pauses(api: Api) -> None:
    key = api.admin._http.headers["authorization"].removeprefix("Bearer ")
    [move] = api.admin.ask_moves(one(to=MS2)).ids
    assert 'roost_moves{state="preparing"} 1.0' in read(api, key=key)[1]
    assert api.admin.status().moves == {"preparing": 1}
    assert "roost_move_pause_seconds_count 0.0" in read(api, key=key)[1]
    api.bench.until(move, State.SETTLING)
    lines = read(api, key=key)[1].splitlines()
    assert {"roost_move_pause_seconds_count 1.0", "roost_move_pause_seconds_sum 0.12"} <= set(lines)
    assert {f'roost_move_pause_seconds_bucket{{le="{le}"}} {n}' for le, n in (("0.1", "0.0"), ("0.2", "1.0"))} <= set(
        lines
    )
    api.bench.until(move, State.DONE)
    assert "roost_move_pause_seconds_count 1.0" in read(api, key=key)[1]


def test_the_authority_tells_its_own_end(api: Api) -> None:
    found = x509.load_pem_x509_certificate(api.bench.authority.certificate_pem.encode())
    assert api.bench.authority.ends() == found.not_valid_after_utc.timestamp()
