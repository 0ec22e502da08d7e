"""What a copy is: everything that a mailbox has, in every format, and nothing that it has not."""

from __future__ import annotations

import datetime
import imaplib
import json
from collections.abc import Iterator

import pytest

from roost.domain.evidence import differences, differing
from roost.drivers.dovecot import evidence
from roost.ports.mailstore import Copy

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of
from .instance import Instance
from .moving import JOHN, MOVE, Pair, pair, path_of, put_order
from .sieve import Sieve

DAY = datetime.timedelta(days=1)
WAYS = [(source, target) for source in ROOTS for target in ROOTS]
FOLDERS = (
    "Archive/2026/November",
    'with "quotes" and \\ backslash',
    "dots.and.dots",
    "a~tilde",
    "-dash",
    "+",
    "&UTF-7&",
    "Grüße",
    "日本語/子フォルダ",
    "кириллица",
    "عربى",
    "🙂",
    " spaces  ",
    "percent%d*",
    "INBOX/below",
    "x" * 120,
)


@pytest.fixture(params=WAYS, ids=lambda way: f"{name_of(way[0])}-{name_of(way[1])}")
def both(request: pytest.FixtureRequest, ca: TestCa) -> Iterator[Pair]:
    """Source and target, in every way between the machines."""
    with pair(*request.param, ca) as made:
        yield made


def quoted(name: str) -> str:
    """Return a folder's name as IMAP wants it: quoted, in modified UTF-7 (RFC 3501 section 5.1.3)."""
    words, wide = [], ""
    for letter in [*name, ""]:
        if letter and not " " <= letter <= "~":
            wide += letter
            continue
        if wide:
            words.append("&" + _utf7(wide) + "-")
            wide = ""
        words.append("&-" if letter == "&" else letter)
    return '"' + "".join(words).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _utf7(text: str) -> str:
    return text.encode("utf-7").decode("ascii").removeprefix("+").rstrip("-").replace("/", ",")


