"""The names by which one account is known to Dovecot, and the checks without which no path is made of a row.

A person may log in with the address, with the personal address, or with the personal hostname alone; each also as
he writes it, in letters beyond ASCII, where a part of it is an IDN (RFC 5890: A-label to U-label is RFC 3492
Punycode, reversed). Dovecot lower-cases ASCII letters of what it is given and nothing else, so ``JÖRG`` is not
``jörg`` to it; that is the one form that is not accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from roost.domain.desired import Place, Scalar, Value
from roost.domain.errors import DaemonFailed

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})+"
_HOSTNAME = re.compile(_NAME)
_ADDRESS = re.compile(rf"[^\s@/\\\x00-\x1f]+@{_NAME}")
_HOME = re.compile(rf"{_NAME}/{_LABEL}\.(?P<number>[1-9][0-9]*)")

_FIELDS: Mapping[str, type] = {
    "number": int,
    "hostname": str,
    "target": str,
    "password": str,
    "quota": int,
    "login": bool,
    "deliver": bool,
    "format": str,
    "place": str,
    "peer": str,
}
_FORMATS = {"mdbox", "sdbox", "maildir"}
Columns = tuple[str, int, str, str, str, int, int, int, str, str, str]


def login_names(address: str, hostname: str, target: str) -> dict[str, int]:
    """Return every login name with its rank, 0 for the address itself in either spelling, 1 for the others.

    >>> login_names("john@example.test", "john.pop.example.test", "john@john.pop.example.test")
    {'john@john.pop.example.test': 1, 'john.pop.example.test': 1, 'john@example.test': 0}
    """
    names: dict[str, int] = {}
    for name, rank in ((target, 1), (hostname, 1), (address, 0)):
        names[_spelled(name)] = rank
        names[name] = rank
    return names


def checked(key: str, value: Value) -> Columns:
    """Return a row's fields in the order of the table's columns; raises ``DaemonFailed`` where one is impossible."""
    wrong = ""
    if not _ADDRESS.fullmatch(key):
        wrong = "its key is no address"
    elif set(value) != set(_FIELDS):
        wrong = f"its fields are {', '.join(sorted(value))}"
    else:
        for name, kind in _FIELDS.items():
            if type(value[name]) is not kind:
                wrong = f"{name} is not of type {kind.__name__}"
    if not wrong and not _HOSTNAME.fullmatch(str(value["hostname"])):
        wrong = "hostname is no host name"
    if not wrong and (_int(value["number"]) < 1 or _int(value["quota"]) < 0):
        wrong = "number or quota is out of range"
    if not wrong and value["format"] not in _FORMATS:
        wrong = f"there is no format {value['format']!r}"
    if not wrong and value["place"] not in set(Place):
        wrong = f"there is no place {value['place']!r}"
    if not wrong and (value["place"] == Place.HOME) != (value["peer"] == ""):
        wrong = "peer does not go with place"
    if wrong:
        raise DaemonFailed(f"The account {key!r} cannot be taken: {wrong}.")
    return (
        key,
        _int(value["number"]),
        str(value["hostname"]),
        str(value["target"]),
        str(value["password"]),
        _int(value["quota"]),
        _int(value["login"]),
        _int(value["deliver"]),
        str(value["format"]),
        str(value["place"]),
        str(value["peer"]),
    )


def home_number(home: str) -> int | None:
    """Return the number of the account to which a home (relative to all mail) belongs, None where it is no home."""
    found = _HOME.fullmatch(home)
    return int(found["number"]) if found else None


def _spelled(name: str) -> str:
    """Return a name with every A-label as its U-label, where that can be done."""
    local, at, host = name.rpartition("@")
    labels = []
    for label in host.split("."):
        spelled = label
        if label.startswith("xn--"):
            try:
                spelled = label[4:].encode("ascii").decode("punycode")
            except UnicodeError:
                spelled = label
        labels.append(spelled)
    return f"{local}{at}{'.'.join(labels)}"


def _int(value: Scalar) -> int:
    return value if isinstance(value, int) else 0
