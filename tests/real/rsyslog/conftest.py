"""One node and one log node, with certificates of one authority."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..common.machines import ROOTS, name_of, short_folder
from .instance import LOG, MX, Box, Cluster, one_box, settings

AT = {LOG: "127.0.0.41"}


@dataclass
class Pair:
    """A node that sends, and the log node."""

    mx: Box
    log: Box


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
def root(request: pytest.FixtureRequest) -> str:
    """The root folder of the machine whose daemons are tried; '' is this one."""
    return str(request.param)


@pytest.fixture
def folder(root: str) -> Iterator[Path]:
    """Where all of a test is: journald's socket must have a short name."""
    with short_folder(root, "rlog") as made:
        yield made


@pytest.fixture
def cluster(folder: Path) -> Cluster:
    (folder / "tls").mkdir()
    return Cluster(folder / "tls")


@pytest.fixture
def pair(root: str, folder: Path, cluster: Cluster) -> Iterator[Pair]:
    with ExitStack() as stack:
        made = [
            stack.enter_context(one_box(folder / name, name, cluster, settings(name, AT), root)) for name in (MX, LOG)
        ]
        both = Pair(*made)
        both.log.bring()
        both.mx.bring()
        yield both
