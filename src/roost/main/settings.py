"""The two settings files of a machine, TOML. An unknown setting, or one of a wrong type, is an error that names it.

``/etc/roost/controller.toml``::

    listen = "0.0.0.0:8443"                               # address and port of the API
    names  = ["control.example.net", "192.0.2.1"]         # what its certificate is for
    store  = "sqlite:////var/lib/roost/controller/roost.db"   # or postgresql+psycopg://…

``/etc/roost/agent.toml``, written by ``roost join``::

    controller = "https://192.0.2.1:8443"
    node       = "ms1.example.net"
"""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from roost.domain.errors import BadSetting

CONTROLLER_FILE = Path("/etc/roost/controller.toml")
AGENT_FILE = Path("/etc/roost/agent.toml")
CONTROLLER_STATE = Path("/var/lib/roost/controller")
DEFAULT_STORE = f"sqlite:///{CONTROLLER_STATE}/roost.db"


@dataclass(frozen=True)
class ControllerSettings:
    """See above."""

    names: list[str]
    listen: str = "0.0.0.0:8443"
    store: str = DEFAULT_STORE

    def address(self) -> tuple[str, int]:
        """Return host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdigit():
            raise BadSetting(f"{self.listen!r} is not ADDRESS:PORT.", field="listen")
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class AgentSettings:
    """See above."""

    controller: str
    node: str


Kind = TypeVar("Kind", ControllerSettings, AgentSettings)


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a settings file; raises ``BadSetting``."""
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        remedy = "Run 'roost controller init' or 'roost join' first."
        raise BadSetting(f"There is no {path}.", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path} cannot be read: {error}.") from error
    known = {field.name: field for field in fields(kind)}
    for name, value in found.items():
        if name not in known:
            raise BadSetting(
                f"{path}: there is no setting {name!r}.", field=name, remedy=f"Known are: {', '.join(known)}."
            )
        wanted = list if known[name].type == "list[str]" else str
        if not isinstance(value, wanted):
            raise BadSetting(f"{path}: {name} is not a {wanted.__name__}.", field=name)
    missing = [name for name, field in known.items() if name not in found and field.default is MISSING]
    if missing:
        raise BadSetting(f"{path}: {missing[0]} is missing.", field=missing[0])
    return kind(**found)


def toml_of(settings: ControllerSettings | AgentSettings) -> str:
    """Return a settings file's text."""
    lines = ["# Roost; see 'roost --help' and the reference of the settings files."]
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, list):
            lines.append(f"{field.name} = [{', '.join(_quoted(item) for item in value)}]")
        else:
            lines.append(f"{field.name} = {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
