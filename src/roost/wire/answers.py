"""Answers of the API turned into models or errors, and the network's failures into the same errors.

A refusal is ``application/problem+json`` (RFC 9457) with Roost's stable ``code``: it becomes the class of
``roost.domain.errors`` that has this code, so that both sides of the wire see one tree. An answer in another form
comes from something else than a controller (a proxy, a wrong URL) and says so.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from roost.domain.errors import (
    BadImport,
    BadSetting,
    ControllerAway,
    Finding,
    Forbidden,
    NotAuthenticated,
    RoostError,
    Unavailable,
    every_error,
)
from roost.wire import resources as r

T = TypeVar("T")

_SERVER_FAULT = 500
_NO_CONTENT = 204


@contextmanager
def translating(url: str) -> Iterator[None]:
    """Turn the HTTP library's exceptions into ours."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ControllerAway(
            f"The controller at {url} did not answer in time.",
            remedy="Look at its log; if this was a write, look whether it was done before you repeat it.",
        ) from error
    except httpx2.TransportError as error:
        if isinstance(_root(error), ssl.SSLCertVerificationError):
            raise NotAuthenticated(
                f"What answers at {url} could not prove to be the controller: {_root(error)}.",
                field="ca",
                remedy="Let 'ca' in the settings name the cluster's authority, and 'url' the certificate's name.",
            ) from error
        raise ControllerAway(
            f"The controller at {url} cannot be reached: {error}.",
            remedy="See whether it runs and whether 'url' in the settings is right.",
        ) from error
    except httpx2.InvalidURL as error:
        raise BadSetting(f"{url!r} is not a URL: {error}.", field="url") from error
    except httpx2.HTTPError as error:
        raise ControllerAway(f"The controller at {url} did not answer as it should: {error}.") from error


def _root(error: BaseException) -> BaseException:
    """Return the exception at the bottom of a chain."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def read(response: httpx2.Response, kind: type[T]) -> T:
    """Return the answer's body as the model; raises ``Unavailable`` where it is something else."""
    content = response.content
    if response.status_code == _NO_CONTENT:
        content = b'{"revision": 0}'
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        raise Unavailable(
            f"The controller's answer to {response.request.url.path} is not one that this version knows.",
            remedy="Use the same version of Roost here and on the controller.",
        ) from error


def error_of(response: httpx2.Response) -> RoostError:
    """Return the error that an answer tells, of the same class as on the controller."""
    try:
        problem = r.Problem.model_validate_json(response.content)
    except ValidationError:
        return _unexpected(response)
    kinds = {kind.code: kind for kind in every_error()}
    kind = kinds.get(problem.code)
    if kind is BadImport:
        findings = tuple(Finding(f.line, f.column, f.field, f.message) for f in problem.findings)
        return BadImport(problem.detail, findings, remedy=problem.remedy)
    if kind is None:
        kind = Unavailable if problem.status >= _SERVER_FAULT else RoostError
    return kind(problem.detail, remedy=problem.remedy, field=problem.field)


def _unexpected(response: httpx2.Response) -> RoostError:
    """Return an error for an answer that is not in Roost's form: another server, or a proxy, is in the way."""
    said = f"{response.url} answered {response.status_code} {response.reason_phrase}, and not in Roost's form."
    if response.status_code == NotAuthenticated.status:
        return NotAuthenticated(said, remedy="Check the key in the file that 'key_file' names.")
    if response.status_code == Forbidden.status:
        return Forbidden(said)
    if response.status_code >= _SERVER_FAULT:
        return Unavailable(said, remedy="Look at the controller's log.")
    return RoostError(said, remedy="See whether 'url' in the settings leads to the controller.")
