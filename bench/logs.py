"""Logs: how long a line takes from a node's journal to the log node's file, and to the answer of a trace.

    scripts/bench logs [--release trixie] [--rate 1000] [--seconds 60] [--quick]

Three machines with the driver's files, each with a journald and an rsyslogd of its own: an MX, a home, and the log
node. The MX and the home log ``--rate`` lines a second between them, in the forms of Postfix and Dovecot: eleven for
each invented message, as in ``scripts/bench trace``. Real are journald, rsyslog on both ends, TLS, the files, the
collector of traces (in a process of its own, as the agent runs it, a look each second) and its answers.

* *to the file*: a line in a hundred is noted when syslog(3) returns, and when it is read from the log node's file.
* *to a trace*: every tenth of a second a message is asked for by its queue id, again and again, until the answer says
  in which folder it lies.

The other side is ``journalctl --follow`` on the MX itself: the time after which a line can be read where it was
written. Nothing that reads the journal can be quicker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import select
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from bench import debian
from bench.trace import message
from real.common.machines import short_folder
from real.common.waiting import wait_until
from real.rsyslog.instance import DEV_LOG, HOME, LOG, MX, Box, Cluster, one_box, settings
from roost.domain.trace import Fate, Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector

_AT = {LOG: "127.0.0.43"}
_LINES_A_MESSAGE = 11
_NOTED = 100
_ASK_EVERY, _LOOK_EVERY = 0.1, 0.005
_LATE_SECONDS = 60.0


class Syslog:
    """A connection to a machine's /dev/log, as each daemon has one."""

    def __init__(self, box: Box) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(str(box.folder / DEV_LOG))

    def say(self, line: str) -> None:
        """Log a line of the log node's form: stamp and node are not said, they come from elsewhere."""
        _, _, said = line.split(" ", 2)
        self._socket.send(f"<22>Nov 26 01:02:03 {said}".encode())


@contextmanager
def running(root: str) -> Iterator[dict[str, Box]]:
    """Run the three machines."""
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder(root, "rlog"))
        (folder / "tls").mkdir()
        cluster = Cluster(folder / "tls")
        boxes = {
            name: stack.enter_context(one_box(folder / name, name, cluster, settings(name, _AT), root))
            for name in (MX, HOME, LOG)
        }
        for name in (LOG, MX, HOME):
            boxes[name].bring()
        yield boxes


def _collect(logs: str, folder: str, stop: object) -> None:
    with closing(Collector(Path(logs), Path(folder))) as collector:
        collector.run(stop)  # type: ignore[arg-type]


class Watch:
    """Notes when each of some texts is first seen in a stream of bytes that ``more`` returns."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self._rest = b""

    def read(self, data: bytes) -> None:
        """Look for marks in what has come."""
        now = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            _, found, mark = line.rpartition(b"mark-")
            if found:
                self.seen.setdefault(mark.decode(), now)


def follow_file(box: Box, node: str, watch: Watch, stop: threading.Event) -> None:
    """Read a node's file on the log node as it grows."""
    wait_until(lambda: box.files(node), "the node's file is there")
    with box.files(node)[-1].open("rb") as file:
        while not stop.is_set():
            if data := file.read():
                watch.read(data)
            else:
                time.sleep(0.001)


def follow_journal(box: Box, watch: Watch, stop: threading.Event) -> None:
    """Read a machine's journal as it grows."""
    argv = box.host.argv(["journalctl", "--follow", "--lines=0", "--output=cat", "--quiet"])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        while not stop.is_set():
            if select.select([process.stdout], [], [], 0.1)[0]:
                watch.read(os.read(process.stdout.fileno(), 1 << 20))
        process.kill()


def load(boxes: dict[str, Box], rate: int, seconds: float, marks: dict[str, float], told: dict[str, float]) -> float:
    """Log lines; note when marks and messages were said. Returns the rate that came of it."""
    lines = {MX: Syslog(boxes[MX]), HOME: Syslog(boxes[HOME])}
    chance = random.Random(7)  # noqa: S311
    began, asked, said = time.monotonic(), 0.0, 0
    # Queue ids are new in each run, and all lines are the first MX's and the first home's.
    for number in range(0, 1 << 30, 2):
        now = time.monotonic()
        if now - began > seconds:
            break
        due = began + said / rate
        if due > now:
            time.sleep(due - now)
        _, of_mx, _, of_home = message(number, 0, chance)
        for line in of_home.splitlines()[:1]:
            lines[HOME].say(line)
        for line in of_mx.splitlines():
            lines[MX].say(line)
        for line in of_home.splitlines()[1:]:
            lines[HOME].say(line)
        said += _LINES_A_MESSAGE
        if time.monotonic() - asked > _ASK_EVERY:
            asked = time.monotonic()
            told[f"4jZ{number:08X}zJhgP"] = asked
        if said // _NOTED != (said - _LINES_A_MESSAGE) // _NOTED:
            lines[MX].say(f"- - postfix/smtpd[1]: mark-{number}")
            marks[str(number)] = time.monotonic()
    return said / (time.monotonic() - began)


