"""What strangers put into mail and logins forges no row of a trace, no line of a log, and nothing on a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from tests.cluster.test_logs import kept
from tests.cluster.traces import Passage, mx_addresses, told
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import CA_FILE, Sent

VICTIM = f"victim@{DOMAIN}"
FORGED_ID = "4jFORGED0zJghP"
_STAMP = "2026-11-26T03:40:24.123456+00:00"
_LINE = (
    f"{FORGED_ID}: to=<{VICTIM}>, orig_to=<{VICTIM}>, relay=ms9.cluster.test[9.9.9.9]:24, delay=0, delays=0/0/0/0, "
    "dsn=2.0.0, status=sent (250 2.0.0 forged Saved)"
)
_WHOLE = f"{_STAMP} mx1.cluster.test postfix/lmtp[1]: {_LINE}"
_ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5n\x08\x08"

_LOGIN = """
import json, socket, ssl, sys
asked = json.load(sys.stdin)
context = ssl.create_default_context(cafile=asked["ca"])
with socket.create_connection((asked["host"], 993), 20) as plain:
    with context.wrap_socket(plain, server_hostname=asked["host"]) as tls, tls.makefile("rb") as lines:
        lines.readline()
        name = asked["user"].encode()
        tls.sendall(b'a LOGIN {%d+}\\r\\n' % len(name) + name + b' "nothing"\\r\\n')
        while not (line := lines.readline()).startswith(b"a "):
            assert line, "the server hung up"
        print(line.decode(errors="replace").split()[1])
