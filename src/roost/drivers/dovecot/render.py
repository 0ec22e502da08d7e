"""NodeSettings and Facts to Dovecot's files. Pure: the same arguments give the same files.

Dovecot 2.3 and 2.4 have different configuration languages, hence two templates of the main file that say the same
thing. ``facts.versions["dovecot"]`` chooses; before Dovecot is installed the release of Debian does (12 has 2.3,
13 has 2.4). 2.3 keeps its SQL queries in a second file.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re

import jinja2

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import BadSetting
from roost.drivers.dovecot.layout import Layout
from roost.drivers.dovecot.sizing import sizing_for
from roost.ports.host import Facts, File

_FIRST_RELEASE_WITH_24 = 13

PROBE = "roost-probe@invalid"
"""RFC 2606: no account can have it."""

HELD = "roost-held"
"""``roost-held-<move>@invalid`` is, to doveadm only, a mailbox behind its fence (``fence.py``)."""

_PASSING_SECONDS = 60
"""How long a login may take that is led elsewhere: longer than any hold."""

_VERSION = re.compile(r"'/(roost-[0-9a-f]{16})'")

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.dovecot", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the files are Dovecot's language, not HTML
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def series(facts: Facts) -> str:
    """Return which configuration language the machine's Dovecot speaks: ``2.3`` or ``2.4``.

    Raises ``BadSetting`` for a version that neither template was made for.
    """
    version = facts.versions.get("dovecot")
    if version is None:
        return "2.4" if facts.release >= _FIRST_RELEASE_WITH_24 else "2.3"
    found = re.match(r"2\.[34](?=\D|$)", version)
    if found is None:
        raise BadSetting(
            f"Dovecot {version} is not supported.",
            field="dovecot",
            remedy="Install Dovecot 2.3 (Debian 12) or 2.4 (Debian 13).",
        )
    return found.group()


def render(settings: NodeSettings, facts: Facts, layout: Layout) -> tuple[File, ...]:
    """Return every file of the driver."""
    language = series(facts)
    values: dict[str, object] = {
        "node": settings.node,
        "policy": settings.policy,
        "size": sizing_for(facts, settings.policy.login_processes),
        "layout": layout,
        "probe": PROBE,
        "held": HELD,
        "deliverers": _deliverers(settings),
        "trusted": _trusted(settings),
        "passing_seconds": _PASSING_SECONDS,
        "fingerprint": facts.certificate or "none yet",
    }
    digest = hashlib.sha256()
    for file in _files(language, layout, {**values, "version": ""}):
        digest.update(file.content.encode())
    return _files(language, layout, {**values, "version": f"roost-{digest.hexdigest()[:16]}"})


def version_in(*contents: str) -> str:
    """Return by what name rendered files are known; '' for such as are not ours."""
    return next((found.group(1) for found in map(_VERSION.search, contents) if found), "")


def _files(language: str, layout: Layout, values: dict[str, object]) -> tuple[File, ...]:
    files = [
        File(layout.conf, _text(f"dovecot-{language}.conf.j2", values)),
        File(layout.lua, _text("password.lua.j2", {})),
        File(layout.purge_service, _text("purge.service.j2", values)),
        File(layout.purge_timer, _text("purge.timer.j2", {})),
    ]
    if language == "2.3":
        owner = f"root:{layout.auth_group}"
        files.append(File(layout.sql, _text("dovecot-sql-2.3.conf.ext.j2", values), 0o640, owner))
    return tuple(files)


def _deliverers(settings: NodeSettings) -> str:
    """Return, as a list of SQL, the addresses from which LMTP may come; as Dovecot writes them."""
    peers = (*settings.having(Role.MX), *settings.having(Role.STORAGE))
    addresses = {ipaddress.ip_address(address) for peer in peers for address in peer.addresses}
    return ", ".join(f"'{text}'" for text in sorted(str(address) for address in addresses)) or "''"


def _trusted(settings: NodeSettings) -> str:
    """Return the addresses that may say for whom they speak: the storage nodes, this one's waiting room too.

    Not 127.0.0.1, or a person on this machine would be asked for his password without TLS.
    """
    addresses = {ipaddress.ip_address(text) for peer in settings.having(Role.STORAGE) for text in peer.addresses}
    return " ".join(sorted(str(address) for address in addresses))


def _text(template: str, values: dict[str, object]) -> str:
    return _TEMPLATES.get_template(template).render(values)
