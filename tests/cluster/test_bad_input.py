"""Scenario j: bad input gives a clear error with a remedy, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster.users import HASH, PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.errors import CommandFailed


def _refused(cluster: Cluster, *argv: str, stdin: str = "") -> dict[str, Any]:
    """Run a command that must fail; return its problem. Nothing may have changed."""
    before = cluster.roost("status")["revision"]
    with pytest.raises(CommandFailed) as caught:
        cluster.roost(*argv, stdin=stdin)
    assert cluster.roost("status")["revision"] == before
    problem: dict[str, Any] = json.loads(caught.value.stderr)
    assert problem["detail"], problem
    assert "Traceback" not in caught.value.stderr
    return problem


@pytest.mark.parametrize(
    "local",
    [
        "",
        "a b",
        "a@b",
        '"quoted"',
        "-dash\n",
        "x" * 65,
        "..",
        ".a",
        "a.",
        "a\u202eb",
        "a;rm -rf",
        "a$(id)",
        "a\x00b".replace("\x00", "\x01"),
        "%s%n",
        "../../etc/passwd",
    ],
)
def test_hostile_local_parts(cluster: Cluster, local: str) -> None:
    problem = _refused(cluster, "user", "add", "--password-stdin", "--", f"{local}@{DOMAIN}", stdin="x\n")
    assert problem["code"] != "internal"


def test_a_name_twice(cluster: Cluster) -> None:
    address = fresh("twice")
    add_many(cluster, [address])
    problem = _refused(cluster, "user", "add", address, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert address in problem["detail"]
    problem = _refused(cluster, "alias", "add", address, f"other@{DOMAIN}")
    assert address in problem["detail"]


def test_labels_never_meet(cluster: Cluster) -> None:
    """Addresses that would have the same label get different hostnames."""
    stem = fresh("o.neill").partition("@")[0]
    pair = [f"{stem}@{DOMAIN}", f"{stem.replace('.', '_')}@{DOMAIN}", f"{stem.replace('.', '-')}@{DOMAIN}"]
    add_many(cluster, pair)
    hostnames = {cluster.roost("user", "show", address)["hostname"] for address in pair}
    assert len(hostnames) == 3


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("address,password_hash\nok1@{d},{h}\nnot an address,{h}\n", 3, 1),
        ("address,password_hash\nok2@{d},plain\n", 2, None),
        ("address,password_hash\nok3@{d},{h}\nok3@{d},{h}\n", 3, 1),
        ("address,nonsense\nok4@{d},{h}\n", 1, 9),
        ("address,password_hash,home\nok5@{d},{h},ms99.cluster.test\n", 2, None),
        ('address,password_hash\n"ok6@{d},{h}\n', 2, None),
        ("address,password_hash,quota\nok7@{d},{h},many\n", 2, None),
    ],
)
def test_a_malformed_csv(cluster: Cluster, text: str, line: int, column: int | None) -> None:
    content = text.replace("{d}", DOMAIN).replace("{h}", f'"{HASH}"')
    cluster.control.write("/root/bad.csv", content, 0o600)
    problem = _refused(cluster, "user", "import", "/root/bad.csv")
    places = [(finding["line"], finding["column"]) for finding in problem["findings"]]
    assert any(found == line and (column is None or place == column) for found, place in places), problem
    for number in range(1, 8):
        with pytest.raises(CommandFailed):
            cluster.roost("user", "show", f"ok{number}@{DOMAIN}")


def test_a_wrong_key(cluster: Cluster) -> None:
    cluster.control.write("/root/wrong.key", "rk_nobody.nothing\n", 0o600)
    cluster.control.write(
        "/root/wrong.toml",
        cluster.control.read("/etc/roost/cli.toml").replace("/etc/roost/admin.key", "/root/wrong.key"),
    )
    ran = cluster.control.run(
        ["roost", "status", "--output", "json"], env={"ROOST_CLI": "/root/wrong.toml"}, check=False
    )
    assert ran.returncode != 0
    assert json.loads(ran.stderr)["code"] == "not-authenticated"


def test_tokens_work_once_and_not_when_expired(cluster: Cluster) -> None:
    ms3, url = cluster.lab.machine("ms3"), f"https://{cluster.control.address}:8443"
    token = cluster.roost("node", "token", ms3.name)["token"]
    assert ms3.run(["roost", "join", url, "--no-start"], input=f"{token}\n").returncode == 0
    for text in (token, token[:-1] + ("a" if token[-1] != "a" else "b"), "nonsense", "a.b.c"):
        ran = ms3.run(["roost", "join", url, "--no-start"], input=f"{text}\n", check=False)
        assert ran.returncode != 0, text
        assert "Traceback" not in ran.stderr
        assert "roost:" in ran.stderr
    ms3.run(["systemctl", "restart", "roost-agent.service"])
    cluster.wait_ready()


@pytest.mark.parametrize(
    "argv",
    [
        ("policy", "set", "no_such_setting", "1"),
        ("policy", "set", "ttl", "-5"),
        ("policy", "set", "ttl", "soon"),
        ("policy", "set", "forwarders", "not-an-address"),
        ("policy", "set", "over_quota", "perhaps"),
        ("node", "add", "ms1.cluster.test", "--role", "storage", "--address", "198.18.0.99"),
        ("node", "add", "nonsense", "--role", "storage", "--address", "198.18.0.99"),
        ("node", "add", "new.cluster.test", "--role", "storage", "--address", "999.1.1.1"),
        ("node", "add", "new.cluster.test", "--role", "mx", "--role", "backup-mx", "--address", "198.18.0.99"),
        ("domain", "add", "not a domain"),
        ("domain", "add", DOMAIN),
        ("domain", "remove", DOMAIN, "--yes"),
        ("user", "show", "nobody@nowhere.test"),
        ("user", "remove", f"nobody.at.all@{DOMAIN}", "--yes"),
        ("receipt", "999999999"),
    ],
)
def test_settings_and_names_that_cannot_be(cluster: Cluster, argv: tuple[str, ...]) -> None:
    add_many(cluster, [fresh("present")])
    problem = _refused(cluster, *argv)
    assert problem["code"] not in {"error", "internal"}, problem


def test_a_node_with_mailboxes_stays(cluster: Cluster) -> None:
    home = cluster.lab.machine("ms1").name
    add_many(cluster, [fresh("stays")], [home])
    problem = _refused(cluster, "node", "retire", home, "--yes")
    assert "mailbox" in problem["detail"]
    assert problem["remedy"]