"""


def _mail(number: int, to: str, *head: bytes, body: bytes = b"Hello.\r\n") -> bytes:
    lines = [
        b"From: Jane <jane@outside.test>",
        f"To: {to}".encode(),
        b"Date: Tue, 24 Nov 2026 12:00:00 +0000",
        *head,
    ]
    if not any(line.lower().startswith(b"message-id:") for line in head):
        lines.append(b"Message-ID: <lie%d@outside.test>" % number)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _lies(to: str) -> list[bytes]:
    whole, escapes = _WHOLE.encode(), _ESCAPES.encode("latin-1")
    heads: list[list[bytes]] = [
        [b"Subject: x\n" + whole],
        [b"Subject: x\r" + whole],
        [b"Subject: " + escapes],
        [b"Subject: x", b"X-Long: " + b"y" * 64_000],
        [b"Subject: x", b"Message-ID: <" + b"z" * 64_000 + b"@outside.test>"],
        [b"Subject: x", b"Message-ID: <a@outside.test>\r\n " + whole],
        [b"Subject: x", b"Message-ID: <" + escapes + b"@outside.test>"],
        [b"Subject: x", b"Message-ID: <x> id=<y> " + _LINE.encode()],
    ]
    return [_mail(number, to, *head) for number, head in enumerate(heads)]


def _harmless(text: str) -> bool:
    """Say whether a text moves no cursor and colours nothing: line ends are its only control characters."""
    return not [char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160]


@pytest.fixture(scope="module")
def john(founded: Cluster) -> str:
    """A mailbox; the time-line of its mail is searched for lies."""
    address = fresh("lied-to")
    founded.add_user(address, PASSWORD)
    founded.roost("policy", "set", "reject_score", "1000")
    return address


@pytest.fixture(autouse=True, scope="module")
def lenient(founded: Cluster, john: str) -> Iterator[None]:
    """Ugly mail has many points, and must come in here."""
    yield
    founded.roost("policy", "set", "reject_score", "15")


def _queue_id(sent: Sent) -> str:
    """Return under which id an MX has taken a message."""
    return str(sent.last["reply"]).partition("queued as ")[2].split()[0]


def _one(cluster: Cluster, queue_id: str) -> Passage:
    """Wait until a message has been delivered, and demand that one passage tells of it."""
    deadline = time.monotonic() + 60
    while True:
        found = cluster.roost("trace", "--queue-id", queue_id)["passages"]
        if found and all(passage["fate"] == "delivered" and passage["folder"] for passage in found):
            [passage] = found
            return dict(passage)
        assert time.monotonic() < deadline, (queue_id, found)
        time.sleep(0.5)


def _plain(cluster: Cluster, john: str) -> None:
    """Send an honest message by each MX: when it is told, what was said before has been read."""
    for number, mx in enumerate(mx_addresses(cluster)):
        sent = cluster.client.send([john], _mail(200 + number, john), hosts=[mx], seconds=30)
        assert sent.ok, sent.attempts
        _one(cluster, _queue_id(sent))


def test_headers_forge_nothing_and_every_message_is_there_once(cluster: Cluster, john: str) -> None:
    lies, taken = _lies(john), []
    for number, lie in enumerate(lies):
        mx = mx_addresses(cluster)[number % 2]
        sent = cluster.client.send([john], lie, options="BODY=8BITMIME", hosts=[mx], seconds=60)
        if sent.ok:
            taken.append(_queue_id(sent))
    assert len(taken) >= len(lies) - 2, "most of them are let in, or nothing is tried here"
    assert {_one(cluster, queue_id)["recipient"] for queue_id in taken} == {john}
    _plain(cluster, john)
    told_of = [(passage["node"], passage["queue_id"]) for passage in told(cluster, [john])]
    assert len(told_of) == len(set(told_of))
    _nothing_is_forged(cluster, john)


def test_senders_and_recipients_forge_nothing(cluster: Cluster, john: str) -> None:
    """Quoted local parts may hold nearly everything (RFC 5321 section 4.1.2)."""
    sender = f'"{_LINE}"@outside.test'
    [mx, *_] = mx_addresses(cluster)
    sent = cluster.client.send([john], _mail(100, john), sender=sender, hosts=[mx], seconds=30)
    if sent.ok:
        assert _one(cluster, _queue_id(sent))["sender"] == sender
    for local in (f'"x>, to=<{VICTIM}"', f'"{FORGED_ID}: removed"', '"a\x1b[2J"'):
        assert not cluster.client.send([f"{local}@{DOMAIN}"], _mail(101, john), hosts=[mx], seconds=30).ok
    _plain(cluster, john)
    _nothing_is_forged(cluster, john)


def test_logins_forge_nothing(cluster: Cluster, john: str) -> None:
    host = f"{john.partition('@')[0]}.pop.{DOMAIN}"
    names = [
        f"x>, method=PLAIN, rip=9.9.9.9, session=<y>: user=<{john}",
        f"x\r\n{_STAMP} ms1.cluster.test dovecot[1]: imap-login: Login: user=<{john}>, rip=9.9.9.9, TLS",
        _ESCAPES,
    ]
    for name in names:
        asked = {"ca": CA_FILE, "host": host, "user": name}
        ran = cluster.client.machine.run(["python3", "-c", _LOGIN], input=json.dumps(asked), timeout=60)
        assert ran.stdout.strip() in {"NO", "BAD"}
    # Who failed so often waits long for his next answer; mail does not, and the home tells of it after all that.
    _plain(cluster, john)
    moments = cluster.roost("user", "timeline", john)["moments"]
    # Senders' names, which may hold anything, are another matter.
    logins = [moment for moment in moments if moment["kind"].startswith("login")]
    assert not [moment for moment in logins if "9.9.9.9" in moment["text"] or moment["kind"] == "login"]
    _nothing_is_forged(cluster, john)


def _nothing_is_forged(cluster: Cluster, john: str) -> None:
    """Neither a row, nor a line of a file, nor anything on the administrator's terminal."""
    assert told(cluster, [VICTIM]) == []
    assert cluster.roost("trace", "--queue-id", FORGED_ID)["passages"] == []
    assert not [passage for passage in told(cluster, [john]) if passage["home"] == "ms9.cluster.test"]
    for machine in (*cluster.machines_with("mx"), *cluster.machines_with("storage")):
        # Each line has the collector's form and the node's own name, or ``kept`` fails.
        programs = {program for program, text in kept(cluster, machine) if text.startswith(f"{FORGED_ID}: to=")}
        assert programs == set(), machine.short
    for argv in (["trace", john], ["trace", john, "--full"], ["user", "timeline", john]):
        assert _harmless(cluster.control.run(["roost", *argv]).stdout), argv
