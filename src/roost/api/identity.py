"""Who is at the other end: a node by its client certificate, an administrator by his key.

uvicorn does not hand the client's certificate to the application, so ``PeerCertificateProtocol`` puts it into the
request's scope: ``scope["extensions"]["tls"]["client_cert_der"]``. The TLS library has verified it against the
cluster's CA before a byte of the request is read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from roost.api.parts import Parts, parts_of
from roost.control import keys
from roost.domain.errors import NotAuthenticated
from roost.wire.monitoring import holder_of


class PeerCertificateProtocol(H11Protocol):
    """HTTP/1.1 that tells the application the client's certificate, DER, where there is one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application for this connection."""
        super().connection_made(transport)
        ssl_object = transport.get_extra_info("ssl_object")
        certificate = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
        inner = self.app

        async def told(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})["tls"] = {"client_cert_der": certificate}
            await inner(scope, receive, send)

        self.app = told


def monitor_of(request: Request) -> None:
    """Raise ``NotAuthenticated`` unless the request may read figures: a certificate made for that, or any key."""
    der = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
    if der and holder_of(der).monitoring:
        return
    actor_of(request)


def node_of(request: Request) -> str:
    """Return the name of the node that asks; raises ``NotAuthenticated`` without an identity certificate."""
    der = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
    if not der:
        raise NotAuthenticated("This needs a node's certificate.", remedy="Run 'roost join' on the node.")
    certificate = x509.load_der_x509_certificate(der)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise NotAuthenticated("The certificate is not an agent's.") from error
    found = names.get_values_for_type(x509.DNSName)
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or len(found) != 1:
        raise NotAuthenticated("The certificate is not an agent's.")
    return found[0]


def actor_of(request: Request) -> str:
    """Return the name of the administrator's key that the request shows, for the audit log."""
    parts: Parts = parts_of(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated(
            "The request has no key.", remedy="Send 'Authorization: Bearer KEY' with a key that 'roost key add' made."
        )
    return keys.verify(parts.store, text, parts.clock.now()).name
