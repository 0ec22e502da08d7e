"""``roost metrics``: the certificate's files, and the scrape configuration."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from fake_admin_api import NOON, FakeApi, node

from conftest import Roost
from roost.wire import resources as r


@pytest.fixture
def asked(api: FakeApi) -> list[str]:
    """The certificate requests that the API is given."""
    requests: list[str] = []

    def sign(request: httpx2.Request) -> r.MonitoringCertificate:
        body = json.loads(request.content)
        requests.append(body["request"])
        expires = NOON + timedelta(days=body["valid_days"])
        return r.MonitoringCertificate(certificate="CERTIFICATE\n", authority="AUTHORITY\n", expires=expires)

    api.on("POST", "/v1/metrics/certificate", sign)
    return requests


def test_the_key_stays_here_and_is_kept_at_a_renewal(roost: Roost, asked: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "roost"
    ran = roost("metrics", "certificate", str(folder), "--valid-days", "30")
    assert (ran.status, ran.out) == (0, f"{folder}/monitoring.crt is good until 2026-12-23.\n")
    key = folder / "monitoring.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert [(folder / name).read_text() for name in ("monitoring.crt", "ca.crt")] == ["CERTIFICATE\n", "AUTHORITY\n"]
    first = key.read_text()
    assert roost("metrics", "certificate", str(folder), "--output", "json").json["certificate"] == "CERTIFICATE\n"
    assert key.read_text() == first
    keys = {x509.load_pem_x509_csr(text.encode()).public_key().public_numbers() for text in asked}
    assert (len(asked), len(keys)) == (2, 1)
    assert "PRIVATE" not in "".join(asked)


@pytest.mark.parametrize("content", ["nonsense", ""])
def test_a_file_that_is_no_key_is_left_alone(roost: Roost, asked: list[str], tmp_path: Path, content: str) -> None:
    (tmp_path / "monitoring.key").write_text(content)
    ran = roost("metrics", "certificate", str(tmp_path))
    assert (ran.status, asked) == (2, [])
    assert "is no key" in ran.err
    assert (tmp_path / "monitoring.key").read_text() == content


def test_a_folder_that_cannot_be_made(roost: Roost, asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert roost("metrics", "certificate", str(tmp_path / "file" / "x")).status == 2
    assert roost("metrics", "certificate", str(tmp_path), "--valid-days", "0").status == 2
    assert asked == []


def test_the_scrape_configuration_has_every_node_that_has_joined(roost: Roost, api: FakeApi) -> None:
    new = node("ms9.cluster.test", joined=False)
    api.on("GET", "/v1/nodes", [node("mx1.cluster.test", roles=["dns", "mx"]), node("ms1.cluster.test"), new])
    text = roost("metrics", "scrape-config", "--folder", "/srv/papers").out
    assert "- targets: ['mx1.cluster.test:8447']" in text
    assert "labels: { instance: 'mx1.cluster.test', roles: 'dns mx' }" in text
    assert "- targets: ['ms1.cluster.test:8447']" in text
    assert "ms9" not in text
    assert text.count("key_file: '/srv/papers/monitoring.key'") == 2
    targets = roost("metrics", "scrape-config", "--output", "json").json
    assert targets[0] == {
        "targets": ["mx1.cluster.test:8447"],
        "labels": {"instance": "mx1.cluster.test", "roles": "dns mx"},
    }
    assert targets[-1]["labels"] == {"instance": "controller", "job": "roost-controller"}
