"""What ties a mailbox to others and to nodes: where it may live. Nothing but the controller knows of it.

=================  ======================================================================================
``together``       a group (a family, a team, those who share folders): its mailboxes live on one node
``apart``          a group (two postmasters, a user and his copy): no two of its mailboxes live on one node
``pin``            the one storage node on which the mailbox may live
``service_class``  a class of service: the mailbox lives only on nodes that offer it (``Node.classes``)
=================  ======================================================================================

Groups and classes are names for the whole cluster, and there is no list of them: a group is there while a mailbox is
in it, a class while a node offers it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace

from roost.domain.errors import BadSetting
from roost.domain.names import host_name

GROUP_MOST = 1000
"""Mailboxes in one group: they are looked at one by one where one of them is placed."""

CLASSES_MOST = 31
"""Classes that the nodes of a cluster offer: a plan has a bit for each, and one for those that none offers."""

_NAME = re.compile(r"\w[\w.@-]{0,63}")


def tie_name(text: str, *, field: str) -> str:
    """Return the name of a group or a class in canonical form, '' for none; raises ``BadSetting``."""
    name = unicodedata.normalize("NFC", text.strip()).casefold()
    if name and not _NAME.fullmatch(name):
        raise BadSetting(
            f"{text!r} cannot be a name.",
            field=field,
            remedy="Give up to 64 letters and digits, with dots, hyphens, underscores or @ between them.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Ties:
    """A mailbox's ties, '' for none."""

    together: str = ""
    apart: str = ""
    pin: str = ""
    service_class: str = ""

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.together or self.apart or self.pin or self.service_class)

    def changed(self, given: Mapping[str, str]) -> Ties:
        """Return them with what is given, by field, as somebody typed it; '' takes away.

        Raises ``BadSetting`` or ``BadName``, which name the field as people know it: the class is just ``class``.
        """
        checked = {
            name: (host_name(text, field="pin") if text.strip() else "")
            if name == "pin"
            else tie_name(text, field="class" if name == "service_class" else name)
            for name, text in given.items()
        }
        return replace(self, **checked) if checked else self


FREE = Ties()
"""None at all: nearly every mailbox."""
