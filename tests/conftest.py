"""What all tests share: the ``--long`` flag, and which of them run in one process where there are several."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

_LAB = ("cluster", "lab", "bench")
"""Folders whose tests need the lab; its machines are as many as this machine can bear."""

_SHARED = ("real/rspamd", "real/rsyslog", "real/debian_package", "contract/store")
"""Folders whose tests share what takes long to make, or addresses."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag for the runs that take long."""
    parser.addoption("--long", action="store_true", help="run the long tests too: matrices, soaks, 100,000 users")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Return who deals the tests out to several processes: by groups, the largest first."""
    return _Groups(config, log)


class _Groups(LoadScopeScheduling):
    """Tests of one group run one after the other in one process: those of a file, or of a folder named above."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0].removeprefix("tests/")
        if path.partition("/")[0] in _LAB:
            return "lab"
        return next((folder for folder in _SHARED if path.startswith(f"{folder}/")), path)
