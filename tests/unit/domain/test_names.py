"""Names: what is parsed, what labels promise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.domain.errors import BadAddress, BadName
from roost.domain.names import Address, host_name, is_label, labels_for, personal_address, personal_hostname

HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HOSTILE = [
    "-",
    "--",
    "...",
    "'; drop table--",
    "\u202egnp.exe",
    "a\u0300",
    "Ａ",
    "\U0001f600",
    "xn--",
    "xn--zzzz",
    "*",
]
locals_ = st.one_of(
    st.text(min_size=1, max_size=64),
    st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True),
    st.sampled_from(HOSTILE),
)


def canonical(text: str) -> str | None:
    """Return the local part as Roost would keep it, or None where it is no address."""
    try:
        return Address.parse_own(f"{text}@example.test").local
    except BadAddress:
        return None


@given(locals_)
def test_every_label_is_one_legal_host_label(text: str) -> None:
    """Whatever the local part is, all of its candidates are legal, and the first stays the same."""
    labels = list(labels_for(text.casefold()))
    assert labels
    for label in labels:
        assert HOST_LABEL.fullmatch(label), label
        assert host_name(personal_hostname(label, "pop.example.test")).count(".") == 3
    assert labels == list(labels_for(text.casefold()))


@given(st.lists(locals_, min_size=2, max_size=8, unique=True))
def test_two_mailboxes_of_a_domain_never_share_a_preferred_label(texts: list[str]) -> None:
    """Different local parts have different first labels (but for a legal one made to look like a hash)."""
    locals_seen = {local for local in map(canonical, texts) if local is not None}
    firsts = [next(labels_for(local)) for local in locals_seen]
    assert len(set(firsts)) == len(locals_seen)


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_a_legal_label_stays_itself(text: str) -> None:
    """john is john.pop.example.test, and not john-something."""
    if is_label(text):
        assert next(labels_for(text)) == text


def test_a_taken_label_leaves_others() -> None:
    """A hostile mailbox named as another's hashed label does not shut the other out."""
    hashed = next(labels_for("john.smith"))
    assert is_label(hashed)
    assert next(labels_for(hashed)) == hashed
    others = [label for label in labels_for("john.smith") if label != hashed]
    assert others


@pytest.mark.parametrize(
    ("local", "label"),
    [("john", "john"), ("j\u00f6rg", "xn--jrg-sna"), ("\u65e5\u672c", "xn--wgv71a")],
)
def test_readable_labels(local: str, label: str) -> None:
    """What can be kept is kept."""
    assert next(labels_for(local)) == label


@pytest.mark.parametrize("local", ["john.smith", "john_smith", "john-smith"])
def test_lookalikes_differ(local: str) -> None:
    """Dots, underscores and hyphens look alike in a label, so the hash tells them apart."""
    label = next(labels_for(local))
    assert label.startswith("john-smith")
    others = {next(labels_for(other)) for other in ("john.smith", "john_smith", "john-smith") if other != local}
    assert label not in others


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("John@Example.TEST", "john@example.test"),
        ("j\u00d6rg@b\u00fccher.example", "j\u00f6rg@xn--bcher-kva.example"),
        ("a.b+c@x.example.test.", None),
        (" john@example.test ", "john@example.test"),
    ],
)
def test_addresses_have_one_form(given_: str, kept: str | None) -> None:
    """Case, composition and domain form do not make two addresses of one."""
    if kept is None:
        with pytest.raises(BadAddress):
            Address.parse(given_)
    else:
        assert str(Address.parse(given_)) == kept


@pytest.mark.parametrize(
    "text",
    ["", "john", "@example.test", "john@", "a b@example.test", '"a"@example.test', "john@[192.0.2.1]", "j@localhost",
     "john@example..test", ".john@example.test", "john.@example.test", "j\n@example.test", "j\x00@example.test",
     "x" * 65 + "@example.test", "john@-example.test", "john@" + "a." * 130 + "test"],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_field(text: str) -> None:
    """Each is refused with the field's name."""
    with pytest.raises(BadAddress) as caught:
        Address.parse(text)
    assert caught.value.field == "address"


@given(st.from_regex(r"[a-z0-9._+-]{1,70}@[a-z0-9.-]{1,40}", fullmatch=True))
def test_ordinary_addresses_are_read_as_all_others(text: str) -> None:
    """A capital letter makes the whole grammar look; the quick way for ordinary addresses must agree with it."""

    def read(text: str) -> Address | None:
        try:
            return Address.parse(text)
        except BadAddress:
            return None

    local, at, domain = text.rpartition("@")
    assert read(text) == read(local + at + domain.upper())


def test_a_mailbox_has_no_subaddress() -> None:
    """The plus sign is refused with the reason."""
    with pytest.raises(BadAddress, match="subaddress"):
        Address.parse_own("john+news@example.test")


@pytest.mark.parametrize("local", ["john%outside.test", "host!john", "/etc/passwd", "|sh", "a%b!c"])
def test_a_mailbox_is_no_source_route(local: str) -> None:
    """Legal as they are, other servers refuse them; as a target of an alias outside they are let be."""
    with pytest.raises(BadAddress, match="refuse"):
        Address.parse_own(f"{local}@example.test")
    assert Address.parse(f"{local}@example.test").local == local


@pytest.mark.parametrize(
    "text", ["localhost", "1.2.3.4", "-a.test", "a..test", "a_b.test", "xn--zzzzzz99999.test", ""]
)
def test_bad_host_names(text: str) -> None:
    """No host names."""
    with pytest.raises(BadName):
        host_name(text)


@given(locals_)
def test_personal_addresses_are_ascii(text: str) -> None:
    """What LMTP is given never needs SMTPUTF8."""
    local = canonical(text)
    if local is not None:
        target = personal_address(Address(local, "example.test"), next(labels_for(local)), "pop.example.test")
        assert target.isascii()
        assert target.endswith(".pop.example.test")
