"""Runs in the controller's machine: makes one change for each line of its input and says when it was where.

In, JSON: ``verb`` (add, quota, remove), ``address``, for add ``hash`` and ``home``, for quota ``bytes``. Out:
``ms``, a mapping of node and table to the milliseconds from the change's time in the audit log (written in its
transaction) to the node's acknowledgement, both by the controller's clock; and under ``answer`` those of the API's
answer.
"""

import json
import sys
import time

sys.path[:0] = ["/opt/roost/lib"]
from roost.cli.settings import connect  # noqa: E402 - found by the line above
from roost.wire.resources import MailboxChange, NewMailbox  # noqa: E402

client = connect()
for line in sys.stdin:
    asked = json.loads(line)
    began = time.monotonic()
    if asked["verb"] == "add":
        new = NewMailbox(address=asked["address"], password_hash=asked["hash"], home=asked["home"])
        revision = client.add_mailbox(new).revision
    elif asked["verb"] == "quota":
        revision = client.change_mailbox(asked["address"], MailboxChange(quota=asked["bytes"])).revision
    else:
        revision = client.remove_mailbox(asked["address"]).revision
    ms = {"answer": (time.monotonic() - began) * 1000}
    receipt = client.receipt(revision, wait=30)
    assert receipt.done, receipt
    [event] = client.events(after=revision - 1, limit=1)
    for found in receipt.lines:
        ms[f"{found.node} {found.table}"] = (found.at - event.at).total_seconds() * 1000
    print(json.dumps({"ms": ms}), flush=True)
