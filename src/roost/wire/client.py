"""The administrators' API from the caller's side: one method for each request, errors as Roost's own tree.

Protocol: HTTPS with ``Authorization: Bearer <key>``; bodies are the models of ``roost.wire.resources`` as JSON.
A refusal arrives as ``application/problem+json`` (RFC 9457) and leaves here as the class of ``roost.domain.errors``
that has its ``code``, so that a caller sees the same tree as the controller. What the network does (no answer, a
certificate that does not verify) is translated too: no exception of the HTTP library passes.

Guarantee: nothing is repeated by itself. A write whose answer was lost may have been done; look before you ask again.

Relies on httpx2 for HTTP and on ``ssl`` for trust. Proxies named in the environment are not used: the key goes to
the controller and to nobody else.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel

from roost.domain.errors import BadName, BadSetting
from roost.domain.ties import FREE, Ties
from roost.domain.trace import Question
from roost.wire import balance_resources as b
from roost.wire import move_resources as m
from roost.wire import resources as r
from roost.wire.answers import error_of, read, translating
from roost.wire.probe_messages import ProbeView
from roost.wire.trace_messages import TimelineView, TraceView
from roost.wire.usage_resources import LoadView, NodeLoadView

T = TypeVar("T")
Progress = Callable[[int], None]
"""Is told how many bytes (of a transfer) went since it was called last."""

_CHUNK = 262_144
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_LONG_SECONDS = 900.0
"""For a backup, a restore and the audit log's check, which walk over everything the store has."""

_IMPORT_SECONDS_PER_MAILBOX = 0.1
"""The controller hashes a password in clear in about 0.03 s; hashes that are given are far quicker."""


