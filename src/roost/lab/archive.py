"""A folder of packages as a package source: the index that apt wants, written without any tool but dpkg-deb.

The format is that of a flat repository (Debian wiki, "DebianRepository/Format"): a file ``Packages`` with the control
paragraph of each package and where it lies. There is no signature; whoever uses the folder says ``[trusted=yes]``.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roost.lab.process import call


def write_index(folder: Path) -> None:
    """Write ``Packages`` for every package in ``folder``, whole or not at all."""
    with ThreadPoolExecutor(2) as workers:
        paragraphs = list(workers.map(_paragraph, sorted(folder.glob("*.deb"))))
    fresh = folder / "Packages.new"
    fresh.write_text("\n".join(paragraphs))
    fresh.rename(folder / "Packages")


def _paragraph(package: Path) -> str:
    control = call(["dpkg-deb", "--field", str(package)]).stdout.strip()
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{control}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
