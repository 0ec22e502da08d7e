"""An MX with its filter, a home, and the senders' DNS. Root is needed, as the daemons have users of their own.

The daemons are started once for all tests; each test finds them as if they were new (``net``).
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from roost.domain.cluster import Policy, Role

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of, short_folder
from ..common.waiting import wait_until
from ..postfix.conftest import tls_for
from ..postfix.instance import LMTP, Instance, node, row, stop_leftovers
from ..postfix.sinks import Home, resolver
from .instance import MILTER, Filter

_LAST = itertools.count(1)
TEXTS = {
    "strict.test": "v=spf1 -all",
    "_dmarc.strict.test": "v=DMARC1; p=reject",
    "careful.test": "v=spf1 -all",
    "_dmarc.careful.test": "v=DMARC1; p=quarantine",
}
"""What the DNS of the senders' domains says."""

LISTED = "203.0.113.7"
ADDRESSES = {"7.113.0.203.bl.outside.test": "127.0.0.2"}
"""What the DNS list says: this client is on it."""


@dataclass
class Net:
    """The MX, its filter, and the home that its mail goes to."""

    mx: Instance
    filter: Filter
    home: Home

    def set_policy(self, **changes: object) -> None:
        self.filter.set_policy(**changes)
        self.mx.set_policy(**changes)


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
def root(request: pytest.FixtureRequest) -> str:
    """The root folder of the machine whose filter is tried; '' is this one."""
    assert os.geteuid() == 0, "the daemons need root"
    return str(request.param)


def _patterns(config: pytest.Config, version: str) -> Path:
    """Return where what rspamd has translated for this processor is kept between runs: it costs half a minute."""
    if not hasattr(config, "cache"):
        return Path(tempfile.mkdtemp())
    return config.cache.mkdir(f"rspamd-{version}")


@pytest.fixture(scope="session")
def running(
    root: str, ca: TestCa, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Net]:
    """The daemons, started once: rspamd's first start costs half a minute."""
    subnet = f"127.{160 + os.getpid() % 90}.{next(_LAST) % 250}"
    nodes = (
        node("mx1.cluster.test", Role.MX, f"{subnet}.1"),
        node("ms1.cluster.test", Role.STORAGE, f"{subnet}.11"),
    )
    home = Home(f"{subnet}.11", LMTP, tls_for(ca, tmp_path_factory.mktemp("tls") / "ms1", "ms1.cluster.test"))
    with ExitStack() as stack:
        stack.callback(home.stop)
        home.up()
        stack.enter_context(resolver(f"{subnet}.53", {"outside.test": f"{subnet}.99"}, TEXTS, ADDRESSES))
        folder = stack.enter_context(short_folder(root, "rf-"))
        judge = Filter(root, folder, nodes, "mx1.cluster.test", f"{subnet}.53")
        stack.callback(judge.memory.stop)
        stack.callback(judge.stop)
        judge.memory.bring()
        patterns = _patterns(request.config, judge.facts.versions["rspamd"])
        judge.take(patterns)
        judge.bring()
        judge.give(patterns)
        mail = stack.enter_context(short_folder(root, "rp-"))
        mx = Instance(root, mail, nodes, "mx1.cluster.test", ca, f"{subnet}.1:{MILTER}")
        mx.cluster = replace(mx.cluster, policy=Policy())
        stack.callback(stop_leftovers, mail)
        stack.callback(mx.stop)
        mx.install(f"{subnet}.53", [row("john@example.test"), row("jane@example.test")])
        yield Net(mx, judge, home)


@pytest.fixture
def net(running: Net) -> Iterator[Net]:
    """The same daemons as nobody had ever used them: the default policy, nothing learned, listed, counted or sent."""
    judge, mx = running.filter, running.mx
    judge.renew()
    if mx.cluster.policy != Policy():
        mx.cluster = replace(mx.cluster, policy=Policy())
        mx.configure()
    wait_until(lambda: not mx.queue(), "nothing is under way")
    running.home.mails.clear()
    yield running
    judge.assert_log_is_clean()
