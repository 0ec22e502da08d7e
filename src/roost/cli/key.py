"""``roost key``: keys of the API."""

from __future__ import annotations

from cyclopts import App

from roost.cli.options import COMMON, Common
from roost.cli.session import Use
from roost.domain.errors import BadSetting
from roost.wire.resources import NewKey

app = App(name="key")

_LONGEST_NAME = 100


@app.command(name="list")
def list_(*, options: Common = COMMON, session: Use) -> None:
    """List the keys; never their secrets, which nobody has.

    For example:
      roost key list
      roost key list --output json
    """
    out, found = session.out(options), session.client().keys()
    if out.json:
        out.document(found)
    rows = [
        (k.id, k.name, f"{k.created:%Y-%m-%d %H:%M}", f"{k.expires:%Y-%m-%d %H:%M}" if k.expires else "never")
        for k in found
    ]
    out.table(("ID", "NAME", "CREATED", "EXPIRES"), rows)


@app.command
def add(name: str, /, *, valid_days: int | None = None, options: Common = COMMON, session: Use) -> None:
    """Make a key. It is shown this once, alone on standard output.

    For example:
      (umask 077; roost key add backup-job --valid-days 90 > /etc/roost/backup.key)
      roost key add monitoring --output json

    Parameters
    ----------
    name
        Whose it is; the audit log shows it.
    valid_days
        For how many days it is good; for ever where not given.
    """
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise BadSetting("A key's name has 1 to 100 characters.", field="name")
    if valid_days is not None and valid_days < 1:
        raise BadSetting("A key is valid for a day at least.", field="valid_days")
    out = session.out(options)
    made = session.client().add_key(NewKey(name=name, valid_days=valid_days))
    if out.json:
        out.document(made)
    out.note(f"Key {made.id} for {made.name}, shown only now:")
    out.say(made.key)


@app.command
def remove(id: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Remove a key: whoever holds it is refused from then on.

    For example:
      roost key remove k7d2

    Parameters
    ----------
    id
        The key's id, as 'roost key list' shows it.
    """
    out, written = session.out(options), session.client().remove_key(id)
    if out.json:
        out.document(written)
    for sentence in written.did or [f"Removed key {id}."]:
        out.say(sentence)
