"""``roost metrics``: what a monitoring system needs in order to read the cluster's figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyclopts import App

from roost.cli.options import COMMON, Common
from roost.cli.session import Use
from roost.domain.errors import BadSetting
from roost.domain.figures import PORT
from roost.wire.resources import NewMonitoringCertificate

if TYPE_CHECKING:
    from roost.wire.resources import NodeView

app = App(name="metrics")

FOLDER = Path("/etc/prometheus/roost")
KEY, CERTIFICATE, AUTHORITY = "monitoring.key", "monitoring.crt", "ca.crt"
JOB, CONTROLLER_JOB = "roost", "roost-controller"
_LONGEST_DAYS = 1095


@app.command
def certificate(folder: Path, /, *, valid_days: int = 365, options: Common = COMMON, session: Use) -> None:
    """Get a certificate with which a monitoring system may read figures, and do nothing else.

    Writes monitoring.key, monitoring.crt and ca.crt into a folder. The key is made
    here and goes nowhere; one that is there already is kept, so that the same command
    renews the certificate. Only the owner can read the key: give it to the user as whom
    Prometheus runs.

    For example:
      roost metrics certificate /etc/prometheus/roost
      chown prometheus: /etc/prometheus/roost/monitoring.key

    Parameters
    ----------
    folder
        Where the three files go; it is made where there is none.
    valid_days
        For how many days it is good.
    """
    if not 1 <= valid_days <= _LONGEST_DAYS:
        raise BadSetting(f"It can be valid for 1 to {_LONGEST_DAYS} days.", field="valid_days")
    out, client = session.out(options), session.client()
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        wanted = NewMonitoringCertificate(request=_request(folder / KEY), valid_days=valid_days)
        signed = client.monitoring_certificate(wanted)
        (folder / AUTHORITY).write_text(signed.authority)
        (folder / CERTIFICATE).write_text(signed.certificate)
    except OSError as error:
        raise BadSetting(f"{error.filename or folder}: {error.strerror}.", field="folder") from error
    if out.json:
        out.document(signed)
    out.say(f"{folder / CERTIFICATE} is good until {signed.expires:%Y-%m-%d}.")


@app.command(name="scrape-config")
def scrape_config(*, folder: Path = FOLDER, options: Common = COMMON, session: Use) -> None:
    """Print Prometheus' scrape configuration for the cluster as it is now.

    It has every node that has joined, and the controller. Print it anew when nodes
    come or go; with --output json it is the list of targets in the form of Prometheus'
    file_sd_configs, for a configuration of your own.

    For example:
      roost metrics scrape-config > /etc/prometheus/roost.yml
      roost metrics scrape-config --output json > /etc/prometheus/roost/targets.json

    Parameters
    ----------
    folder
        Where the monitoring system has its certificate.
    """
    out, client = session.out(options), session.client()
    nodes = [node for node in client.nodes() if node.joined]
    controller = urlsplit(client.url).netloc
    if out.json:
        of_controller = {"targets": [controller], "labels": {"instance": "controller", "job": CONTROLLER_JOB}}
        out.document([*({"targets": [_target(n)], "labels": _labels(n)} for n in nodes), of_controller])
    papers = folder.absolute()
    out.say("# Written by 'roost metrics scrape-config'; print it anew when nodes come or go.")
    out.say("scrape_configs:")
    _say_job(out.say, JOB, papers, [(_target(node), _labels(node)) for node in nodes])
    _say_job(out.say, CONTROLLER_JOB, papers, [(controller, {"instance": "controller"})])


def _say_job(say: Callable[[str], None], name: str, papers: Path, targets: list[tuple[str, dict[str, str]]]) -> None:
    say(f"  - job_name: {name}\n    scheme: https\n    scrape_interval: 30s\n    tls_config:")
    for setting, file in (("ca_file", AUTHORITY), ("cert_file", CERTIFICATE), ("key_file", KEY)):
        say(f"      {setting}: '{papers / file}'")
    say("    static_configs:" if targets else "    static_configs: []")
    for target, labels in targets:
        say(f"      - targets: ['{target}']")
        words = ", ".join(f"{label}: '{value}'" for label, value in labels.items())
        say(f"        labels: {{ {words} }}")


def _target(node: NodeView) -> str:
    return f"{node.name}:{PORT}"


def _labels(node: NodeView) -> dict[str, str]:
    return {"instance": node.name, "roles": " ".join(node.roles)}


def _request(path: Path) -> str:
    """Return a certificate request for the key in a file, which is made where there is none."""
    # Loaded here and not above: help need not pay for it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if not path.exists():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise BadSetting(f"{path} is no key that can be read.", field="folder", remedy="Remove it.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadSetting(f"{path} is no elliptic curve key.", field="folder", remedy="Remove it.")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "monitoring")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
