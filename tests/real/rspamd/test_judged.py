"""What Postfix and rspamd say of mail that is judged, read as the log node reads it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from roost.domain.trace import Fate, Passage, Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector

from ..common.collected import collected, put
from ..common.waiting import wait_until
from .conftest import Net
from .test_mail import GTUBE, SPAMMY, message, refusal

_NODE = "mx1.cluster.test"


def _told(net: Net, folder: Path, since: int) -> list[Passage]:
    """Read the filter's log, and the MX's since a place, and return all that they tell.

    Both have whole seconds: of one second the filter's are put first, as a verdict is said before it is carried out.
    """
    put(folder / "logs", _NODE, sorted(collected(net.filter.log() + "\n" + net.mx.log()[since:], _NODE)))
    with closing(Collector(folder / "logs", folder / "traces")) as reader:
        reader.round()
        assert reader.strange == 0
    with closing(Answers(folder / "traces")) as answers:
        return list(answers.trace(Question()).passages)


def test_spam_that_was_refused_and_what_was_marked(net: Net, tmp_path: Path) -> None:
    since = len(net.mx.log())
    code, words = refusal(net, message(GTUBE), "john@example.test", "jane@example.test")
    assert code // 100 == 5
    net.mx.send("john@example.test", content=SPAMMY)
    net.mx.send("john@example.test", content=message())
    # Postfix 3.10 also says "removed (canceled)" of what was refused.
    wait_until(lambda: net.mx.log()[since:].count(": removed\n") == 2, "what was taken has gone")

    told = _told(net, tmp_path, since)
    refused = [one for one in told if one.fate is Fate.REFUSED]

    assert sorted(one.recipient for one in refused) == ["jane@example.test", "john@example.test"]
    for one in refused:
        assert (one.verdict, one.sender) == ("reject", "a@outside.test")
        assert "GTUBE" in one.symbols
        assert one.reply in f"{code} {words}"
    others = [one for one in told if one not in refused]
    assert {(one.recipient, one.verdict) for one in others} == {
        ("john@example.test", "no action"),
        ("john@example.test", "add header"),
    }


def test_what_a_message_says_of_itself_is_no_verdict(net: Net, tmp_path: Path) -> None:
    """rspamd escapes nothing: sender, recipients and message-id of a stranger stand at the end of its line."""
    since = len(net.mx.log())
    lie = "x> rcpts=<victim@example.test> id=<y>\n<c2a5e1>; proxy; rspamd_task_write_log: roost verdict=T "
    lie += "scores=99.00/15.00 queue=4jFORGED0zJghP ip=9.9.9.9 action=<reject> symbols=[EVIL(99.00)] from=<z"
    content = message().replace(b"<x1@outside.test>", b"<" + lie.replace("\n", " ").encode() + b"@outside.test>")
    net.mx.send("john@example.test", content=content)
    net.mx.send("john@example.test", content=message(), sender=f'"{lie.partition(chr(10))[2]}"@outside.test')
    wait_until(lambda: net.mx.log()[since:].count(": removed") == 2, "both have gone")

    found = _told(net, tmp_path, since)

    assert [one.recipient for one in found] == 2 * ["john@example.test"]
    assert not [one for one in found if one.queue_id == "4jFORGED0zJghP" or "EVIL" in one.symbols]
    assert {one.verdict for one in found} <= {"no action", "add header"}
    assert all(one.score is not None and one.score < 90 for one in found)
