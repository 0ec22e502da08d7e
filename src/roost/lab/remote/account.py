"""Reads a whole mailbox for the account: every folder and message by IMAP, every UIDL by POP3.

In: ``hostname``, ``user``, ``password``, ``ca``, ``bodies`` (whether the token is also looked for in the text),
``pop3`` (whether POP3 is asked). Out: ``folders``, a mapping of name (as IMAP writes it) to ``uidvalidity`` and
``messages``, each UID, token and flags, by UID; ``uidls`` in the order of INBOX; ``subscribed``; ``address``.

A message whose text bears another token than its Message-ID is called by both: it will not be taken for either.
"""

import imaplib
import json
import poplib
import re
import ssl
import sys
from typing import Any

_ID = re.compile(rb"<(.*)@lab\.test>")
_TEXT = re.compile(rb"token (\S+) \.")
_LISTED = re.compile(rb'\((?P<flags>[^)]*)\) (?:"(?:\\.|[^"\\])*"|NIL) (?P<name>.*)', re.DOTALL)


def quoted(name: str) -> str:
    """Return a folder's name as a quoted string (RFC 3501 section 4.3)."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def names(data: list[Any]) -> list[tuple[str, str]]:
    """Return name and flags of the folders in the answer to LIST or LSUB."""
    found = []
    for line in data:
        if not line:
            continue
        head, literal = line if isinstance(line, tuple) else (line, None)
        match = _LISTED.match(head)
        if match:
            name = literal if literal is not None else match["name"].strip()
            if literal is None and name.startswith(b'"'):
                name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            found.append((name.decode(), match["flags"].decode().lower()))
    return found


def messages(imap: imaplib.IMAP4, *, bodies: bool) -> list[tuple[int, str, list[str]]]:
    """Return what is in the folder that is open."""
    text = " BODY.PEEK[TEXT]<0.200>" if bodies else ""
    _, data = imap.uid("FETCH", "1:*", f"(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]{text})")
    found: list[tuple[int, str, list[str]]] = []
    # An answer with two literals is two pairs and an end: "n (UID ...", "BODY[TEXT] ...", ")".
    whole = b""
    for part in [*data, None]:
        if part is None or (isinstance(part, tuple) and re.match(rb"\d+ \(", part[0])):
            if whole:
                found.append(entry(whole, bodies=bodies))
            whole = b""
        if part is not None:
            whole += b" ".join(part) if isinstance(part, tuple) else part
    return sorted(found)


def entry(text: bytes, *, bodies: bool) -> tuple[int, str, list[str]]:
    """Return UID, token and flags."""
    uid, flags = re.search(rb"UID (\d+)", text), re.search(rb"FLAGS \(([^)]*)\)", text)
    named, said = _ID.search(text), _TEXT.search(text)
    assert uid and flags, text  # noqa: S101, PT018 - they were asked for
    token = named[1].decode() if named else "no token"
    if bodies and (said is None or said[1].decode() != token):
        token += f" but {said[1].decode() if said else 'nothing'} in the text"
    return int(uid[1]), token, flags[1].decode().split()


def by_pop3(asked: dict[str, Any], context: ssl.SSLContext) -> list[str]:
    """Return the UIDLs in order."""
    pop = poplib.POP3_SSL(asked["hostname"], 995, context=context, timeout=120)
    pop.user(asked["user"])
    pop.pass_(asked["password"])
    uidls = [line.decode().split()[1] for line in pop.uidl()[1]]
    pop.quit()
    return uidls


def main() -> None:
    """Read it all."""
    imaplib._MAXLINE = 1 << 24  # type: ignore[attr-defined] # the library's own limit is against hostile servers
    poplib._MAXLINE = 1 << 16  # type: ignore[attr-defined]
    asked = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=asked["ca"])
    folders: dict[str, Any] = {}
    with imaplib.IMAP4_SSL(asked["hostname"], 993, ssl_context=context, timeout=600) as imap:
        imap.login(asked["user"], asked["password"])
        address = imap.sock.getpeername()[0]
        subscribed = [name for name, _ in names(imap.lsub()[1])]
        for name, flags in names(imap.list()[1]):
            if "\\noselect" in flags or "\\nonexistent" in flags:
                continue
            typ, count = imap.select(quoted(name), readonly=True)
            assert typ == "OK" and count[0], (name, count)  # noqa: S101, PT018 - what is listed can be opened
            validity = imap.response("UIDVALIDITY")[1][0]
            there = messages(imap, bodies=asked["bodies"]) if int(count[0]) else []
            folders[name] = {"uidvalidity": int(validity), "messages": there}
    uidls = by_pop3(asked, context) if asked["pop3"] else []
    # What came in between is seen by POP3 alone, at the end.
    uidls = uidls[: len(folders["INBOX"]["messages"])]
    print(json.dumps({"folders": folders, "uidls": uidls, "subscribed": subscribed, "address": address}))


main()
