"""When a node asks for new certificates, and what it asks with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from roost.agent import certificates
from roost.control.authority import Authority
from roost.host.fake import FakeHost
from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, TLS_CERTIFICATE, TLS_KEY, File
from roost.wire.agent_messages import Certificates

NOW = datetime(2026, 11, 24, tzinfo=UTC)
NAMES = ("ms1.cluster.test", "*.pop.example.test")


@pytest.fixture
def joined() -> FakeHost:
    """A machine with certificates made just now."""
    host = FakeHost()
    sign(host, NOW)
    return host


def sign(host: FakeHost, now: datetime) -> None:
    """Do what joining does."""
    key, certificate = Authority.create("cluster.test", now)
    authority = Authority(key, certificate)
    wanted = certificates.requests(host, NAMES[0])
    signed = Certificates(
        node=NAMES[0],
        authority=certificate,
        identity=authority.sign_identity(wanted.identity, NAMES[0], now),
        service=authority.sign_service(wanted.service, NAMES, now),
    )
    certificates.install(host, signed)


def life(host: FakeHost) -> timedelta:
    certificate = x509.load_pem_x509_certificate(host.files[TLS_CERTIFICATE].content.encode())
    return certificate.not_valid_after_utc - NOW


def test_fresh_ones_are_kept(joined: FakeHost) -> None:
    assert certificates.due(joined, NAMES, NOW) == ""
    assert certificates.due(joined, NAMES[::-1], NOW) == "", "the order of names says nothing"
    assert certificates.due(joined, NAMES, NOW + life(joined) / 2) == ""


def test_they_are_renewed_when_a_third_of_their_life_is_left(joined: FakeHost) -> None:
    assert "ends on" in certificates.due(joined, NAMES, NOW + life(joined) * 0.7)
    assert "ends on" in certificates.due(joined, NAMES, NOW + life(joined) * 2)


def test_they_follow_the_domains(joined: FakeHost) -> None:
    assert "other names" in certificates.due(joined, (*NAMES, "*.pop.second.test"), NOW)
    assert "other names" in certificates.due(joined, NAMES[:1], NOW)


@pytest.mark.parametrize("path", [TLS_CERTIFICATE, IDENTITY_CERTIFICATE])
def test_damage_is_a_reason(joined: FakeHost, path: str) -> None:
    joined.write(File(path, "rubbish"))
    assert "cannot be read" in certificates.due(joined, NAMES, NOW)
    joined.remove(path)
    assert "missing" in certificates.due(joined, NAMES, NOW)


def test_a_renewal_keeps_the_keys(joined: FakeHost) -> None:
    """So that at no moment a certificate stands beside a key that is not its own."""
    before = {path: joined.files[path] for path in (TLS_KEY, IDENTITY_KEY)}
    sign(joined, NOW + timedelta(days=60))
    assert {path: joined.files[path] for path in before} == before
    assert all(file.mode == 0o600 for file in before.values())
