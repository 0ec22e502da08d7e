"""Who may read figures: told by the certificate that a client shows, which the TLS library has verified already.

A certificate for monitoring has one name, the URI ``domain.figures.MONITORING``, and no name of a host. So nowhere
else in the cluster is it of any use: all others demand the name of a node.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from roost.domain.errors import NotAuthenticated
from roost.domain.figures import MONITORING


@dataclass(frozen=True)
class Holder:
    """Whose a certificate is: ``monitoring``, or the agent's of a ``node``; and when it ends (seconds, UNIX)."""

    monitoring: bool
    node: str
    expires: float


def holder_of(der: bytes | None) -> Holder:
    """Return whose a client's certificate is; raises ``NotAuthenticated`` where it is neither of the two kinds."""
    if not der:
        raise NotAuthenticated("There is no certificate.")
    certificate = x509.load_der_x509_certificate(der)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise NotAuthenticated("The certificate is no client's.") from error
    hosts = names.get_values_for_type(x509.DNSName)
    monitoring = names.get_values_for_type(x509.UniformResourceIdentifier) == [MONITORING] and not hosts
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or not (monitoring or len(hosts) == 1):
        raise NotAuthenticated("The certificate is neither for monitoring nor an agent's.")
    return Holder(monitoring, "" if monitoring else hosts[0], certificate.not_valid_after_utc.timestamp())
