"""What the agent keeps on disk, below ``/var/lib/roost/agent``: enough to work on without the controller.

==================  ================================================================================================
settings.json       the settings that the controller gave last
state.json          ``applied`` (revision of the settings that all drivers have applied), ``epoch`` (the store that
                    the tables' positions belong to), ``loaded`` (tables that were complete once), ``filled``
                    (tables that have had rows), ``checked``
owned/DRIVER.json   the files that the driver has written, so that one that is no longer rendered can go
undo/DRIVER.json    while files are being changed: what was there before (see ``files.py``)
==================  ================================================================================================

The tables themselves are not here: the daemons' own data is the only copy, with its own revision.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError

from roost.domain.desired import NodeSettings
from roost.ports.host import File, Host

FOLDER = "/var/lib/roost/agent"
_SETTINGS: TypeAdapter[NodeSettings] = TypeAdapter(NodeSettings)


@dataclass
class State:
    """See ``state.json`` above."""

    applied: int = -1
    epoch: str = ""
    loaded: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    checked: int = 0


class Disk:
    """Reads and writes those files. A file that cannot be understood counts as missing: all can be had again."""

    def __init__(self, host: Host, folder: str = FOLDER) -> None:
        self._host = host
        self._folder = folder

    def _read(self, name: str) -> str | None:
        file = self._host.read(f"{self._folder}/{name}")
        return file.content if file else None

    def _write(self, name: str, content: str) -> None:
        self._host.write(File(f"{self._folder}/{name}", content, 0o600))

    def settings(self) -> NodeSettings | None:
        """Return the settings that the controller gave last."""
        text = self._read("settings.json")
        try:
            return _SETTINGS.validate_json(text) if text else None
        except ValidationError:
            return None

    def keep_settings(self, settings: NodeSettings) -> None:
        """Keep them."""
        self._write("settings.json", _SETTINGS.dump_json(settings, indent=1).decode())

    def state(self) -> State:
        """Return the state, a fresh one where there is none."""
        text = self._read("state.json")
        try:
            return State(**json.loads(text)) if text else State()
        except (ValueError, TypeError):
            return State()

    def keep_state(self, state: State) -> None:
        """Keep it."""
        self._write("state.json", json.dumps(asdict(state)))

    def owned(self, driver: str) -> set[str]:
        """Return the paths that a driver has written."""
        text = self._read(f"owned/{driver}.json")
        try:
            return set(json.loads(text)) if text else set()
        except (ValueError, TypeError):
            return set()

    def keep_owned(self, driver: str, paths: set[str]) -> None:
        """Keep them."""
        self._write(f"owned/{driver}.json", json.dumps(sorted(paths)))

    def undo(self, driver: str) -> list[tuple[str, File | None]]:
        """Return what was there before a change that did not end: (path, file or None where there was none)."""
        text = self._read(f"undo/{driver}.json")
        try:
            entries = json.loads(text) if text else []
            return [(path, File(**file) if file else None) for path, file in entries]
        except (ValueError, TypeError):
            return []

    def keep_undo(self, driver: str, before: list[tuple[str, File | None]]) -> None:
        """Note what is there, before it is changed."""
        entries = [(path, asdict(file) if file else None) for path, file in before]
        self._write(f"undo/{driver}.json", json.dumps(entries))

    def forget_undo(self, driver: str) -> None:
        """The change has ended, well or undone."""
        self._host.remove(f"{self._folder}/undo/{driver}.json")
