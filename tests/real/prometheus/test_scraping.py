"""Prometheus itself reads a node: over TLS, with the certificate and the configuration that Roost gives it."""

from __future__ import annotations

import datetime
import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.agent.figures.door import Door
from roost.agent.papers import Papers
from roost.cli.metrics import AUTHORITY, CERTIFICATE, JOB, KEY, _say_job
from roost.control.authority import Authority
from roost.domain.cluster import Cluster, Policy
from roost.domain.desired import settings_for
from roost.domain.figures import Figure, Spread

from ..common.waiting import wait_until
from .exposed import MEMBER, NAME

NOW = datetime.datetime.now(datetime.UTC)


def _papers(folder: Path, names: tuple[str, str], sign: Callable[[str], str]) -> None:
    """Write a certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    (folder / names[0]).write_text(sign(request.public_bytes(serialization.Encoding.PEM).decode()))
    (folder / names[1]).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def _prometheus(folder: Path) -> Iterator[Callable[[str], list[dict[str, object]]]]:
    """Run one in a folder that has its configuration; give what asks it."""
    port = _free_port()
    options = (
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        "--storage.tsdb.path",
        str(folder / "db"),
    )
    argv = ["prometheus", "--config.file", str(folder / "prometheus.yml"), *options]

    def ask(query: str) -> list[dict[str, object]]:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return list(json.load(answer)["data"]["result"])
        except OSError:
            return []

    with (folder / "log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as running:
        try:
            yield ask
        finally:
            running.terminate()


def test_it_reads_a_node(tmp_path: Path) -> None:
    """And, of another cluster, it is refused; the alert about it is its own to give."""
    authority = Authority(*Authority.create("cluster.test", NOW))
    (tmp_path / AUTHORITY).write_text(authority.certificate_pem)
    _papers(tmp_path, ("service.crt", "service.key"), lambda pem: authority.sign_service(pem, ["localhost"], NOW))
    _papers(tmp_path, (CERTIFICATE, KEY), lambda pem: authority.sign_monitoring(pem, NOW, 7))
    other, stranger = Authority(*Authority.create("other.test", NOW)), tmp_path / "stranger"
    stranger.mkdir()
    (stranger / AUTHORITY).write_text(authority.certificate_pem)
    _papers(stranger, (CERTIFICATE, KEY), lambda pem: other.sign_monitoring(pem, NOW, 7))
    spread = Spread("roost_mail_delivery_seconds", (NAME,))
    spread.take(3.0)
    told = [Figure("roost_queue_waiting", 7, (NAME, "10m")), Figure("roost_log_lines_total", 11), spread]
    settings = settings_for(Cluster("cluster.test", 1, (MEMBER,), (), Policy()), NAME)
    port = _free_port()
    papers = Papers(
        authority=str(tmp_path / AUTHORITY),
        service=str(tmp_path / "service.crt"),
        service_key=str(tmp_path / "service.key"),
        listen="127.0.0.1",
        port=port,
    )
    door = Door(lambda: list(told), lambda: settings, papers)
    door.start()
    said = ["scrape_configs:"]
    for job, folder in ((JOB, tmp_path), ("stranger", stranger)):
        _say_job(said.append, job, folder, [(f"localhost:{port}", {"instance": NAME, "roles": "mx log"})])
    text = "\n".join(said).replace("scrape_interval: 30s", "scrape_interval: 1s\n    scrape_timeout: 1s")
    (tmp_path / "prometheus.yml").write_text(text)
    try:
        with _prometheus(tmp_path) as ask:
            wait_until(lambda: len(ask("up")) == 2, "both jobs have been tried", 30)
            wait_until(lambda: ask(f'up{{job="{JOB}"}} == 1'), "the node is read", 30)
            (found,) = ask("roost_queue_waiting")
            assert found["metric"] == {
                "__name__": "roost_queue_waiting",
                "home": NAME,
                "age": "10m",
                "instance": NAME,
                "roles": "mx log",
                "job": JOB,
            }
            assert ask("roost_log_lines_total == 11")
            assert ask('roost_mail_delivery_seconds_bucket{le="5.0"} == 1')
            assert ask('roost_certificate_expires_timestamp_seconds{certificate="monitoring"} > time()')
            assert ask('up{job="stranger"} == 0'), "another cluster's certificate opens nothing"
    finally:
        door.stop()
