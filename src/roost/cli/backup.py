"""``roost backup`` and ``roost restore``: everything that the controller knows, in one file.

A backup holds password hashes and the cluster's secrets, so its file is readable by its owner only. It is written
beside its final name and renamed when it is complete: a file of that name is always a whole backup.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from roost.cli.options import COMMON, Common
from roost.cli.session import Use
from roost.domain.errors import BadSetting


def backup(file: str, /, *, replace: bool = False, options: Common = COMMON, session: Use) -> None:
    """Write all that the controller knows to a file.

    The copy is consistent, and the controller goes on working meanwhile.

    For example:
      roost backup /var/backups/roost-monday
      roost backup /var/backups/roost-latest --replace

    Parameters
    ----------
    file
        Where to write it; readable by its owner only, since it holds password hashes.
    replace
        Replace a file that is there.
    """
    path, out = Path(file), session.out(options)
    if path.exists() and not replace:
        raise BadSetting(
            f"{path} exists already.", field="file", remedy="Give another name, or --replace to replace it."
        )
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.", field="file") from error
    try:
        with os.fdopen(handle, "wb") as into, out.progress("Backup", bytes=True) as bar:
            size = session.client().backup(into, progress=bar.advance)
            into.flush()
            os.fsync(into.fileno())
        Path(beside).replace(path)
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.", field="file") from error
    finally:
        Path(beside).unlink(missing_ok=True)
    if out.json:
        out.document({"file": str(path), "bytes": size})
    out.say(f"Wrote {path}: {size} bytes.")


def restore(file: str, /, *, yes: bool = False, options: Common = COMMON, session: Use) -> None:
    """Replace all that the controller knows by a backup.

    The nodes follow by themselves. Everything that was changed after the backup is
    lost, so the command wants --yes, or asks.

    For example:
      roost restore /var/backups/roost-monday --yes

    Parameters
    ----------
    file
        A file that 'roost backup' wrote.
    yes
        Do not ask: what was changed after the backup is to be lost.
    """
    path, out = Path(file), session.out(options)
    try:
        source: BinaryIO = path.open("rb")
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}.", field="file") from error
    with source:
        if not yes and not _sure(path):
            return
        size = os.fstat(source.fileno()).st_size
        with out.progress("Restore", size, bytes=True) as bar:
            restored = session.client().restore(source, size, progress=bar.advance)
    if out.json:
        out.document(restored)
    for sentence in restored.did:
        out.say(sentence)
    out.say(f"Restored: the cluster is at revision {restored.revision}.")


def _sure(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise BadSetting(
            "A restore loses everything that was changed after the backup.",
            field="yes",
            remedy="Give --yes where that is meant.",
        )
    print(f"Replace everything by {path}? Later changes are lost. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
