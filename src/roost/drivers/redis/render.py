"""What Redis's file should be: pure, from the machine's memory. Redis 7 (Debian 12) and 8 (13) read it alike."""

from __future__ import annotations

import jinja2

from roost.drivers.redis.layout import Layout
from roost.ports.host import Facts, File

_SHARE = 8
"""Redis gets one part in so many of the machine's memory,"""

_LEAST_MB, _MOST_MB = 64, 1024
"""but no less and no more than this. A million learned words take some 150 MB."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("roost.drivers.redis", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the file is Redis's language, not HTML
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(facts: Facts, layout: Layout) -> tuple[File, ...]:
    """Return the one file."""
    memory = max(_LEAST_MB, min(_MOST_MB, facts.memory_mb // _SHARE))
    text = _TEMPLATES.get_template("redis.conf.j2").render(layout=layout, memory_mb=memory)
    return (File(layout.conf, text, 0o640, f"root:{layout.group}"),)
