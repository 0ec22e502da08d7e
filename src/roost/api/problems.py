"""Errors as problem details (RFC 9457): the tree of ``domain.errors`` in, JSON out, in one place."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from roost.domain.errors import BadImport, RoostError
from roost.wire.resources import ImportFinding, Problem

_log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.add_exception_handler(RoostError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.model_dump(), problem.status, media_type="application/problem+json")


def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RoostError)  # noqa: S101 - registered for this class
    findings = []
    if isinstance(error, BadImport):
        findings = [
            ImportFinding(line=f.line, column=f.column, field=f.field, message=f.message) for f in error.findings
        ]
    title = error.code.replace("-", " ").capitalize()
    return _answer(
        Problem(
            title=title,
            status=error.status,
            code=error.code,
            detail=error.message,
            remedy=error.remedy,
            field=error.field,
            findings=findings,
        )
    )


def _malformed(request: Request, error: Exception) -> JSONResponse:
    """Name the first field that is wrong; never repeat its value, which may be a password."""
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return _answer(
        Problem(
            title="Invalid input",
            status=422,
            code="invalid-input",
            detail=f"{field or 'the request'}: {first['msg']}.",
            remedy="The fields and their types are in the API's description, /openapi.json.",
            field=field,
        )
    )


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    code = {404: "not-found", 405: "not-allowed"}.get(error.status_code, "error")
    detail = f"{request.method} {request.url.path}: {error.detail}."
    return _answer(Problem(title=str(error.detail), status=error.status_code, code=code, detail=detail))


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected error", method=request.method, path=request.url.path, exc_info=error)
    return _answer(
        Problem(
            title="Error",
            status=500,
            code="error",
            detail="The controller made a mistake.",
            remedy="Its log has the details: 'journalctl -u roost-controller'.",
        )
    )
