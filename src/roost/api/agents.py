"""What agents ask: join, feed, digests, certificates, reports. All but joining need the node's certificate."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from roost.api.identity import node_of
from roost.api.parts import Parts, parts_of
from roost.control import drift, nodes
from roost.control.feed import News
from roost.domain.desired import service_names, settings_for
from roost.ports.store import Report
from roost.wire.agent_messages import (
    BucketReply,
    BucketRequest,
    CertificateRequest,
    Certificates,
    DigestReply,
    DigestRequest,
    DriftReport,
    FeedReply,
    FeedRequest,
    JoinRequest,
    TableNews,
)

router = APIRouter(prefix="/agent", tags=["agents"])
NodeName = Annotated[str, Depends(node_of)]


@router.get("/authority")
def authority(request: Request) -> Certificates:
    """The CA's certificate, for a node that joins and pins it by the fingerprint in its token."""
    return Certificates(node="", authority=parts_of(request).authority.certificate_pem, identity="", service="")


@router.post("/join")
def join(body: JoinRequest, request: Request) -> Certificates:
    """Let a node join by its one-time token; answers with its certificates."""
    parts = parts_of(request)
    node = nodes.redeem(parts.store, body.token, parts.clock.now())
    parts.followers.forget(node.name)
    return _certificates(parts, node.name, body.identity_request, body.service_request)


@router.post("/certificates")
def certificates(body: CertificateRequest, request: Request, name: NodeName) -> Certificates:
    """Sign new certificates for a node that has valid ones."""
    parts = parts_of(request)
    parts.feed.node(name)
    return _certificates(parts, name, body.identity_request, body.service_request)


def _certificates(parts: Parts, name: str, identity_request: str, service_request: str) -> Certificates:
    with parts.store.read() as view:
        cluster = view.cluster()
    names = service_names(cluster, nodes.find(cluster, name))
    now = parts.clock.now()
    return Certificates(
        node=name,
        authority=parts.authority.certificate_pem,
        identity=parts.authority.sign_identity(identity_request, name, now),
        service=parts.authority.sign_service(service_request, names, now),
    )


@router.post("/feed", response_model=FeedReply)
async def feed(body: FeedRequest, request: Request, name: NodeName) -> Response:
    """Hold the request until there is something newer than the positions, or until ``wait`` is over."""
    parts = parts_of(request)
    parts.followers.look(name, body.glance, parts.clock.now())
    if parts.followers.note(name, body.positions, body.health, body.checked, parts.clock.now()):
        parts.wakeup.ring()
        # Perhaps a move waited for just this; the answer below has what follows.
        if parts.mover.awaits(name) and await run_in_threadpool(parts.mover.tick):
            parts.wakeup.ring()
    deadline = time.monotonic() + body.wait
    while True:
        noted = parts.wakeup.count
        news = await run_in_threadpool(
            parts.feed.answer, name, body.epoch, body.positions, held=body.held, paused=body.paused
        )
        left = deadline - time.monotonic()
        if news.settings or news.pages or news.epoch != body.epoch or news.check > body.checked or left <= 0:
            return await run_in_threadpool(_reply, news)
        parts.followers.touch(name, parts.clock.now())
        await parts.wakeup.wait(noted, left)
        if await request.is_disconnected():
            return _reply(news)


def _reply(news: News) -> Response:
    """Write the answer. Rows come from the store and are right: checking each again would cost more than all else."""
    tables = {
        str(table): TableNews.model_construct(rows=page.rows, upto=page.upto, more=page.more)
        for table, page in news.pages.items()
    }
    reply = FeedReply.model_construct(
        epoch=news.epoch, settings=news.settings, tables=tables, check=news.check, lifted=news.lifted
    )
    return Response(reply.model_dump_json(), media_type="application/json")


@router.post("/digests")
def digests(body: DigestRequest, request: Request, name: NodeName) -> DigestReply:
    """Compare a node's digests of a table with the store's."""
    differ, head = parts_of(request).feed.differing(name, body.table, body.position, body.buckets)
    return DigestReply(comparable=differ is not None, differ=differ or [], head=head)


@router.post("/bucket")
def bucket(body: BucketRequest, request: Request, name: NodeName) -> BucketReply:
    """Return the rows of one bucket of a table that the node follows."""
    rows = parts_of(request).feed.bucket(name, body.table, body.position, body.bucket)
    return BucketReply(comparable=rows is not None, rows=rows or [])


@router.post("/drift")
def report_drift(body: DriftReport, request: Request, name: NodeName) -> dict[str, bool]:
    """Take down the result of a node's drift check."""
    parts = parts_of(request)
    parts.feed.node(name)
    report = Report(name, drift.KIND, parts.clock.now(), body.model_dump_json())
    drift.take(parts.store, report, checked=body.whole, found=bool(body.findings))
    return {"taken": True}


@router.get("/settings")
def settings(request: Request, name: NodeName) -> dict[str, object]:
    """Return the node's settings, for a person who looks."""
    parts = parts_of(request)
    with parts.store.read() as view:
        found = settings_for(view.cluster(), name)
    return {"node": found.node, "revision": found.revision, "roles": list(found.roles)}
