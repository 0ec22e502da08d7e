"""The flag that takes what drivers render now for what they should render."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add it."""
    parser.addoption("--rewrite-golden", action="store_true", help="write the files that drivers render now")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Say whether it was given; the option is not even known where this folder was not named on the command line."""
    return bool(request.config.getoption("--rewrite-golden", default=False))