class AdminClient:
    """A connection to the API; use it as a context manager, or close it.

    ``url`` is the controller's address, without a path; ``verify`` the TLS context that knows its authority.
    ``transport`` replaces the network in tests. Every method raises ``RoostError``: ``ControllerAway`` where there
    is no answer, otherwise what the controller said.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        verify: ssl.SSLContext | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        limits = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            self._http = httpx2.Client(
                base_url=self.url,
                headers=headers,
                verify=verify if verify is not None else True,
                transport=transport,
                timeout=limits,
                trust_env=False,
                follow_redirects=False,
            )
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise BadSetting(f"{url!r} is not a URL: {error}.", field="url") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # Domains

    def domains(self) -> list[r.DomainView]:
        return self._get("/v1/domains", list[r.DomainView])

    def domain(self, name: str) -> r.DomainView:
        return self._get(f"/v1/domains/{_segment(name)}", r.DomainView)

    def add_domain(self, new: r.NewDomain, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", "/v1/domains", new, dry_run=dry_run)

    def change_domain(self, name: str, change: r.DomainChange, *, dry_run: bool = False) -> r.Written:
        return self._write("PATCH", f"/v1/domains/{_segment(name)}", change, dry_run=dry_run)

    def remove_domain(self, name: str, *, dry_run: bool = False) -> r.Written:
        return self._write("DELETE", f"/v1/domains/{_segment(name)}", dry_run=dry_run)

    # Mailboxes

    def mailboxes(
        self, *, domain: str = "", home: str = "", ties: Ties = FREE, after: str = "", limit: int = 1000
    ) -> list[r.MailboxView]:
        """Return one page, sorted by address, of the mailboxes after ``after``."""
        query = {"domain": domain, "home": home, **asdict(ties), "after": after, "limit": limit}
        return self._get("/v1/mailboxes", list[r.MailboxView], query)

    def mailbox(self, address: str) -> r.MailboxView:
        return self._get(f"/v1/mailboxes/{_segment(address)}", r.MailboxView)

    def add_mailbox(self, new: r.NewMailbox, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", "/v1/mailboxes", new, dry_run=dry_run)

    def import_mailboxes(
        self,
        new: r.NewMailboxes,
        *,
        dry_run: bool = False,
        progress: Callable[[float, float], None] | None = None,
    ) -> r.Written:
        """Add all of them or none; raises ``BadImport`` whose lines are 1-based places in the list.

        ``progress`` hears how many bytes have gone, of how many; the controller works on after the last.
        """
        body = new.model_dump_json(exclude_none=True).encode()
        seconds = _ANSWER_SECONDS + _IMPORT_SECONDS_PER_MAILBOX * len(new.mailboxes)
        response = self._send(
            "POST",
            "/v1/mailboxes/import",
            query={"dry_run": "true"} if dry_run else {},
            content=_chunks(body, progress),
            headers={"Content-Type": "application/json", "Content-Length": str(len(body))},
            seconds=seconds,
        )
        return read(response, r.Written)

    def change_mailbox(self, address: str, change: r.MailboxChange, *, dry_run: bool = False) -> r.Written:
        return self._write("PATCH", f"/v1/mailboxes/{_segment(address)}", change, dry_run=dry_run)

    def remove_mailbox(self, address: str, *, dry_run: bool = False) -> r.Written:
        return self._write("DELETE", f"/v1/mailboxes/{_segment(address)}", dry_run=dry_run)

    # Moves

    def ask_moves(self, new: m.NewMoves, *, dry_run: bool = False) -> m.MovesAsked:
        """Ask for all of them or none; raises ``BadImport`` whose lines are 1-based places in the list."""
        return self._write("POST", "/v1/moves", new, dry_run=dry_run, kind=m.MovesAsked, seconds=_LONG_SECONDS)

    def moves(
        self,
        *,
        states: Sequence[str] = (),
        open: bool = False,
        address: str = "",
        parent: str = "",
        after: int = 0,
        limit: int = 1000,
    ) -> list[m.MoveView]:
        """Return one page, in the order in which they were asked for, of the moves after the id ``after``."""
        query = {"address": address, "parent": parent, "after": after, "limit": limit}
        more = {"state": list(states)} if states else {}
        return self._get("/v1/moves", list[m.MoveView], query | more | ({"open": "true"} if open else {}))

    def move(self, id: int) -> m.MoveView:
        return self._get(f"/v1/moves/{int(id)}", m.MoveView)

    def move_certificate(self, id: int) -> m.MoveCertificate:
        return self._get(f"/v1/moves/{int(id)}/certificate", m.MoveCertificate)

    def order_moves(self, verb: str, *, id: int = 0, parent: str = "", dry_run: bool = False) -> r.Written:
        """``pause``, ``resume`` or ``abort`` one move, the open ones of a batch, or with neither, all open ones."""
        path = f"/v1/moves/{int(id)}/{_segment(verb)}" if id else f"/v1/moves/{_segment(verb)}"
        query = ({"parent": parent} if parent else {}) | ({"dry_run": "true"} if dry_run else {})
        return read(self._send("POST", path, query=query), r.Written)

    def move_back(self, id: int, *, dry_run: bool = False) -> m.MovesAsked:
        return self._write("POST", f"/v1/moves/{int(id)}/back", dry_run=dry_run, kind=m.MovesAsked)

    # Aliases

    def aliases(self, *, domain: str = "", after: str = "", limit: int = 1000) -> list[r.AliasView]:
        """Return one page, sorted by address, of the aliases after ``after``."""
        query = {"domain": domain, "after": after, "limit": limit}
        return self._get("/v1/aliases", list[r.AliasView], query)

    def alias(self, address: str) -> r.AliasView:
        return self._get(f"/v1/aliases/{_segment(address)}", r.AliasView)

    def add_alias(self, new: r.NewAlias, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", "/v1/aliases", new, dry_run=dry_run)

    def set_alias(self, new: r.NewAlias, *, dry_run: bool = False) -> r.Written:
        return self._write("PUT", f"/v1/aliases/{_segment(new.address)}", new, dry_run=dry_run)

    def remove_alias(self, address: str, *, dry_run: bool = False) -> r.Written:
        return self._write("DELETE", f"/v1/aliases/{_segment(address)}", dry_run=dry_run)

    # Senders

    def senders(self, *, owner: str = "", domain: str = "", after: str = "", limit: int = 1000) -> list[r.SenderView]:
        """Return one page, sorted by owner and sender, of the entries after ``OWNER SENDER``."""
        query = {"owner": owner, "domain": domain, "after": after, "limit": limit}
        return self._get("/v1/senders", list[r.SenderView], query)

    def put_sender(self, entry: r.SenderView, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", "/v1/senders", entry, dry_run=dry_run)

    def remove_sender(self, owner: str, sender: str, *, dry_run: bool = False) -> r.Written:
        return self._write("DELETE", f"/v1/senders/{_segment(owner)}/{_segment(sender)}", dry_run=dry_run)

    # Nodes

    def nodes(self) -> list[r.NodeView]:
        return self._get("/v1/nodes", list[r.NodeView])

    def node(self, name: str) -> r.NodeView:
        return self._get(f"/v1/nodes/{_segment(name)}", r.NodeView)

    def add_node(self, new: r.NewNode, *, dry_run: bool = False) -> r.NodeAdded:
        return self._write("POST", "/v1/nodes", new, dry_run=dry_run, kind=r.NodeAdded)

    def change_node(self, name: str, change: r.NodeChange, *, dry_run: bool = False) -> r.Written:
        return self._write("PATCH", f"/v1/nodes/{_segment(name)}", change, dry_run=dry_run)

    def drain_node(self, name: str, *, dry_run: bool = False) -> r.Written:
        """Have a node emptied; a dry run asks DNS of every domain, which may take long."""
        return self._write(
            "POST",
            f"/v1/nodes/{_segment(name)}/drain",
            dry_run=dry_run,
            seconds=_LONG_SECONDS if dry_run else _ANSWER_SECONDS,
        )

    def drain(self, name: str) -> r.DrainView:
        return self._get(f"/v1/nodes/{_segment(name)}/drain", r.DrainView)

    def undrain_node(self, name: str, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", f"/v1/nodes/{_segment(name)}/undrain", dry_run=dry_run)

    def retire_node(self, name: str, *, now: bool = False, dry_run: bool = False) -> r.Written:
        query = ({"now": "true"} if now else {}) | ({"dry_run": "true"} if dry_run else {})
        return read(self._send("DELETE", f"/v1/nodes/{_segment(name)}", query=query), r.Written)

    def new_token(self, name: str, *, valid_minutes: int = 60) -> r.NodeAdded:
        """Return a fresh join token of a node."""
        path = f"/v1/nodes/{_segment(name)}/token"
        return read(self._send("POST", path, query={"valid_minutes": valid_minutes}), r.NodeAdded)

    # What mailboxes are used

    def mailbox_load(self, address: str) -> LoadView:
        return self._get(f"/v1/mailboxes/{_segment(address)}/load", LoadView)

    def node_loads(self, *, minutes: int = 10) -> list[NodeLoadView]:
        """Return what the storage nodes did in the last minutes."""
        return self._get("/v1/nodes/load", list[NodeLoadView], {"minutes": minutes})

    def node_load(self, name: str, *, minutes: int = 10) -> NodeLoadView:
        return self._get(f"/v1/nodes/{_segment(name)}/load", NodeLoadView, {"minutes": minutes})

    def measure_node(self, name: str) -> r.Written:
        """Ask a node to measure how strong it is; returns at once."""
        return read(self._send("POST", f"/v1/nodes/{_segment(name)}/measure"), r.Written)

    # Spreading the load

    def balance(self) -> b.BalanceView:
        return self._get("/v1/balance", b.BalanceView)

    def make_plan(self, new: b.NewPlan) -> b.PlanView:
        return self._write("POST", "/v1/balance/plans", new, kind=b.PlanView, seconds=_LONG_SECONDS)

    def plan(self, id: int = 0) -> b.PlanView:
        """Return a plan, the last one for 0."""
        return self._get(f"/v1/balance/plans/{int(id) or 'last'}", b.PlanView)

    def apply_plan(self, id: int, *, dry_run: bool = False) -> m.MovesAsked:
        path = f"/v1/balance/plans/{int(id)}/apply"
        return self._write("POST", path, dry_run=dry_run, kind=m.MovesAsked, seconds=_LONG_SECONDS)

    def stop_balance(self, *, dry_run: bool = False) -> r.Written:
        return self._write("POST", "/v1/balance/stop", dry_run=dry_run, seconds=_LONG_SECONDS)

    def suppose(self, what: b.Supposed) -> b.PlanView:
        """Return the plan for the cluster with other machines."""
        return self._write("POST", "/v1/balance/whatif", what, kind=b.PlanView, seconds=_LONG_SECONDS)

    def forecast(self) -> list[b.ForecastView]:
        return self._get("/v1/balance/forecast", list[b.ForecastView])

    # What happened, and how it stands

    def receipt(self, revision: int, *, wait: float = 0) -> r.Receipt:
        """Return who has applied a revision; answers when all have, or after ``wait`` seconds."""
        path, query = f"/v1/receipts/{int(revision)}", {"wait": f"{wait:g}"}
        return read(self._send("GET", path, query=query, seconds=wait + _ANSWER_SECONDS), r.Receipt)

    def status(self) -> r.Status:
        return self._get("/v1/status", r.Status)

    def drift(self) -> r.Drift:
        return self._get("/v1/drift", r.Drift)

    def check_drift(self, *, lift_brake: Sequence[str] = ()) -> r.Drift:
        """Ask all nodes to look for drift now; returns at once, with those that have yet to do it."""
        return read(self._send("POST", "/v1/drift", query={"lift_brake": list(lift_brake)}), r.Drift)

    # The probe

    def probe(self, *, number: int = 0, wait: float = 0) -> ProbeView:
        """Return every prober's last round; waits until all have answered the request of this number."""
        query = {"number": str(number), "wait": f"{wait:g}"}
        return read(self._send("GET", "/v1/probe", query=query, seconds=wait + _ANSWER_SECONDS), ProbeView)

    def ask_probe(self) -> ProbeView:
        """Ask every prober for a round now; returns at once."""
        return read(self._send("POST", "/v1/probe"), ProbeView)

    def renew_probe(self) -> r.Written:
        """Give all test mailboxes new names and passwords."""
        return read(self._send("POST", "/v1/probe/mailboxes"), r.Written)

    def events(self, *, after: int = 0, limit: int = 100) -> list[r.EventView]:
        """Return the entries of the audit log after a revision, the oldest first."""
        return self._get("/v1/events", list[r.EventView], {"after": after, "limit": limit})

    # What became of mail

    def trace(self, question: Question) -> TraceView:
        """Return what became of the messages that a question asks for; of recipients, the first counts."""
        query = {
            "recipient": next(iter(question.recipients), ""),
            "sender": question.sender,
            "message_id": question.message_id,
            "queue_id": question.queue_id,
            "limit": question.limit,
            **_span(question.since, question.until),
        }
        return self._get("/v1/traces", TraceView, query)

    def timeline(
        self, address: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> TimelineView:
        """Return what happened to a mailbox, in the order of time."""
        query = {"limit": limit, **_span(since, until)}
        return self._get(f"/v1/mailboxes/{_segment(address)}/timeline", TimelineView, query)

    def verify_events(self) -> list[str]:
        """Walk the whole audit log; returns a sentence for every broken link, nothing where it is intact."""
        return read(self._send("GET", "/v1/events/verify", seconds=_LONG_SECONDS), r.Written).did

    # Policy and keys

    def policy(self) -> r.PolicyView:
        return self._get("/v1/policy", r.PolicyView)

    def change_policy(self, change: dict[str, int | str | list[str]], *, dry_run: bool = False) -> r.Written:
        query = {"dry_run": "true"} if dry_run else {}
        return read(self._send("PATCH", "/v1/policy", query=query, json=change), r.Written)

    def keys(self) -> list[r.KeyView]:
        return self._get("/v1/keys", list[r.KeyView])

    def add_key(self, new: r.NewKey) -> r.KeyMade:
        return self._write("POST", "/v1/keys", new, kind=r.KeyMade)

    def remove_key(self, id: str) -> r.Written:
        return self._write("DELETE", f"/v1/keys/{_segment(id)}")

    def monitoring_certificate(self, new: r.NewMonitoringCertificate) -> r.MonitoringCertificate:
        return self._write("POST", "/v1/metrics/certificate", new, kind=r.MonitoringCertificate)

    # Backup

    def backup(self, into: BinaryIO, *, progress: Progress | None = None) -> int:
        """Write a consistent copy of the whole store into an open file; returns how many bytes it has."""
        written = 0
        with (
            translating(self.url),
            self._http.stream("GET", "/v1/backup", timeout=_times(_LONG_SECONDS)) as response,
        ):
            if not response.is_success:
                response.read()
                raise error_of(response)
            for part in response.iter_bytes(_CHUNK):
                into.write(part)
                written += len(part)
                if progress is not None:
                    progress(len(part))
        return written

    def restore(self, source: BinaryIO, size: int, *, progress: Progress | None = None) -> r.Restored:
        """Replace everything by the ``size`` bytes of a backup."""

        def parts() -> Iterator[bytes]:
            while part := source.read(_CHUNK):
                yield part
                if progress is not None:
                    progress(len(part))

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        response = self._send("POST", "/v1/restore", content=parts(), headers=headers, seconds=_LONG_SECONDS)
        return read(response, r.Restored)

    # How it is done

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        wanted = {name: value for name, value in (query or {}).items() if value != ""}
        return read(self._send("GET", path, query=wanted), kind)

    def _write(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        dry_run: bool = False,
        kind: type[T] = r.Written,  # type: ignore[assignment]
        seconds: float = _ANSWER_SECONDS,
    ) -> T:
        """Send a write; fields of ``body`` that are None were not given and are left out."""
        content, headers = None, {}
        if body is not None:
            content = body.model_dump_json(exclude_none=True).encode()
            headers = {"Content-Type": "application/json"}
        query = {"dry_run": "true"} if dry_run else {}
        return read(self._send(method, path, query=query, content=content, headers=headers, seconds=seconds), kind)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        json: object = None,
        headers: dict[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> httpx2.Response:
        with translating(self.url):
            response = self._http.request(
                method,
                path,
                params=query or None,
                content=content,
                json=json,
                headers=headers,
                timeout=_times(seconds),
            )
        if not response.is_success:
            raise error_of(response)
        return response


def _chunks(body: bytes, progress: Callable[[float, float], None] | None) -> Iterator[bytes]:
    """Yield the body in pieces, and tell how far it is."""
    for start in range(0, len(body), _CHUNK):
        part = body[start : start + _CHUNK]
        yield part
        if progress is not None:
            progress(start + len(part), len(body))


def _times(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)


def _segment(text: str) -> str:
    """Return a value as one segment of a path; raises ``BadName`` where it could lead to another path."""
    if text in ("", ".", ".."):
        raise BadName(f"{text!r} cannot be the name of anything.")
    return quote(text, safe="")


def _span(since: datetime | None, until: datetime | None) -> dict[str, str]:
    return {name: at.isoformat() for name, at in (("since", since), ("until", until)) if at is not None}
