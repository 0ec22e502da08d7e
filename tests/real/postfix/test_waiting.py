"""What happens to mail whose home is down, hangs, or does not know the recipient yet: it waits, and others do not."""

from __future__ import annotations

import time

from ..common.waiting import wait_until
from .conftest import Net
from .instance import Instance, alias, row


def test_a_home_that_is_down_keeps_nobody_waiting_and_is_flushed_when_it_returns(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test", "ms1.cluster.test"), row("mary@example.test", "ms2.cluster.test"))
    mx.tick_until(lambda: net.ms1.connections and net.ms2.connections, "both were asked")
    net.ms1.down()
    for _ in range(5):
        mx.send("john@example.test")
    mx.wait_deferred(5)

    mx.send("mary@example.test")
    wait_until(lambda: net.ms2.mails, "the other home's mail arrives")
    mx.tick_until(lambda: not mx.driver.is_well(mx.settings(), "ms1.cluster.test"), "the outage is noticed")

    net.ms1.up()
    # The queue manager's own next attempt is a minute away.
    mx.tick_until(lambda: len(net.ms1.mails) == 5, "the mail arrives after the return", 20)


def test_a_home_that_hangs_keeps_nobody_waiting(net: Net, mx: Instance) -> None:
    net.ms1.freeze()
    mx.put(
        *[row(f"slow{number}@example.test", "ms1.cluster.test") for number in range(150)],
        *[row(f"quick{number}@example.test", "ms2.cluster.test") for number in range(50)],
    )
    for number in range(150):
        mx.send(f"slow{number}@example.test")
    began = time.monotonic()
    for number in range(50):
        mx.send(f"quick{number}@example.test")

    wait_until(lambda: len(net.ms2.mails) == 50, "the other home's mail arrives", 20)

    assert time.monotonic() - began < 20
    assert net.ms1.mails == []


def test_a_tick_returns_at_once_though_homes_hang(net: Net, mx: Instance) -> None:
    net.ms1.freeze()
    net.ms2.freeze()
    began = time.monotonic()
    for _ in range(10):
        mx.driver.tick(mx.settings(), mx.host)
    assert time.monotonic() - began < 1


def test_a_recipient_unknown_at_home_waits(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    net.ms1.unknown.add("john@john.pop.example.test")

    mx.send("john@example.test")

    (reason,) = mx.wait_deferred()
    assert "450 4.1.1" in reason
    net.ms1.unknown.clear()
    mx.flush()
    wait_until(lambda: net.ms1.mails, "the mail arrives once the account is there")


def test_mail_without_a_next_hop_waits(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"), alias("sales@example.test", "john@example.test", "late@example.test"))
    net.ms1.down()
    mx.send("john@example.test")
    mx.wait_deferred()
    mx.put(("john@example.test", None))
    net.displace(mx)
    mx.flush()
    wait_until(lambda: "home of this mailbox is not known" in "".join(mx.reasons()), "it waits for a home")

    # An alias whose target's row is still to come.
    mx.send("sales@example.test")
    wait_until(lambda: "recipient is not known here yet" in "".join(mx.reasons()), "it waits for the target")
    assert mx.rcpt("late@example.test")[0] == 550


def test_mail_waits_while_the_table_is_missing(mx: Instance) -> None:
    mx.put(row("john@example.test"))
    assert mx.rcpt("john@example.test")[0] == 250
    (mx.folder / "maps/recipients.lmdb").unlink()
    mx.expected += ["recipients", "process", "command startup"]

    assert mx.table.position() == 0
    mx.driver.tick(mx.settings(), mx.host)
    assert not (mx.folder / "maps/recipients.lmdb").exists()

    # Loaded anew, it is read without a reload.
    mx.put(row("mary@example.test"))
    wait_until(lambda: mx.accepts("mary@example.test"), "Postfix reads the new file", 120)
    assert mx.rcpt("john@example.test")[0] == 550


def test_mail_flows_while_no_dns_server_answers(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    (mx.folder / "resolv.conf").write_text("nameserver 127.0.0.250\noptions timeout:1 attempts:1\n")

    mx.send("john@example.test")

    wait_until(lambda: net.ms1.mails, "the home is found in /etc/hosts")


def _figures(mx: Instance) -> dict[tuple[str, ...], float]:
    told = mx.driver.figures(mx.settings(), mx.host)
    return {(one.name.removeprefix("roost_queue_"), *one.labels): one.value for one in told if one.value}


def test_the_queue_in_figures(net: Net, mx: Instance) -> None:
    """By home, and what goes elsewhere; empty again when all has gone."""
    mx.put(
        row("john@example.test", "ms1.cluster.test"),
        row("mary@example.test", "ms2.cluster.test"),
        alias("both@example.test", "john@example.test", "mary@example.test"),
    )
    mx.tick_until(lambda: net.ms1.connections and net.ms2.connections, "both were asked")
    assert _figures(mx) == {}
    net.ms1.down()
    net.ms2.down()
    for address in ("john@example.test", "john@example.test", "both@example.test"):
        mx.send(address)
    mx.wait_deferred(3)
    found = _figures(mx)
    assert found["messages", "deferred"] == 3
    assert found["waiting", "ms1.cluster.test", "1m"] == 3
    assert found["waiting", "ms2.cluster.test", "1m"] == 1
    wait_until(lambda: _figures(mx).get(("oldest_seconds", "ms1.cluster.test"), 0) >= 1, "the mail has an age")
    for home in ("ms1.cluster.test", "ms2.cluster.test"):
        mx.tick_until(lambda home=home: not mx.driver.is_well(mx.settings(), home), "the outage is noticed")  # type: ignore[misc]
    net.ms1.up()
    net.ms2.up()
    mx.tick_until(lambda: len(net.ms1.mails) == 3 and len(net.ms2.mails) == 1, "the mail arrives", 30)
    wait_until(lambda: _figures(mx) == {}, "nothing waits any more")


def test_a_backup_knows_for_whom_mail_waits(net: Net) -> None:
    """There an address is what the sender wrote."""
    backup = net.start("mx-backup", row("john@example.test", "ms1.cluster.test"))
    backup.send("john+news@example.test")
    backup.wait_deferred(1)
    assert _figures(backup)["waiting", "ms1.cluster.test", "1m"] == 1
