"""The controller, as an agent speaks to it: HTTPS with the node's certificate, one connection kept open."""

from __future__ import annotations

import hashlib
import ssl
from typing import TypeVar

import httpx2
from pydantic import ValidationError

from roost.domain.errors import (
    ControllerAway,
    NotAuthenticated,
    RoostError,
    every_error,
)
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
    Message,
    MoveReports,
)
from roost.wire.keepalive import KEEPALIVE
from roost.wire.probe_messages import ProbeReply, ProbeRequest
from roost.wire.resources import Problem
from roost.wire.usage_messages import UsageReply, UsageReport

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 30.0  # on top of what the controller may hold a request
_BY_CODE = {error.code: error for error in every_error()}
Answer = TypeVar("Answer", bound=Message)


def error_of(problem: Problem) -> RoostError:
    """Return the error that a problem document tells of."""
    kind = _BY_CODE.get(problem.code, RoostError)
    if kind.code == "bad-import":
        kind = _BY_CODE["invalid-input"]
    return kind(problem.detail, remedy=problem.remedy, field=problem.field)


def trusting(authority_pem: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the cluster's CA and nothing else."""
    context = ssl.create_default_context(cadata=authority_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class ControllerClient:
    """The agent's requests. Every method raises ``ControllerAway`` where there is no usable answer."""

    def __init__(self, url: str, authority_pem: str, certificate_path: str, key_path: str) -> None:
        context = trusting(authority_pem)
        context.load_cert_chain(certificate_path, key_path)
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        # A request waits long for news, and must not wait for a controller that has been restarted.
        transport = httpx2.HTTPTransport(verify=context, socket_options=KEEPALIVE)
        self._client = httpx2.Client(base_url=url, transport=transport, timeout=timeout)

    def feed(self, request: FeedRequest) -> FeedReply:
        """Ask for what is newer; held for up to ``request.wait`` seconds."""
        return self._ask("/agent/feed", request, FeedReply, request.wait)

    def digests(self, request: DigestRequest) -> DigestReply:
        """Compare digests of a table."""
        return self._ask("/agent/digests", request, DigestReply)

    def bucket(self, request: BucketRequest) -> BucketReply:
        """Ask for the rows of a bucket."""
        return self._ask("/agent/bucket", request, BucketReply)

    def certificates(self, request: CertificateRequest) -> Certificates:
        """Ask for new certificates."""
        return self._ask("/agent/certificates", request, Certificates)

    def drift(self, report: DriftReport) -> None:
        """Report a drift check."""
        self._post("/agent/drift", report, 0)

    def moves(self, reports: MoveReports) -> None:
        """Say how moves are going; raises also where one of them was not taken."""
        self._post("/agent/moves", reports, 0)

    def probe(self, request: ProbeRequest) -> ProbeReply:
        """Bring what a round of test mail saw, and ask what to try; held for up to ``request.wait`` seconds."""
        return self._ask("/agent/probe", request, ProbeReply, request.wait)

    def usage(self, report: UsageReport) -> UsageReply:
        """Say what mailboxes are used, and how busy the machine was."""
        return self._ask("/agent/usage", report, UsageReply)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _ask(self, path: str, message: Message, answer: type[Answer], wait: float = 0) -> Answer:
        response = self._post(path, message, wait)
        return _parsed(response, answer)

    def _post(self, path: str, message: Message, wait: float) -> httpx2.Response:
        try:
            response = self._client.post(
                path,
                content=message.model_dump_json(),
                headers={"Content-Type": "application/json"},
                timeout=httpx2.Timeout(_ANSWER_SECONDS + wait, connect=_CONNECT_SECONDS),
            )
        except httpx2.HTTPError as error:
            raise ControllerAway(f"The controller does not answer: {error}.") from error
        return _checked(response)


def _checked(response: httpx2.Response) -> httpx2.Response:
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError as error:
        raise ControllerAway(f"The controller answered {response.status_code}.") from error
    raise error_of(problem)


def _parsed(response: httpx2.Response, answer: type[Answer]) -> Answer:
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        raise ControllerAway(
            f"The controller's answer is not understood: {error.errors()[0]['msg']}.",
            remedy="Are its version and this node's the same?",
        ) from error


def join(url: str, token: str, identity_request: str, service_request: str) -> Certificates:
    """Join a cluster: pin its CA by the fingerprint in the token, then redeem the token over verified TLS.

    The CA's certificate is fetched without verification, which is safe because its SHA-256 must be the one in the
    token; the token itself is sent only after that. Raises ``NotAuthenticated`` and ``ControllerAway``.
    """
    parts = token.strip().split(".")
    if len(parts) != 3 or not all(parts):
        raise NotAuthenticated(
            "The join token is not whole.", field="token", remedy="Copy it as 'roost node add' printed it."
        )
    timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        with httpx2.Client(base_url=url, verify=blind, timeout=timeout) as client:
            authority = _parsed(_checked(client.get("/agent/authority")), Certificates).authority
        der = ssl.PEM_cert_to_DER_cert(authority)
        if hashlib.sha256(der).hexdigest() != parts[2]:
            raise NotAuthenticated(
                f"{url} is not the controller that the token is for: its CA has another fingerprint.",
                field="url",
                remedy="Check the address; if it is right, somebody stands between.",
            )
        with httpx2.Client(base_url=url, verify=trusting(authority), timeout=timeout) as client:
            request = JoinRequest(token=token, identity_request=identity_request, service_request=service_request)
            response = client.post(
                "/agent/join", content=request.model_dump_json(), headers={"Content-Type": "application/json"}
            )
            return _parsed(_checked(response), Certificates)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ControllerAway(
            f"{url} does not answer as a controller: {error}.", field="url", remedy="Give it as https://HOST:8443."
        ) from error
