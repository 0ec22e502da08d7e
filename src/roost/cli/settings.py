"""The command line's settings file: who the controller is, whom to trust, which key to use.

The file is TOML with three settings, nothing else::

    url = "https://control.example.net:8443"
    ca = "ca.pem"              # the cluster's authority; without it, the authorities that the machine trusts
    key_file = "admin.key"     # holds the key, readable by its owner only (mode 0600)

Paths are relative to the file. Looked for in this order, the first that is there counts: ``$ROOST_CLI`` (which must
exist where it is set), ``~/.config/roost/cli.toml``, ``/etc/roost/cli.toml``. The key itself is never in the
settings, in an argument or in the environment, where other users could see it.
"""

from __future__ import annotations

import os
import ssl
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from roost.domain.errors import BadSetting
from roost.wire.client import AdminClient

SYSTEM_FILE = Path("/etc/roost/cli.toml")
_KNOWN = ("url", "ca", "key_file")


@dataclass(frozen=True)
class Settings:
    """Where the controller is, whom to trust and which file holds the key."""

    url: str
    key_file: Path
    ca: Path | None


def settings_file() -> Path:
    """Return the settings file that counts; raises ``BadSetting`` with a remedy where there is none."""
    named = os.environ.get("ROOST_CLI")
    if named:
        return Path(named)
    config = os.environ.get("XDG_CONFIG_HOME")
    try:
        own = (Path(config) if config else Path.home() / ".config") / "roost" / "cli.toml"
    except RuntimeError:
        # A user without a home directory has no settings of his own.
        return SYSTEM_FILE
    for path in (own, SYSTEM_FILE):
        try:
            if path.exists():
                return path
        except PermissionError:
            # It may be there; reading it then says who may not.
            return path
    raise BadSetting(
        f"This machine has no settings for the command line: neither {own} nor {SYSTEM_FILE} exists.",
        remedy="Run roost on the controller, or write the file with url, ca and key_file ('roost key add').",
    )


def read_settings(path: Path) -> Settings:
    """Read a settings file; raises ``BadSetting`` that names the file and the setting."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetting(
            f"The settings {path} cannot be read: {error.strerror}.",
            remedy="Make the file readable, or let $ROOST_CLI name another.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} is not TOML: {error}.", remedy="Correct the file.") from error
    for name, value in values.items():
        if name not in _KNOWN:
            known = ", ".join(_KNOWN)
            raise BadSetting(
                f"{path} has a setting that Roost does not know: {name}.",
                field=name,
                remedy=f"The settings are {known}.",
            )
        if not isinstance(value, str) or not value:
            raise BadSetting(f"{name} in {path} must be a text between quotes.", field=name)
    for name in ("url", "key_file"):
        if name not in values:
            raise BadSetting(f"{path} lacks the setting {name}.", field=name, remedy=f"Add {name} to it.")
    _check_url(values["url"], path)
    ca = values.get("ca")
    folder = path.parent
    return Settings(values["url"], _path(folder, values["key_file"]), _path(folder, ca) if ca else None)


def read_key(path: Path) -> str:
    """Return the key in a file; raises ``BadSetting`` where others could read it too."""
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(1000).strip()
    except OSError as error:
        raise BadSetting(
            f"The key file {path} cannot be read: {error.strerror}.",
            field="key_file",
            remedy="Run as the user whom the key belongs to, or make one with 'roost key add'.",
        ) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f"The key file {path} does not hold a key.", field="key_file") from error
    if mode & 0o077:
        raise BadSetting(
            f"The key file {path} can be read by others (mode {mode:04o}).",
            field="key_file",
            remedy=f"Run: chmod 600 {path}",
        )
    if not key.isprintable() or " " in key or not key:
        raise BadSetting(f"The key file {path} does not hold a key.", field="key_file")
    return key


def connect() -> AdminClient:
    """Return a connection as the settings say; raises ``BadSetting`` that names what is wrong with them."""
    settings = read_settings(settings_file())
    key = read_key(settings.key_file)
    try:
        trust = ssl.create_default_context(cafile=settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise BadSetting(
            f"{settings.ca} is not a readable PEM certificate.",
            field="ca",
            remedy="Let 'ca' name the certificate of the cluster's authority.",
        ) from error
    return AdminClient(settings.url, key, verify=trust)


def _path(folder: Path, text: str) -> Path:
    return folder / Path(text).expanduser()


def _check_url(url: str, path: Path) -> None:
    """Refuse what would send the key in the clear, or to a place that is not the API's root."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = urlsplit(""), False
    wrong_place = parts.path not in ("", "/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "https" or not parts.hostname or not port_fits or wrong_place:
        raise BadSetting(
            f"url in {path} is {url!r}, which is not an https URL of a controller.",
            field="url",
            remedy="Write it as https://control.example.net:8443.",
        )
