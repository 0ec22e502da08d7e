"""Roost's package, built for both releases of Debian, and installed on a copy of this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .copy_of_host import CopyOfHost

CHECKOUT = Path(__file__).resolve().parents[3]
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


@dataclass(frozen=True)
class Package:
    """A package that was built, and its content unpacked (``tree``, with dpkg's own files in ``tree/DEBIAN``)."""

    release: str
    path: Path
    tree: Path

    @property
    def python(self) -> str:
        """The version of Python that it is for."""
        return PYTHONS[self.release]


@dataclass(frozen=True)
class Sources:
    """A checkout that holds still while it is built from."""

    path: Path

    def build(self, release: str) -> Path:
        """Build the package of a release and return its path."""
        argv = [self.path / "packaging/build-deb", release]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A copy of this checkout: somebody may be working in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for part in ("src", "packaging", "monitoring"):
        shutil.copytree(CHECKOUT / part, copy / part)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(CHECKOUT / name, copy)
    (copy / ".venv").symlink_to(CHECKOUT / ".venv")
    return Sources(copy)


@pytest.fixture(scope="session", params=list(PYTHONS))
def package(request: pytest.FixtureRequest, sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package, of each release in turn."""
    tree = tmp_path_factory.mktemp(request.param) / "tree"
    path = sources.build(request.param)
    subprocess.run(["dpkg-deb", "--raw-extract", path, tree], check=True)
    return Package(request.param, path, tree)


@pytest.fixture(scope="session")
def package_of_host(sources: Sources) -> Path:
    """The package for the release of this machine."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return sources.build(dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"])


@pytest.fixture
def machine(package_of_host: Path) -> Iterator[CopyOfHost]:
    """A copy of this machine with ``/roost.deb``; whatever happens in it is forgotten."""
    with CopyOfHost() as copy:
        copy.put("/roost.deb", package_of_host)
        yield copy


@pytest.fixture(scope="module")
def installed(package_of_host: Path) -> Iterator[CopyOfHost]:
    """A copy of this machine on which the package is installed, for tests that do not mind each other."""
    with CopyOfHost() as copy:
        copy.put("/roost.deb", package_of_host)
        copy.run("dpkg", "-i", "/roost.deb")
        yield copy
