"""Every command: what it asks of the API, and that it prints one JSON document where that is wanted."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fake_admin_api import KEY, FakeApi, line, node, problem

from conftest import Roost
from roost.wire import resources as r

HASH = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"

COMMANDS = [
    (["domain", "add", "Example.TEST", "--quota", "2G"], "POST", {"name": "example.test", "quota": 2**31}),
    (["domain", "list"], "GET", None),
    (["domain", "show", "example.test"], "GET", None),
    (["domain", "set", "example.test", "--suspended", "refuse"], "PATCH", {"suspended": "refuse"}),
    (["domain", "remove", "example.test"], "DELETE", None),
    (["domain", "records", "example.test"], "GET", None),
    (["user", "add", "john@example.test", "--password-stdin"], "POST", {"password": "Pässword 1"}),
    (["user", "list", "--domain", "example.test"], "GET", None),
    (["user", "show", "john@example.test"], "GET", None),
    (["user", "set", "john@example.test", "--quota", "500M"], "PATCH", {"quota": 500 * 2**20}),
    (
        ["user", "set", "john@example.test", "--pin", "", "--class", "Gold"],
        "PATCH",
        {"pin": "", "service_class": "gold"},
    ),
    (["user", "list", "--together", "smith"], "GET", None),
    (["user", "password", "john@example.test", "--password-stdin"], "PATCH", {"password": "Pässword 1"}),
    (["user", "suspend", "john@example.test"], "PATCH", {"suspended": True}),
    (["user", "resume", "john@example.test"], "PATCH", {"suspended": False}),
    (["user", "load", "john@example.test"], "GET", None),
    (["user", "remove", "John@example.test"], "DELETE", None),
    (
        ["user", "move", "john@example.test", "--to", "ms2.cluster.test", "--deep"],
        "POST",
        {"mailboxes": [{"address": "john@example.test", "to": ""}], "to": "ms2.cluster.test", "deep": True},
    ),
    (["user", "move", "--from", "ms1.cluster.test"], "POST", {"from_node": "ms1.cluster.test", "to": ""}),
    (["user", "move", "--together", "Smith"], "POST", {"together": "smith"}),
    (["move", "list"], "GET", None),
    (["move", "show", "17"], "GET", None),
    (["move", "watch"], "GET", None),
    (["move", "watch", "17"], "GET", None),
    (["move", "pause", "17"], "POST", None),
    (["move", "resume", "--batch", "b17"], "POST", None),
    (["move", "abort", "--all"], "POST", None),
    (["move", "back", "17"], "POST", None),
    (["move", "certificate", "17"], "GET", None),
    (["balance", "plan", "--moves", "5", "--bytes", "1G"], "POST", {"moves": 5, "bytes": 2**30}),
    (["balance", "apply"], "POST", None),
    (["balance", "apply", "12", "--no-wait"], "POST", None),
    (["balance", "show"], "GET", None),
    (["balance", "show", "12"], "GET", None),
    (["balance", "auto", "on"], "PATCH", {"balance_auto": "on"}),
    (["balance", "stop"], "POST", None),
    (["balance", "forecast"], "GET", None),
    (
        ["balance", "whatif", "--add", "2x", "--remove", "ms1.cluster.test"],
        "POST",
        {"add": ["2x"], "remove": ["ms1.cluster.test"]},
    ),
    (["policy", "set", "balance_bytes", "10G"], "PATCH", {"balance_bytes": 10 * 2**30}),
    (["alias", "add", "sales@example.test", "john@example.test"], "POST", {"targets": ["john@example.test"]}),
    (["alias", "set", "sales@example.test", "a@b.test", "c@d.test"], "PUT", {"targets": ["a@b.test", "c@d.test"]}),
    (["alias", "list"], "GET", None),
    (["alias", "show", "sales@example.test"], "GET", None),
    (["alias", "remove", "sales@example.test"], "DELETE", None),
    (
        ["sender", "allow", "John@example.test", "Jane@Elsewhere.test"],
        "POST",
        {"owner": "john@example.test", "sender": "jane@elsewhere.test", "verdict": "allow"},
    ),
    (["sender", "deny", "example.test", "192.0.2.7"], "POST", {"sender": "192.0.2.7", "verdict": "deny"}),
    (["sender", "remove", "example.test", "spam.test"], "DELETE", None),
    (["sender", "list", "--owner", "example.test"], "GET", None),
    (
        ["node", "add", "ms2.cluster.test", "--role", "storage", "--role", "dns", "--address", "192.0.2.12"],
        "POST",
        {"roles": ["dns", "storage"], "addresses": ["192.0.2.12"], "valid_minutes": 60},
    ),
    (["node", "list"], "GET", None),
    (["node", "show", "ms1.cluster.test"], "GET", None),
    (["node", "load"], "GET", None),
    (["node", "load", "ms1.cluster.test"], "GET", None),
    (["node", "measure", "ms1.cluster.test"], "POST", None),
    (
        ["node", "set", "ms1.cluster.test", "--cpu", "8", "--disk", "4T"],
        "PATCH",
        {"declared": {"cpu": 8, "disk": 4 * 2**40}},
    ),
    (
        ["node", "set", "ms1.cluster.test", "--class", "gold", "--class", "Bulk"],
        "PATCH",
        {"classes": ["gold", "bulk"]},
    ),
    (["node", "set", "ms1.cluster.test", "--class", ""], "PATCH", {"classes": []}),
    (["node", "drain", "ms1.cluster.test"], "POST", None),
    (["node", "undrain", "ms1.cluster.test"], "POST", None),
    (["node", "retire", "ms1.cluster.test"], "DELETE", None),
    (["node", "token", "ms1.cluster.test"], "POST", None),
    (["status"], "GET", None),
    (["receipt", "7"], "GET", None),
    (["drift"], "GET", None),
    (["drift", "--check"], "POST", None),
    (["probe"], "GET", None),
    (["probe", "--now"], "POST", None),
    (["probe", "--renew"], "POST", None),
    (["policy", "set", "probe_seconds", "0"], "PATCH", {"probe_seconds": 0}),
    (["policy", "show"], "GET", None),
    (["policy", "set", "ttl", "30"], "PATCH", {"ttl": 30}),
    (["policy", "set", "message_size", "50M"], "PATCH", {"message_size": 50 * 2**20}),
    (["policy", "set", "forwarders", "192.0.2.1, 192.0.2.2"], "PATCH", {"forwarders": ["192.0.2.1", "192.0.2.2"]}),
    (["policy", "set", "forwarders", ""], "PATCH", {"forwarders": []}),
    (["policy", "set", "move_bandwidth", "10M"], "PATCH", {"move_bandwidth": 10 * 2**20}),
    (["policy", "set", "move_hours", "22-6"], "PATCH", {"move_hours": "22-6"}),
    (["policy", "set", "logs_keep_days", "90"], "PATCH", {"logs_keep_days": 90}),
    (["policy", "set", "logs_journal_size", "2G"], "PATCH", {"logs_journal_size": 2 * 2**30}),
    (["policy", "set", "logs_local_copy", "on"], "PATCH", {"logs_local_copy": "on"}),
    (["policy", "set", "metrics_from", "192.0.2.0/28"], "PATCH", {"metrics_from": ["192.0.2.0/28"]}),
    (["metrics", "scrape-config"], "GET", None),
    (["key", "list"], "GET", None),
    (["key", "add", "job", "--valid-days", "9"], "POST", {"name": "job", "valid_days": 9}),
    (["key", "remove", "k7d2"], "DELETE", None),
    (["log"], "GET", None),
    (["trace", "john@example.test", "--since", "2h"], "GET", None),
    (["user", "timeline", "john@example.test"], "GET", None),
    (["log", "--verify"], "GET", None),
    (["restore", __file__, "--yes"], "POST", None),
]


@pytest.mark.parametrize(
    ("argv", "method", "body"), COMMANDS, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_command(roost: Roost, api: FakeApi, argv: list[str], method: str, body: dict[str, object] | None) -> None:
    stdin = "Pässword 1\n".encode()
    plain = roost(*argv, stdin=stdin)
    assert (plain.status, plain.err.count("Warning")) == (0, 0), plain.err
    assert plain.out.strip()
    assert "Pässword 1" not in plain.out + plain.err
    asked = api.last(method)
    assert asked.key == KEY
    if body is not None:
        assert body.items() <= asked.json.items()
    document = roost(*argv, "--output", "json", stdin=stdin)
    assert document.status == 0
    assert document.err == ""
    assert document.json is not None
    assert "Pässword 1" not in document.out


def test_write_tells_what_it_did_and_where(roost: Roost, api: FakeApi) -> None:
    ran = roost("user", "suspend", "john@example.test")
    assert ran.out.splitlines() == [
        "Did as asked.",
        "NODE      TABLE       APPLIED  MS",
        "mx1.test  recipients  yes      42",
        "ms1.test  recipients  yes      42",
    ]
    document = roost("user", "suspend", "john@example.test", "-o", "json").json
    assert (document["revision"], document["did"], document["warnings"]) == (7, ["Did as asked."], [])
    assert [found["node"] for found in document["receipt"]["lines"]] == ["mx1.test", "ms1.test"]


def test_dry_run_and_no_wait_do_not_wait(roost: Roost, api: FakeApi) -> None:
    answer = r.Written(revision=0, dry_run=True, did=["Mailbox john@example.test."])
    api.on("DELETE", "/v1/mailboxes/john%40example.test", answer)
    ran = roost("user", "remove", "john@example.test", "--dry-run")
    assert ran.out == "Would be done: Mailbox john@example.test.\n"
    assert api.last("DELETE").query == {"dry_run": "true"}
    assert roost("alias", "remove", "sales@example.test", "--no-wait").out == "Did as asked.\n"
    assert not [asked for asked in api.asked if "receipts" in asked.path]


def test_a_node_that_is_away_is_a_warning_and_no_failure(roost: Roost, api: FakeApi) -> None:
    lines = [line("mx1.test"), line("ms9.test", applied=False, connected=False)]
    api.on("GET", "/v1/receipts/7", r.Receipt(revision=7, done=False, lines=lines))
    ran = roost("user", "suspend", "john@example.test")
    assert ran.status == 0
    assert "ms9.test  recipients  not connected" in ran.out
    assert ran.err == (
        "Warning: ms9.test is not connected. The change is stored and reaches the node when it is back.\n"
    )
    document = roost("user", "suspend", "john@example.test", "-o", "json")
    assert document.err == ""
    assert "ms9.test is not connected" in document.json["warnings"][0]


def test_a_late_node_is_waited_for_until_the_timeout(roost: Roost, api: FakeApi) -> None:
    late = r.Receipt(revision=7, done=False, lines=[line("mx1.test", applied=False)])
    api.on("GET", "/v1/receipts/7", late)
    ran = roost("user", "suspend", "john@example.test", "--timeout", "0.05")
    assert (ran.status, "mx1.test is late" in ran.err) == (0, True)
    answers = iter([late, late, r.Receipt(revision=7, done=True, lines=[line("mx1.test")])])
    api.on("GET", "/v1/receipts/7", lambda _: next(answers))
    ran = roost("user", "suspend", "john@example.test")
    assert (ran.status, ran.err) == (0, "")
    assert "mx1.test  recipients  yes" in ran.out


def test_a_write_stays_done_where_watching_it_fails(roost: Roost, api: FakeApi) -> None:
    del api.answers["GET", "/v1/receipts/7"]
    ran = roost("user", "suspend", "john@example.test")
    assert ran.status == 0
    assert "Did as asked." in ran.out
    assert "Warning: The change is stored, but who has it cannot be told" in ran.err


def test_receipt_ends_with_3_until_all_have_it(roost: Roost, api: FakeApi) -> None:
    api.on("GET", "/v1/receipts/7", r.Receipt(revision=7, done=False, lines=[line("mx1.test", applied=False)]))
    ran = roost("receipt", "7", "--wait", "2", "--output", "json")
    assert (ran.status, ran.json["done"]) == (3, False)
    assert api.last("GET").query == {"wait": "2"}


def test_node_token_is_alone_on_standard_output(roost: Roost) -> None:
    ran = roost("node", "token", "ms1.cluster.test")
    assert ran.out == "t9.one-time\n"
    assert "roost join https://control.test:8443" in ran.err
    assert roost("key", "add", "job").out == "k7d2.new-secret\n"


def test_lists_fetch_pages_and_say_that_there_is_more(roost: Roost, api: FakeApi) -> None:
    names = [f"u{n:04d}@example.test" for n in range(2500)]

    def page(request: object) -> list[r.AliasView]:
        query = dict(request.url.params)  # type: ignore[attr-defined]
        left = [name for name in names if name > query.get("after", "")]
        return [r.AliasView(address=name, targets=["john@example.test"]) for name in left[: int(query["limit"])]]

    api.on("GET", "/v1/aliases", page)
    assert [a["address"] for a in roost("alias", "list", "--all", "-o", "json").json] == names
    assert [a["address"] for a in roost("alias", "list", "--limit", "1001", "-o", "json").json] == names[:1001]
    ran = roost("alias", "list", "--limit", "2", "--after", "u0100@example.test")
    assert ran.out.count("\n") == 3
    assert "--after u0102@example.test goes on" in ran.err
    assert "more" not in roost("alias", "list", "--limit", "2500").err


def test_status_tells_of_nodes_and_warnings(roost: Roost) -> None:
    assert roost("status").out.splitlines() == [
        "Cluster cluster.test, Roost 0.1.0, revision 7: 1 domain, 3 mailboxes, 1 node",
        "NODE              ROLES    STATE      MAILBOXES  LOAD  DISK  QUEUE  SESSIONS  HEALTH",
        "ms1.cluster.test  storage  connected  3          -     -     -      -         ok",
        "! ms2.cluster.test: It is not connected. Start its agent.",
    ]


def test_status_shows_figures_where_nodes_tell_them(roost: Roost, api: FakeApi) -> None:
    told = {"at": "2026-11-23T12:00:00Z", "load": 0.417, "memory": 0.5, "disk": 0.634, "disk_path": "/"}
    status = r.Status(
        cluster="cluster.test",
        version="0.1.0",
        revision=7,
        domains=1,
        mailboxes=3,
        nodes=[
            node("mx1.cluster.test", roles=["mx"], figures={**told, "queue": 12, "oldest": 400}),
            node("ms1.cluster.test", mailboxes=3, figures={**told, "sessions": 5}),
        ],
        warnings=[r.Warned(subject="ms1.cluster.test", warning="12 wait.", remedy="Wait.", name="mail-waits")],
        queue=12,
        sessions=5,
        waiting={"ms1.cluster.test": r.WaitingView(messages=12, oldest=400)},
        moves={"copying": 2},
    )
    api.on("GET", "/v1/status", status)
    assert roost("status").out.splitlines() == [
        "Cluster cluster.test, Roost 0.1.0, revision 7: 1 domain, 3 mailboxes, 2 nodes",
        "12 messages in queues, 5 sessions, moves: 2 copying.",
        "Mail on its way to: ms1.cluster.test 12.",
        "NODE              ROLES    STATE      MAILBOXES  LOAD  DISK  QUEUE  SESSIONS  HEALTH",
        "mx1.cluster.test  mx       connected  0          0.42  63%   12     -         ok",
        "ms1.cluster.test  storage  connected  3          0.42  63%   -      5         ok",
        "! ms1.cluster.test: 12 wait. Wait.",
    ]
    found = roost("status", "--output", "json").json
    assert found["nodes"][0]["figures"]["queue"] == 12
    assert (found["warnings"][0]["name"], found["moves"]) == ("mail-waits", {"copying": 2})


def test_status_waits_until_every_node_is_well(roost: Roost, api: FakeApi) -> None:
    def status(*nodes: r.NodeView) -> r.Status:
        return r.Status(
            cluster="c.test", version="0.1.0", revision=7, domains=1, mailboxes=3, nodes=nodes, warnings=[]
        )

    away, late = node("mx1.test", connected=False), node("mx1.test", late=2)
    ill, well = node("mx1.test", health={"postfix": "is not running"}), node("mx1.test")
    starting = problem(503, "unavailable", "The controller starts.")
    answers = iter([starting, status(well, away), status(well, late), status(well, ill), status(well, well)])
    api.on("GET", "/v1/status", lambda _: next(answers))
    assert roost("status", "--wait", "60").status == 0
    assert next(answers, None) is None
    for unready in (away, late, ill):
        api.on("GET", "/v1/status", status(well, unready))
        assert roost("status", "--wait", "0.01", "--output", "json").status == 3
        assert roost("status").status == 0
    api.on("GET", "/v1/status", starting)
    assert roost("status", "--wait", "0.01").status == 3
    refused = roost("status", "--wait", "60", "--watch")
    assert (refused.status, "--wait" in refused.err) == (2, True)


def test_status_is_drawn_in_colour_on_a_terminal_and_never_commands_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What a node says may hold anything."""
    from rich.console import Console

    from roost.cli import picture

    shown = picture.Picture(
        ["Cluster\x1b[2J"], ("NODE",), [("ms1\x1b]0;x\x07",)], ["bad"], ["ms1: [red]it[/red] is off."]
    )
    into = io.StringIO()
    console = Console(file=into, force_terminal=True, color_system="standard", width=60, markup=False)
    for part in picture._parts(shown):
        console.print(part)
    text = into.getvalue()
    assert "\x1b[31m" in text
    assert "\x1b[33m! ms1: [red]it[/red] is off." in text
    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text


