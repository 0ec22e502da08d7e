"""Fixtures of all tests with real daemons."""

from __future__ import annotations

import pytest

from .common.authority import TestCa


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> TestCa:
    """The authority whom every service and client of the tests trusts."""
    return TestCa(tmp_path_factory.mktemp("ca"))
