"""What a passage is on a time-line, in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from roost.domain.trace import Fate, Passage, moment_of_passage

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("action", "folder", "end"),
    [
        ("", "", "ms1."),
        ("stored", "INBOX", "ms1 INBOX."),
        ("redirected to x@y.test", "", "ms1 and redirected to x@y.test."),
        (
            "redirected to x@y.test, answered a@b.test, stored",
            "INBOX",
            "ms1 INBOX and redirected to x@y.test and answered a@b.test.",
        ),
    ],
)
def test_what_rules_did(action: str, folder: str, end: str) -> None:
    passage = Passage(
        AT, "mx1", "4jYybv", Fate.DELIVERED, sender="a@b.test", home="ms1", action=action, folder=folder
    )
    moment = moment_of_passage(passage)
    assert moment.text == f"Mail from a@b.test was delivered to {end}"
    assert moment.kind == (action or "delivered")
