"""Times, as people write them: ``2h``, ``3d``, ``2026-11-25``, ``2026-11-25T12:00``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from roost.domain.errors import BadSetting

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def time_of(text: str, *, field: str) -> datetime:
    """Return a time in UTC: so long ago, or a date or time of ISO 8601, in UTC where it names no offset.

    Raises ``BadSetting`` naming the field.
    """
    now = datetime.now(UTC)
    try:
        if found := _AGO.fullmatch(text.strip().lower()):
            return now - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        at = datetime.fromisoformat(text.strip())
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadSetting(
            f"{text!r} is not a time.",
            field=field,
            remedy="Give how long ago, such as 30m, 2h or 3d, or a time such as 2026-11-25T12:00 (UTC).",
        ) from error


def shown(at: datetime | None) -> str:
    """Return a time for a table: UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at is not None else ""
