"""NodeSettings and Facts to rspamd's files. Pure: the same arguments give the same files.

The configuration is Roost's own from the first line, so that a module which a release brings, and which fetches its
lists from somewhere, is not there. Debian's are the points of each rule (``scores.d``), the composites and the rules.
"""

from __future__ import annotations

import jinja2

from roost.domain.desired import NodeSettings
from roost.drivers.rspamd import in_force
from roost.drivers.rspamd.layout import Layout
from roost.ports.host import MARK, Facts, File
from roost.ports.traces import SPAM_LOG

MIN_LEARNS = 20
"""So many messages of each kind must have been learned before what was learned counts."""

_GROUPS = ("headers", "subject", "mua", "statistics", "policies", "phishing", "mime_types", "content")
_PROCESSES_MAX = 8
_FIRST_RELEASE_WITH_312 = 13
_SUFFIXES = "/usr/share/publicsuffix/effective_tld_names.dat"
_OLD_SUFFIXES = "${SHAREDIR}/effective_tld_names.dat"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.rspamd", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the files are rspamd's language and Lua, not HTML
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(settings: NodeSettings, facts: Facts, layout: Layout) -> tuple[File, ...]:
    """Return every file of the driver."""
    values = {
        "policy": settings.policy,
        "layout": layout,
        "log_format": SPAM_LOG,
        "mark": MARK,
        "groups": _GROUPS,
        "min_learns": MIN_LEARNS,
        "processes": max(1, min(facts.processors, _PROCESSES_MAX)),
        "probe": settings.probe_domain,
        "suffixes": _SUFFIXES if _is_new(facts) else _OLD_SUFFIXES,
    }
    conf = File(layout.conf, _TEMPLATES.get_template("rspamd.conf.j2").render(values))
    lua = _TEMPLATES.get_template("roost.lua.j2")
    settings_of = in_force.digest([conf, File(layout.lua, lua.render(values, digest=""))])
    return (
        conf,
        File(layout.lua, lua.render(values, digest=settings_of)),
        File(layout.unit, _TEMPLATES.get_template("unit.conf.j2").render()),
    )


def _is_new(facts: Facts) -> bool:
    """Say whether it is the rspamd of Debian 13, which has the list of public suffixes from another package."""
    version = facts.versions.get("rspamd")
    if version is None:
        return facts.release >= _FIRST_RELEASE_WITH_312
    return tuple(int(part) for part in version.split(".")[:2]) > (3, 4)