def test_drift_check_waits_for_connected_nodes_only(roost: Roost, api: FakeApi) -> None:
    def drift(*waiting: str) -> r.Drift:
        found = r.DriftLine(
            node="mx1.test",
            at="2026-11-23T12:00:00Z",
            driver="postfix",
            what="recipients: john@example.test",
            found="missing",
            repaired=True,
        )
        return r.Drift(
            check=3, waiting=list(waiting), rows_checked=9, lines=[found], refused={"ns1.test": "Too many."}
        )

    answers = iter([drift("mx1.test", "ms9.test"), drift("ms9.test")])
    api.on("GET", "/v1/nodes", [node("mx1.test"), node("ms9.test", connected=False)])
    api.on("POST", "/v1/drift", drift("mx1.test", "ms9.test"))
    api.on("GET", "/v1/drift", lambda _: next(answers))
    ran = roost("drift", "--check")
    assert ran.status == 0
    assert "mx1.test  2026-11-23 12:00:00  postfix  recipients: john@example.test  missing  yes" in ran.out
    assert "ms9.test has not done check 3" in ran.err
    assert "ns1.test held repairs back: Too many." in ran.err


def test_log_shows_the_last_and_verifies(roost: Roost, api: FakeApi) -> None:
    assert [e["revision"] for e in roost("log", "--last", "2", "-o", "json").json] == [6, 7]
    assert [e["revision"] for e in roost("log", "--after", "4", "-o", "json").json] == [5, 6, 7]
    assert "key:admin  mailbox added  john@example.test  home=ms1.cluster.test" in roost("log").out
    assert roost("log", "--verify").out == "The audit log is intact.\n"
    api.on("GET", "/v1/events/verify", r.Written(revision=0, did=["Event 4 was changed."]))
    ran = roost("log", "--verify")
    assert (ran.status, ran.out) == (1, "Event 4 was changed.\n")
    assert roost("log", "--verify", "-o", "json").json == {"intact": False, "broken": ["Event 4 was changed."]}