def fill(instance: Instance) -> None:
    """Give John a mailbox of many kinds."""
    client = instance.login(JOHN)
    for number, name in enumerate(FOLDERS):
        folder = quoted(name)
        assert client.create(folder)[0] == "OK", name
        if number % 2:
            client.subscribe(folder)
        for flags in ("", r"(\Seen $Label1)", r"(\Flagged \Answered NonJunk $Label1)")[: number % 4]:
            date = imaplib.Time2Internaldate(1_000_000_000 + number * 86_400)
            assert client.append(folder, flags, date, f"Subject: {number}\n\nbody\n".encode())[0] == "OK"
    client.select()
    for number in range(5):
        client.append("INBOX", "", imaplib.Time2Internaldate(1_700_000_000 + number), b"Subject: x\r\n\r\nx\r\n")
    client.store("2,4", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.store("1", "+FLAGS", r"(zeta alpha \Seen)")
    assert client.setacl("Archive/2026/November", "joan@example.test", "lr")[0] == "OK"
    assert client.xatom("SETMETADATA", "INBOX", '(/private/comment "mine")')[0] == "OK"
    assert client.xatom("SETMETADATA", '""', '(/private/vendor/x "all of it")')[0] == "OK"
    client.logout()
    with Sieve(instance) as sieve:
        sieve.put(
            "vacation", 'require "fileinto";\r\nif header :contains "subject" "list" { fileinto "Archive"; }\r\n'
        )
        sieve.put("other", "keep;\r\n")
        sieve.say('SETACTIVE "vacation"')


@pytest.mark.parametrize(
    "formats", [("mdbox", "mdbox"), ("mdbox", "maildir"), ("maildir", "sdbox"), ("sdbox", "mdbox")], ids="-".join
)
def test_everything_travels(both: Pair, formats: tuple[str, str]) -> None:
    both.begin(*formats)
    fill(both.source)
    both.copy()
    proof = both.assert_alike(deep=True)
    assert set(proof.folders) >= {"INBOX", *FOLDERS}
    assert (path_of(both.target) / formats[1]).is_dir()
    assert proof.messages == sum(number % 4 for number in range(len(FOLDERS))) + 3
    both.hold()
    both.hand_over()
    both.settle()
    client = both.target.login(JOHN)
    client.select("INBOX")
    assert client.fetch("1", "(FLAGS)")[1][0].split(b"(FLAGS ")[1].split(b")")[0].split() != []  # type: ignore[union-attr]
    assert b"joan@example.test" in client.getacl("Archive/2026/November")[1][0]  # type: ignore[operator]
    client.logout()
    with Sieve(both.target) as sieve:
        assert b'"vacation" ACTIVE\r\n' in sieve.say("LISTSCRIPTS")


def test_what_is_wrong_on_the_target_is_seen(both: Pair) -> None:
    both.begin()
    fill(both.source)
    both.copy()
    both.assert_alike()
    run = both.target.host.run
    doveadm = ["doveadm", "-c", both.target.layout.conf]
    run([*doveadm, "save", "-u", JOHN, "-m", "INBOX"], stdin="Subject: stray\n\nx\n")
    (said,) = [words for words in differences(*both.evidence()) if "number of messages" in words]
    assert "'INBOX' is 3 on the source, 4 on the target" in said
    both.copy()
    both.assert_alike()
    run([*doveadm, "flags", "add", "-u", JOHN, "stray", "mailbox", "INBOX", "uid", "1"])
    assert differences(*both.evidence()) == ["Messages of 'INBOX' differ in UID, flags, date, size or content."]
    both.copy()
    run([*doveadm, "mailbox", "update", "-u", JOHN, "--uid-validity", "77", "Grüße"])
    assert any("UIDVALIDITY of 'Grüße'" in words for words in differences(*both.evidence()))
    run([*doveadm, "mailbox", "create", "-u", JOHN, "only-here"])
    run([*doveadm, "acl", "set", "-u", JOHN, "INBOX", "user=eve@example.test", "read"])
    (path_of(both.target) / "sieve/other.sieve").write_text("discard;\n")
    found = differences(*both.evidence())
    assert {"Acl differ.", "Sieve differ.", "The folder 'only-here' is on the target only."} <= set(found), found


def test_a_message_whose_content_was_lost_is_seen_only_deep(both: Pair) -> None:
    both.begin("mdbox", "maildir")
    fill(both.source)
    both.copy()
    both.assert_alike()
    (letter, *_) = sorted((path_of(both.target) / "maildir/cur").iterdir()) + sorted(
        (path_of(both.target) / "maildir/new").iterdir()
    )
    letter.write_bytes(letter.read_bytes().replace(b"x", b"y"))
    both.assert_alike()
    assert differences(*both.evidence(deep=True)) == [
        "Messages of 'INBOX' differ in UID, flags, date, size or content."
    ]


def test_a_pass_looks_only_where_something_differs(both: Pair) -> None:
    both.begin()
    fill(both.source)
    both.copy()
    both.assert_alike()
    client = both.source.login(JOHN)
    for folder in ("INBOX", quoted("Grüße")):
        client.append(folder, "", imaplib.Time2Internaldate(1_750_000_000), b"Subject: new\r\n\r\nx\r\n")
    client.create(quoted("Made now"))
    client.logout()
    here, there = both.evidence()
    assert differing(here, there) == {here.folders[name].guid for name in ("INBOX", "Grüße", "Made now")}
    order, state = both.order("target"), both.stores[1].state(MOVE)
    both.one_pass(order, state, [here.folders["Grüße"].guid])
    # Names of folders are always compared; another folder may be looked at, this one is.
    left = differing(*both.evidence())
    assert left is not None
    assert left <= {here.folders["INBOX"].guid}
    both.one_pass(order, state, [here.folders["INBOX"].guid])
    both.assert_alike()


def test_many_folders_are_asked_for_at_once(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    both.begin()
    fill(both.source)
    one_by_one = both.stores[0].evidence(both.order("source"), deep=True)
    monkeypatch.setattr(evidence, "_ONE_BY_ONE", 0)
    both.open()
    assert both.stores[0].evidence(both.order("source"), deep=True) == one_by_one
    # What is remembered of rights is looked at again once they have changed.
    client = both.source.login(JOHN)
    assert client.setacl(quoted("Grüße"), "joan@example.test", "lr")[0] == "OK"
    client.logout()
    assert differences(one_by_one, both.stores[0].evidence(both.order("source"), deep=True)) == ["Acl differ."]


def test_whose_copy_it_is(both: Pair) -> None:
    both.begin()
    source, target = both.stores
    order = both.order("target")
    assert target.found(order) is Copy.NOTHING
    both.copy()
    assert target.found(order) is Copy.OURS
    target.discard(order)
    assert target.found(order) is Copy.NOTHING
    path_of(both.target).mkdir(parents=True, exist_ok=True)
    (path_of(both.target) / "somebody").write_text("else")
    assert target.found(order) is Copy.FOREIGN
    target.discard(order)
    assert (path_of(both.target) / "somebody").exists()
    free, size = source.room()
    assert 0 < free < size


def test_there_and_back(both: Pair) -> None:
    """What the source has kept is the beginning of the way back, unless somebody has changed it."""
    both.begin()
    fill(both.source)
    both.copy()
    both.hold()
    both.hand_over()
    both.settle()
    before = both.stores[0].evidence(both.order("source"))
    back = both.turned()
    back.begin_back()
    kept = back.order("target", kept=MOVE)
    assert back.stores[1].found(kept) is Copy.OURS
    mark = json.loads((path_of(back.target) / ".roost-copy").read_text())
    assert json.loads(mark["evidence"])["source"] == json.loads(before.text())
    client = back.source.login(JOHN)
    client.append("INBOX", "", imaplib.Time2Internaldate(1_750_000_000), b"Subject: new\r\n\r\nx\r\n")
    client.logout()
    back.copy(kept=MOVE)
    back.assert_alike()
    back.hold()
    back.hand_over()
    back.settle()
    client = back.target.login(JOHN)
    assert client.select()[1] == [b"4"]
    client.logout()


def test_a_kept_copy_that_was_changed_by_hand_is_foreign(both: Pair) -> None:
    both.begin()
    fill(both.source)
    both.copy()
    both.hold()
    both.hand_over()
    both.settle()
    back = both.turned()
    back.begin_back()
    assert back.stores[1].found(back.order("target", kept=0)) is Copy.OURS
    doveadm = ["doveadm", "-c", back.target.layout.conf]
    back.target.host.run([*doveadm, "save", "-u", JOHN, "-m", "INBOX"], stdin="Subject: stray\n\nx\n")
    assert back.stores[1].found(back.order("target", kept=MOVE)) is Copy.FOREIGN


def test_a_mailbox_that_left_is_kept_for_some_days(both: Pair) -> None:
    both.begin()
    both.source.expected += ["Permission denied"]
    fill(both.source)
    both.copy()
    both.hold()
    both.hand_over()
    both.settle()
    both.source.put((JOHN, None))
    put_order(both.source, None, MOVE)
    both.source.driver.tick(both.source.settings(), both.source.host)
    home = path_of(both.source)
    assert home.with_name("john.1.moving").is_dir()
    both.source.clock.ahead += (both.source.policy.keep_days + 1) * DAY
    both.source.driver.tick(both.source.settings(), both.source.host)
    assert not home.exists()
    assert not home.with_name("john.1.moving").exists()
