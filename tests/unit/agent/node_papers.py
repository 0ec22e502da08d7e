"""PEM files for nodes of a test, signed by an authority of the test's own."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roost.agent.papers import Papers
from roost.control.authority import Authority


def papers_for(folder: Path, authority: Authority, name: str, listen: str, port: int) -> Papers:
    """Return where a node's files are, which are written into the folder."""
    now = datetime.datetime.now(datetime.UTC)
    folder.mkdir(exist_ok=True)
    (folder / "ca.crt").write_text(authority.certificate_pem)
    for kind in ("identity", "service"):
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        signed = (
            authority.sign_identity(pem, name, now)
            if kind == "identity"
            else authority.sign_service(pem, [name, "*.pop.example.test"], now)
        )
        (folder / f"{kind}.crt").write_text(signed)
        (folder / f"{kind}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return Papers(
        *(f"{folder}/{file}" for file in ("ca.crt", "identity.crt", "identity.key", "service.crt", "service.key")),
        listen=listen,
        port=port,
    )
