"""Runs command lines against the API in the same process."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from fake_admin_api import FakeApi, small_cluster

from roost.cli.app import build, run


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


class Roost(Protocol):
    def __call__(self, *argv: str, stdin: bytes = b"") -> Ran: ...


@pytest.fixture
def api() -> FakeApi:
    return small_cluster()


@pytest.fixture
def roost(api: FakeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Roost:
    """Run ``roost ARGV`` without a terminal."""

    def call(*argv: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        status = run(build(), list(argv), connect=api.client)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return call
