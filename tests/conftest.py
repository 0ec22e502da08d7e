"""What all tests share: the ``--long`` flag, and which of them run in one process where there are several."""

from __future__ import annotations

import pytest

_SHARED = ("real/rspamd", "real/debian_package", "contract/store")
"""Folders whose tests share what takes long to make."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag for the runs that take long."""
    parser.addoption("--long", action="store_true", help="run the long tests too: matrices, soaks, 100,000 users")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for; form groups, the longest first."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item not in long]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if hasattr(config, "workerinput"):
        # One of several processes: the longest group begins at once.
        items.sort(key=lambda item: _group(item) != "lab")


def _group(item: pytest.Item) -> str:
    """Return the name of the tests that run one after the other in one process (pytest-xdist)."""
    path = str(item.path.relative_to(item.config.rootpath / "tests"))
    if path.startswith(("cluster/", "lab/")) or item.get_closest_marker("lab"):
        # The machines of one lab are as many as this machine can bear.
        return "lab"
    return next((folder for folder in _SHARED if path.startswith(f"{folder}/")), path)
