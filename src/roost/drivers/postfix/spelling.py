"""The two spellings of an address in an internationalised domain.

The store has A-labels; a client that knows SMTPUTF8 (RFC 6531) may write U-labels (RFC 5890). Postfix does not turn
one into the other, so it is given both.
"""

from __future__ import annotations


def spellings(name: str) -> tuple[str, ...]:
    """Return an address or a domain as it is and, where that differs, with U-labels.

    >>> spellings("john@xn--bcher-kva.example")
    ('john@xn--bcher-kva.example', 'john@bücher.example')
    """
    local, at, host = name.rpartition("@")
    spelled = f"{local}{at}{'.'.join(_shown(label) for label in host.split('.'))}"
    return (name,) if spelled == name else (name, spelled)


def canonical(name: str) -> str:
    """Return an address or a domain with A-labels."""
    local, at, host = name.rpartition("@")
    labels = [label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in host.split(".")]
    return f"{local}{at}{'.'.join(labels)}"


def _shown(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
