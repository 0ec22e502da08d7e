"""Postfix on MX and backup MX hosts; see the README in this folder."""

from roost.drivers.postfix.driver import Postfix
from roost.drivers.postfix.place import Place

__all__ = ["Place", "Postfix"]
