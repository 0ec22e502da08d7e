"""What is in the packages, for both releases."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import struct
import subprocess
from pathlib import Path

from .conftest import CHECKOUT, Package, Sources

_ELF_MACHINES = {"amd64": 62, "arm64": 183}


def _field(package: Package, name: str) -> str:
    argv = ["dpkg-deb", "--field", package.path, name]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def _files(package: Package) -> list[Path]:
    return [path for path in package.tree.rglob("*") if path.is_file()]


def test_it_is_for_its_release(package: Package) -> None:
    """Version and dependencies bind it to the release's Python: an upgrade of Debian asks for the other."""
    number = {"bookworm": 12, "trixie": 13}[package.release]
    minor = int(package.python.partition(".")[2])
    assert _field(package, "Version").endswith(f"~deb{number}u1")
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in _field(package, "Depends")


def test_the_same_commit_gives_the_same_bytes(package: Package, sources: Sources) -> None:
    """A second build differs in nothing."""
    before = hashlib.sha256(package.path.read_bytes()).hexdigest()
    assert hashlib.sha256(sources.build(package.release).read_bytes()).hexdigest() == before


def test_machine_code_fits_python_and_processor(package: Package) -> None:
    """Every extension is for the release's Python (or for any, abi3) and for the package's architecture."""
    libraries = [path for path in _files(package) if ".so" in path.suffixes]
    assert any("_pydantic_core" in path.name for path in libraries)
    tag = f".cpython-{package.python.replace('.', '')}-"
    for path in libraries:
        magic, machine = struct.unpack("<4s14xH", path.read_bytes()[:20])
        assert magic == b"\x7fELF", path
        assert machine == _ELF_MACHINES[_field(package, "Architecture")], path
        if ".cpython-" in path.name:
            assert tag in path.name


def test_nothing_tells_where_it_was_built(package: Package, sources: Sources) -> None:
    """No path of this checkout or cache, no package index, nothing compiled, hidden, or of an installer."""
    places = {str(CHECKOUT), str(sources.path), os.environ.get("ROOST_LAB_CACHE", "/var/cache/roost-lab") + "/deps"}
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        places |= set(os.environ.get(name, "").split())
    pattern = re.compile(b"|".join(re.escape(place.encode()) for place in sorted(places)))
    names = {"pip.conf", "uv.toml", "direct_url.json", "uv_cache.json", "RECORD", "requirements.lock"}
    for path in _files(package):
        assert not pattern.search(path.read_bytes()), path
        assert path.name not in names, path
        assert path.suffix != ".pyc", path
        assert not any(part.startswith(".") for part in path.relative_to(package.tree).parts), path


def test_it_holds_the_code_of_the_checkout(package: Package, sources: Sources) -> None:
    """Every file of src/roost, templates and migrations included."""
    source, packed = sources.path / "src/roost", package.tree / "opt/roost/lib/roost"
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (packed / path.relative_to(source)).read_bytes() == path.read_bytes(), path


def test_it_holds_rules_and_board_for_a_monitoring_system(package: Package, sources: Sources) -> None:
    """The very files that are tested here, and what the figures are written with."""
    packed = package.tree / "usr/share/roost/monitoring"
    assert {path.name for path in packed.iterdir()} == {path.name for path in (CHECKOUT / "monitoring").iterdir()}
    for path in packed.iterdir():
        assert path.read_bytes() == (sources.path / "monitoring" / path.name).read_bytes()
    assert (package.tree / "opt/roost/lib/prometheus_client/exposition.py").exists()


def test_scripts_and_permissions(package: Package) -> None:
    """Maintainer scripts are good shell; everything belongs to root and nobody else may write it."""
    for name in ("postinst", "prerm", "postrm"):
        script = package.tree / "DEBIAN" / name
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", script], check=True)
    listing = subprocess.run(["dpkg-deb", "--contents", package.path], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root", line
        assert "w" not in mode[4:], line
        assert "s" not in mode, line


def test_units_are_off_at_first(package: Package) -> None:
    """A unit without settings does not start, and a machine's first boot does not switch it on."""
    preset = (package.tree / "usr/lib/systemd/system-preset/50-roost.preset").read_text()
    for name, settings in (("controller", "controller.toml"), ("agent", "agent.toml")):
        unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(package.tree / f"usr/lib/systemd/system/roost-{name}.service")
        assert unit["Unit"]["ConditionPathExists"] == f"/etc/roost/{settings}"
        assert f"disable roost-{name}.service" in preset
