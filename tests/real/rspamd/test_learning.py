"""What it is taught changes how it judges; what it does not want is no failure, and a filter that is away is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd.learning import learn

from ..common.waiting import wait_until
from .conftest import Net
from .test_mail import message

SPAM = "cheap watches replica discount offer limited winner lottery million transfer casino bonus jackpot urgent"
GOOD = "minutes meeting thursday project report budget draft schedule colleagues agenda room coffee notes review"


def taught(net: Net, text: str, *, spam: bool) -> str:
    path = Path(net.filter.layout.data, "lesson")
    path.write_bytes(message(text))
    return learn(net.filter.host, str(path), spam=spam, layout=net.filter.layout)


def test_it_learns(net: Net) -> None:
    for number in range(22):
        assert taught(net, f"{number} {SPAM} {number}", spam=True) == ""
        assert taught(net, f"{number} {GOOD} {number}", spam=False) == ""
    assert (net.filter.learned("spam"), net.filter.learned("ham")) == (22, 22)

    net.mx.send("john@example.test", content=message(f"again {SPAM}"))
    wait_until(lambda: "BAYES_SPAM(" in net.filter.log(), "it knows spam")
    net.mx.send("john@example.test", content=message(f"again {GOOD}"))
    wait_until(lambda: "BAYES_HAM(" in net.filter.log(), "it knows what is good")


def test_what_it_does_not_want_is_final_and_a_filter_that_is_away_is_not(net: Net) -> None:
    assert "tokens" in taught(net, "short", spam=True)
    assert taught(net, SPAM, spam=True) == ""
    assert taught(net, SPAM, spam=True) != ""
    net.filter.services.stop()
    with pytest.raises(DaemonFailed):
        taught(net, GOOD, spam=True)
    net.filter.bring()
    net.filter.memory.services.stop()
    net.filter.expected += ["redis"]
    with pytest.raises(DaemonFailed):
        taught(net, GOOD, spam=True)
