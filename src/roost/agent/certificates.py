"""The node's keys and certificates. Keys are made here and never leave; the controller signs requests for them.

=============================  ====================================================================================
/etc/roost/agent/identity.*    the agent's own, with which it speaks to the controller
/etc/roost/tls/service.*       the daemons'; ``ca.crt`` beside it is what all of them trust
=============================  ====================================================================================

A key is kept at a renewal, so that only the certificate's file changes, atomically. Certificates are renewed when a
third of their life is left, and the service certificate also when its names are no longer those that it should have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.ports.host import IDENTITY_CERTIFICATE, IDENTITY_KEY, TLS_CA, TLS_CERTIFICATE, TLS_KEY, File, Host
from roost.wire.agent_messages import Certificates

_RENEW_SHARE = 1 / 3


@dataclass(frozen=True)
class Requests:
    """Certificate requests for the two keys, PEM."""

    identity: str
    service: str


def requests(host: Host, node: str) -> Requests:
    """Return requests for the node's keys, making keys that are missing."""
    host.make_folder("/etc/roost/agent", 0o700)
    host.make_folder("/etc/roost/tls", 0o755)
    return Requests(_request(host, IDENTITY_KEY, node), _request(host, TLS_KEY, node))


def _request(host: Host, path: str, node: str) -> str:
    file = host.read(path)
    if file is None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = File(path, pem.decode(), 0o600)
        host.write(file)
    loaded = serialization.load_pem_private_key(file.content.encode(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, node[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(loaded, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def install(host: Host, certificates: Certificates) -> None:
    """Put signed certificates in place; the agent's own last, since it is what makes the node a member."""
    host.write(File(TLS_CA, certificates.authority))
    host.write(File(TLS_CERTIFICATE, certificates.service))
    host.write(File(IDENTITY_CERTIFICATE, certificates.identity, 0o600))


def due(host: Host, names: tuple[str, ...], now: datetime) -> str:
    """Return why new certificates are needed, '' where they are not."""
    for path in (IDENTITY_CERTIFICATE, TLS_CERTIFICATE):
        file = host.read(path)
        if file is None:
            return f"{path} is missing"
        try:
            certificate = x509.load_pem_x509_certificate(file.content.encode())
        except ValueError:
            return f"{path} cannot be read"
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        if certificate.not_valid_after_utc - now < life * _RENEW_SHARE:
            return f"{path} ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if set(extension.get_values_for_type(x509.DNSName)) != set(names):
        return "the service certificate has other names"
    return ""
