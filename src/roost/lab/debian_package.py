"""Roost's own Debian package, built from the checkout that this lab runs from.

``packaging/build-deb RELEASE`` does the work. Here it is called only when something that goes into the package has
changed since the last time: a hash over those files names the folder that holds the result. Where the lab runs from
an installed package there is no checkout; ``ROOST_LAB_PACKAGE_<RELEASE>`` (in capitals) then names a package to use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from roost.lab.archive import write_index
from roost.lab.building import Progress, stream
from roost.lab.errors import LabUnavailable
from roost.lab.topology import Release

_CHECKOUT = Path(__file__).resolve().parents[3]
# What the package is made of, below the checkout.
_PARTS = ("src/roost", "packaging", "monitoring", "requirements.lock", "pyproject.toml")
_KEEP = 3


@dataclass(frozen=True)
class OwnPackage:
    """A package file, alone in a folder with its index, and the hash of its content."""

    path: Path
    digest: str


def own_package(release: Release, store: Path, progress: Progress) -> OwnPackage:
    """Roost's package for this release, built if it has to be, in a folder below ``store``."""
    given = os.environ.get(f"ROOST_LAB_PACKAGE_{release.upper()}")
    if given is not None:
        return _stored(Path(given), store / f"given-{_digest([Path(given)])}")
    builder = _CHECKOUT / "packaging" / "build-deb"
    if not builder.exists():
        raise LabUnavailable(
            "The lab does not run from a checkout, so it cannot build Roost's package.",
            remedy=f"Name a package in ROOST_LAB_PACKAGE_{release.upper()}.",
        )
    folder = store / f"built-{_digest(_files())}"
    if not folder.exists():
        progress(f"{release}: building Roost's package", None)
        said = stream([str(builder), release])
        package = _stored(Path(said.strip().splitlines()[-1]), folder)
        for old in sorted(store.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEEP]:
            shutil.rmtree(old)
        return package
    return _stored(next(folder.glob("*.deb")), folder)


def _stored(package: Path, folder: Path) -> OwnPackage:
    if not folder.exists():
        fresh = folder.with_name(folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        shutil.copy(package, fresh)
        write_index(fresh)
        fresh.rename(folder)
    path = folder / package.name
    return OwnPackage(path, _digest([path]))


def _files() -> list[Path]:
    found = []
    for part in _PARTS:
        place = _CHECKOUT / part
        found += [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0{path.stat().st_mode & 0o111}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:16]
