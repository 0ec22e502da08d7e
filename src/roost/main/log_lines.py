"""How the services that run on and on write their log: lines of ``key=value`` on standard error, for the journal.

Apart from the command line, which logs nothing: to load structlog takes a third of a short command's time.
"""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Have every logger of this process write so; called once, before there is anything to say."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["level", "event"], bool_as_flag=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
