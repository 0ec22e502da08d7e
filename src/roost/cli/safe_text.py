"""Text that came from elsewhere, made harmless for a terminal; and sizes, as people write them.

A name, a daemon's sentence or an audit entry may hold bytes that a terminal obeys (ECMA-48 control functions: colour,
cursor, title, even input) or that reorder what is shown (Unicode bidirectional controls). ``plain`` shows them as
escapes instead. Everything that the command line prints passes through it, or through JSON with the same care.
"""

from __future__ import annotations

import re

from roost.domain.errors import BadSetting

# C0, DEL and C1 controls; line and paragraph separators; bidirectional marks, embeddings and isolates; surrogates.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_SIZE = re.compile(r"(\d{1,19})\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LARGEST = 2**63 - 1


def plain(text: str) -> str:
    """Return the text with everything that a terminal would obey shown as an escape."""
    return _OBEYED.sub(_escape, text)


def plain_json(text: str) -> str:
    """Return JSON text that says the same and holds nothing that a terminal would obey, line ends aside."""
    return _OBEYED.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def size(text: str, *, field: str = "quota") -> int:
    """Return bytes from ``2G``, ``500M`` or plain bytes; a unit is 1024 times the one before.

    Raises ``BadSetting`` naming the field.
    """
    found = _SIZE.fullmatch(text.strip())
    value = int(found[1]) * 1024 ** _POWERS[found[2].lower()] if found else _LARGEST + 1
    if value > _LARGEST:
        raise BadSetting(
            f"{text!r} is not a size.", field=field, remedy="Give bytes, or a number with K, M, G or T: 2G, 500M."
        )
    return value


def show_size(value: int) -> str:
    """Return bytes in the largest unit that keeps it readable: ``2G``, ``1.5G``, ``0``."""
    power = 0
    while power < len(_POWERS) - 1 and value >= 1024 ** (power + 1):
        power += 1
    whole, rest = divmod(value, 1024**power)
    unit = tuple(_POWERS)[power].upper()
    return f"{whole}{unit}" if not rest else f"{value / 1024**power:.1f}{unit}"
