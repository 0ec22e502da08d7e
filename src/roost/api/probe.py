"""The probe, for administrators and for the nodes that probe."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from roost.api.identity import actor_of, node_of
from roost.api.parts import Parts, parts_of
from roost.control import probes
from roost.control.warnings import of_probes
from roost.wire.probe_messages import ProbeReply, ProbeRequest, ProberView, ProbeView
from roost.wire.resources import Warned, Written

router = APIRouter(tags=["probe"])
Actor = Annotated[str, Depends(actor_of)]
NodeName = Annotated[str, Depends(node_of)]


@router.get("/v1/probe")
async def get_probe(
    request: Request,
    actor: Actor,
    number: Annotated[int, Query(ge=0)] = 0,
    wait: Annotated[float, Query(ge=0, le=60)] = 0,
) -> ProbeView:
    """The last round of every prober; waits until all have answered request ``number``, or ``wait`` seconds."""
    del actor
    parts = parts_of(request)
    deadline = time.monotonic() + wait
    while True:
        noted = parts.wakeup.count
        found = await run_in_threadpool(_view, parts)
        left = deadline - time.monotonic()
        if left <= 0 or all(prober.number >= number for prober in found.probers):
            return found
        await parts.wakeup.wait(noted, left)


@router.post("/v1/probe")
def ask_probe(request: Request, actor: Actor) -> ProbeView:
    """Ask every prober for a round now; ``asked`` in the answer is its number."""
    del actor
    parts = parts_of(request)
    parts.probes.ask()
    return _view(parts)


@router.post("/v1/probe/mailboxes")
def make_anew(request: Request, actor: Actor) -> Written:
    """Give all test mailboxes new names and passwords."""
    done = probes.make_anew(parts_of(request).store, actor)
    return Written(revision=done.revision, did=done.did)


def _view(parts: Parts) -> ProbeView:
    with parts.store.read() as view:
        cluster = view.cluster()
    found = probes.findings(parts.probes, cluster, parts.clock.now())
    return ProbeView(
        every=cluster.policy.probe_seconds,
        asked=parts.probes.asked,
        probers=[_prober(name, taken) for name, taken in parts.probes.last(cluster).items()],
        findings=[Warned(**asdict(warned)) for warned in of_probes(found)],
    )


def _prober(name: str, taken: probes.Taken | None) -> ProberView:
    if taken is None:
        return ProberView(node=name)
    found = taken.round
    return ProberView(
        node=name,
        at=taken.at,
        number=found.number,
        seconds=found.seconds,
        mails=list(found.mails),
        logins=list(found.logins),
        doors=list(found.doors),
        boxes=list(found.boxes),
        backups=list(found.backups),
    )


@router.post("/agent/probe")
async def probe(body: ProbeRequest, request: Request, name: NodeName) -> ProbeReply:
    """Take a prober's round, and tell what to try; held until a round is asked for, or until ``wait`` is over."""
    parts = parts_of(request)
    deadline = time.monotonic() + body.wait
    if body.found is not None:
        # Who may not ask may not tell either.
        await run_in_threadpool(_task, parts, name)
        parts.probes.take(name, body.found, parts.clock.now())
        parts.wakeup.ring()
    while True:
        noted = parts.wakeup.count
        left = deadline - time.monotonic()
        if parts.probes.asked != body.asked or left <= 0 or await request.is_disconnected():
            return await run_in_threadpool(_task, parts, name)
        await parts.wakeup.wait(noted, left)


def _task(parts: Parts, name: str) -> ProbeReply:
    return ProbeReply(task=probes.task(parts.store, parts.followers, parts.probes, name))
