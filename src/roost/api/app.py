"""The controller's HTTPS API put together. Handlers are thin: check the form, call a use case, answer.

``/v1`` is for administrators and their programs, ``/agent`` for the nodes, ``/metrics`` for a monitoring system. The
description is at ``/openapi.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

import roost
from roost.api import (
    agents,
    aliases,
    balance,
    cluster,
    domains,
    mailboxes,
    metrics,
    moves,
    nodes,
    probe,
    problems,
    senders,
    traces,
    usage,
)
from roost.api.parts import Parts
from roost.api.wakeup import Wakeup
from roost.domain.errors import Unavailable
from roost.wire.resources import NewMailboxes

_PERSIST_SECONDS = 1.0
_TICK_SECONDS = 1.0
_DRAIN_SECONDS = 2.0
_BALANCE_SECONDS = 60.0
"""So a controller that has just begun looks at the load when its nodes have been heard."""

_RINGS_ITSELF = {"/agent/feed", "/agent/moves", "/agent/usage"}
_log = structlog.get_logger()


class RingAfterWrites:
    """Wakes whoever waits after every request that may have written: before its answer is sent."""

    def __init__(self, app: ASGIApp, wakeup: Wakeup) -> None:
        self._app = app
        self._wakeup = wakeup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; ring as its answer begins."""
        writes = scope["type"] == "http" and scope["method"] != "GET" and scope["path"] not in _RINGS_ITSELF

        async def ringing(message: object) -> None:
            if writes and isinstance(message, dict) and message["type"] == "http.response.start":
                self._wakeup.ring()
            await send(message)  # type: ignore[arg-type]

        await self._app(scope, receive, ringing if writes else send)


class _Api(FastAPI):
    """Describes the one body that FastAPI does not read itself (``mailboxes.add_many``), too."""

    def openapi(self) -> dict[str, Any]:
        """Return the description."""
        described = super().openapi()
        of_import = NewMailboxes.model_json_schema(ref_template="#/components/schemas/{model}")
        of_import.pop("$defs")
        described["components"]["schemas"]["NewMailboxes"] = of_import
        return described


def build(parts: Parts) -> FastAPI:
    """Return the application."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        parts.wakeup.attach()
        tasks = [
            asyncio.create_task(_keep_positions(parts)),
            asyncio.create_task(_go_on(parts, "moves", parts.mover.tick, _TICK_SECONDS)),
            asyncio.create_task(_go_on(parts, "drains", parts.drainer.tick, _DRAIN_SECONDS)),
            asyncio.create_task(_go_on(parts, "balance", parts.balancer.tick, _BALANCE_SECONDS)),
        ]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    app = _Api(
        title="Roost",
        version=roost.__version__,
        summary="Scale-out email on ordinary servers",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    for module in (
        domains,
        mailboxes,
        moves,
        aliases,
        senders,
        usage,
        balance,
        nodes,
        traces,
        probe,
        cluster,
        metrics,
        agents,
    ):
        app.include_router(module.router)
    problems.install(app)
    app.add_middleware(RingAfterWrites, wakeup=parts.wakeup)
    return app


async def _keep_positions(parts: Parts) -> None:
    """Write the nodes' positions to the store now and then; a store that is busy gets them the next time."""
    while True:
        await asyncio.sleep(_PERSIST_SECONDS)
        changed = parts.followers.changed()
        if not changed:
            continue
        try:
            await run_in_threadpool(parts.store.put_positions, changed)
        except Unavailable as error:
            _log.warning("positions not kept", reason=str(error))


async def _go_on(parts: Parts, what: str, tick: Callable[[], bool], seconds: float) -> None:
    """Do now and then what has become due. A fault is logged, and does not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            if await run_in_threadpool(tick):
                parts.wakeup.ring()
        except Unavailable as error:
            _log.warning(f"{what} wait", reason=str(error))
        except Exception:  # noqa: BLE001 - they must go on: the next turn may be good
            _log.exception(f"{what} wait: unexpected error")
