"""Figures for a monitoring system, and the certificate with which it may read the nodes' own."""

from __future__ import annotations

from typing import Annotated

import structlog
from cryptography import x509
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from roost.api.identity import actor_of, monitor_of
from roost.api.parts import parts_of, picture
from roost.control.figures import figures
from roost.wire.exposition import CONTENT_TYPE, exposition
from roost.wire.resources import MonitoringCertificate, NewMonitoringCertificate

router = APIRouter(tags=["figures"])
_log = structlog.get_logger()


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, allowed: Annotated[None, Depends(monitor_of)]) -> Response:
    """The controller's figures, as Prometheus reads them; with a key, or a certificate that was made for it."""
    del allowed
    parts = parts_of(request)
    found = picture(parts)
    rounds = [taken.round for taken in parts.probes.last(found.cluster).values() if taken is not None]
    text = exposition(figures(found, parts.mover.pauses(), parts.authority.ends(), rounds))
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


@router.post("/v1/metrics/certificate")
def certificate(
    body: NewMonitoringCertificate, request: Request, actor: Annotated[str, Depends(actor_of)]
) -> MonitoringCertificate:
    """Sign a certificate that may read the figures of every node, and nothing else."""
    parts = parts_of(request)
    signed = parts.authority.sign_monitoring(body.request, parts.clock.now(), body.valid_days)
    found = x509.load_pem_x509_certificate(signed.encode())
    _log.info("monitoring certificate signed", actor=actor, ends=f"{found.not_valid_after_utc:%Y-%m-%d}")
    return MonitoringCertificate(
        certificate=signed, authority=parts.authority.certificate_pem, expires=found.not_valid_after_utc
    )
