"""The cluster's private certificate authority (RFC 5280 profiles by the cryptography library).

Two kinds of certificates for a node, both for keys that it made itself, and a third kind for others:

* *identity*, for the agent: common name and DNS name are the node's name; usable as a client only, and only the
  controller looks at it;
* *service*, for the daemons: the names that ``domain.desired.service_names`` gives; usable as a server only;
* *monitoring*, for a monitoring system: no name of a host, so that it may read figures and do nothing else.

So a daemon's key, which a break-in may reach, does not speak for the node to the controller. The CA's certificate
may sign no further CAs (path length 0). What a node may ask for is decided by its row in the store at each request;
a certificate of a removed node is refused there, so no revocation list is needed.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from roost.domain.errors import BadSetting
from roost.domain.figures import MONITORING

CA_DAYS = 3650
NODE_DAYS = 90
_BACKDATE = timedelta(minutes=10)  # clocks of new machines may be a little behind


class Authority:
    """Signs with the CA's key."""

    def __init__(self, key_pem: str, certificate_pem: str) -> None:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadSetting("The CA's key is not an elliptic curve key.")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        self.certificate_pem = certificate_pem

    @classmethod
    def create(cls, cluster: str, now: datetime) -> tuple[str, str]:
        """Make a new CA for a cluster; return its key and its certificate, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Roost CA of {cluster}"[:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return key_to_pem(key), certificate.public_bytes(serialization.Encoding.PEM).decode()

    def fingerprint(self) -> str:
        """Return the SHA-256 of the CA's certificate in hexadecimal: what join tokens carry."""
        return hashlib.sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def sign_identity(self, request_pem: str, node: str, now: datetime, days: int = NODE_DAYS) -> str:
        """Return an agent's certificate for the key in the request; its names are ours, not the request's."""
        return self._sign(_public_key(request_pem), [node], ExtendedKeyUsageOID.CLIENT_AUTH, now, days)

    def sign_service(self, request_pem: str, names: Sequence[str], now: datetime, days: int = NODE_DAYS) -> str:
        """Return a daemon's certificate for the key in the request, with the names given (the first is its own)."""
        return self._sign(_public_key(request_pem), names, ExtendedKeyUsageOID.SERVER_AUTH, now, days)

    def sign_monitoring(self, request_pem: str, now: datetime, days: int) -> str:
        """Return a certificate that may read figures, for the key in the request."""
        names = [MONITORING]
        return self._sign(_public_key(request_pem), names, ExtendedKeyUsageOID.CLIENT_AUTH, now, days)

    def ends(self) -> float:
        """Return when the CA's certificate ends, in seconds (UNIX)."""
        return self._certificate.not_valid_after_utc.timestamp()

    def sign_text(self, text: str) -> str:
        """Return a signature of a text in UTF-8: ECDSA with SHA-256, DER, in base64."""
        return base64.b64encode(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()

    def verify(self, text: str, signature: str) -> bool:
        """Say whether a signature is this CA's, of this text."""
        try:
            self._key.public_key().verify(base64.b64decode(signature), text.encode(), ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True

    def _sign(
        self,
        public: ec.EllipticCurvePublicKey,
        names: Sequence[str],
        usage: x509.ObjectIdentifier,
        now: datetime,
        days: int,
    ) -> str:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(min(now + timedelta(days=days), self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _general_name(name: str) -> x509.GeneralName:
    """Return a name for a certificate: an IP address or a URN where it is one (RFC 5280 section 4.2.1.6)."""
    if name.startswith("urn:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _public_key(request_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a certificate request after checking that who asks holds it; raises ``BadSetting``."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
    except ValueError as error:
        raise BadSetting("The certificate request cannot be read.", field="request") from error
    public = request.public_key()
    if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise BadSetting("The certificate request is not for an elliptic curve key of its sender.", field="request")
    return public


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as PEM (PKCS #8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