def test_backup_is_private_complete_and_never_overwrites(roost: Roost, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "monday"
    assert roost("backup", str(file), "-o", "json").json == {"file": str(file), "bytes": 10}
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"everything", 0o600)
    assert roost("backup", str(file)).status == 2
    del api.answers["GET", "/v1/backup"]
    assert roost("backup", str(file), "--replace").status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["monday"]
    assert file.read_bytes() == b"everything"
    assert roost("backup", str(tmp_path / "no" / "such")).status == 2


def test_restore_sends_the_file_and_wants_yes(roost: Roost, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "monday"
    file.write_bytes(b"everything")
    refused = roost("restore", str(file))
    assert (refused.status, "--yes" in refused.err) == (2, True)
    assert not api.asked
    ran = roost("restore", str(file), "--yes")
    assert ran.out == "Replaced everything.\nRestored: the cluster is at revision 5.\n"
    assert api.last("POST").body == b"everything"


def test_password_hash_from_file_and_standard_input(roost: Roost, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "hash"
    file.write_text(f"{HASH}\n")
    for argv, stdin in ((str(file), b""), ("-", f"{HASH}\n".encode())):
        ran = roost("user", "add", "john@example.test", "--password-hash", argv, "--home", "ms1.x.test", stdin=stdin)
        assert ran.status == 0
        assert api.last("POST").json == {
            "address": "john@example.test",
            "password_hash": HASH,
            "home": "ms1.x.test",
            "quota": 0,
        }
        assert HASH not in ran.out + ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(roost: Roost, shell: str) -> None:
    ran = roost("completion", shell)
    assert ran.status == 0
    for word in ("domain", "suspend", "password-stdin", "completion"):
        assert word in ran.out
    assert json.loads(roost("completion", shell, "-o", "json").out)["script"].strip() == ran.out.strip()