def ask(
    folder: Path, told: dict[str, float], stop: threading.Event, delays: list[float], answers_ms: list[float]
) -> None:
    """Ask for each message until the answer is whole."""
    done: set[str] = set()
    wait_until(lambda: any(folder.glob("2*.db")), "the first day is there", 60)
    with closing(Answers(folder)) as answers:
        while True:
            waiting = [(queue_id, at) for queue_id, at in list(told.items()) if queue_id not in done]
            if stop.is_set() and not waiting:
                return
            for queue_id, at in waiting:
                began = time.monotonic()
                found = answers.trace(Question(queue_id=queue_id)).passages
                answers_ms.append((time.monotonic() - began) * 1000)
                if found and found[0].fate is Fate.DELIVERED and found[0].folder:
                    delays.append(time.monotonic() - at)
                    done.add(queue_id)
                else:
                    assert time.monotonic() - at < _LATE_SECONDS, f"{queue_id} is not told of"
            time.sleep(_LOOK_EVERY)


def measure(boxes: dict[str, Box], rate: int, seconds: float, folder: Path) -> None:
    """Measure and print."""
    log, marks, told = boxes[LOG], {}, {}
    delays: list[float] = []
    answers_ms: list[float] = []
    # Both files are there before anything is measured.
    for name in (MX, HOME):
        boxes[name].say(b"begins")
        log.wait_for(name, "begins")
    filed, local, stop, no_more = Watch(), Watch(), threading.Event(), threading.Event()
    spawn = multiprocessing.get_context("spawn")
    over = spawn.Event()
    collector = spawn.Process(target=_collect, args=(str(log.folder / "logs"), str(folder), over), daemon=True)
    collector.start()
    threads = [
        threading.Thread(target=follow_file, args=(log, MX, filed, stop)),
        threading.Thread(target=follow_journal, args=(boxes[MX], local, stop)),
    ]
    asker = threading.Thread(target=ask, args=(folder, told, no_more, delays, answers_ms))
    for thread in (*threads, asker):
        thread.start()
    reached = load(boxes, rate, seconds, marks, told)
    try:
        wait_until(lambda: len(filed.seen) == len(marks) == len(local.seen), "the last line arrives", _LATE_SECONDS)
        no_more.set()
        asker.join(_LATE_SECONDS)
        assert len(delays) == len(told), f"{len(delays)} of {len(told)} messages are told of"
    finally:
        stop.set()
        no_more.set()
        over.set()
        for thread in threads:
            thread.join()
        collector.join(20)
        collector.kill()
    to_file = sorted(filed.seen[mark] - at for mark, at in marks.items())
    to_journal = sorted(local.seen[mark] - at for mark, at in marks.items())
    print(f"{reached:,.0f} lines/s of {rate:,} wanted, {len(marks)} lines and {len(told)} messages noted\n")
    print(f"{'ms':24} p50      p99      worst")
    for name, found in (
        ("journal, on the node", to_journal),
        ("log node's file", to_file),
        ("trace", sorted(delays)),
    ):
        print(f"{name:20} {_ms(found, 0.5):8.1f} {_ms(found, 0.99):8.1f} {found[-1] * 1000:10.1f}")
    print(f"\nan answer: {statistics.median(answers_ms):.2f} ms")
    print(f"a line to the log node's file: p50 {_ms(to_file, 0.5):.0f} ms, p99 {_ms(to_file, 0.99):.0f} ms")
    print(f"to the answer of a trace: p50 {_ms(sorted(delays), 0.5):.0f} ms, p99 {_ms(sorted(delays), 0.99):.0f} ms")
    print(f"p50, log node's file / the node's own journal: {_ms(to_file, 0.5) / _ms(to_journal, 0.5):.2f}")


def _ms(found: list[float], share: float) -> float:
    """Return a percentile of sorted seconds, in milliseconds."""
    return found[min(len(found) - 1, int(len(found) * share))] * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    debian.add_option(parser)
    parser.add_argument("--rate", type=int, default=1000, help="lines a second of both nodes together")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--quick", action="store_true", help="five seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = stack.enter_context(debian.root_of(options.release))
        boxes = stack.enter_context(running(root))
        measure(boxes, options.rate, 5 if options.quick else options.seconds, Path(folder) / "traces")


if __name__ == "__main__":
    main()
