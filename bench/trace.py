"""Trace: from log lines to rows, and one recipient found among them, against grep through the same files.

    scripts/bench trace [--lines 10000000] [--folder /var/tmp] [--quick]

The lines are those of an invented day: two MX hosts with a spam filter, three homes, 20,000 users. A message makes
nine lines and its reader two more. They are written in parts of a million messages: when one part has been collected,
its files make room for the next. What is measured, each on one processor:

* the parser: lines of a file in memory, until every finished message would be written;
* the collector: the same with the files and the rows on disk, written through, from nothing to the last line;
* a trace of one recipient by somebody who has just opened the files, for a hundred recipients, and the same after the
  kernel has forgotten the files;
* what the rows take on disk.

The other side is ``grep --fixed-strings`` for the address through the log files of the last part, which tells less.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from roost.domain.trace import Passage, Question
from roost.logs.answers import Answers
from roost.logs.book import Book
from roost.logs.collector import Collector
from roost.logs.parser import Parser

_LINES_A_MESSAGE = 11
_USERS = 20_000
_DAY = "2026-11-25"
_PART = 1_000_000
"""Messages whose log files are there at once; then those of the next part take their place."""

_PARSER_GOAL = 300_000
_TRACE_GOAL_MS = 50
_ASKED = 100
_FOLDER = Path("/var/tmp")  # noqa: S108 - of a folder with a name of its own below it
_SYMBOLS = (
    "ARC_NA(0.00),BAYES_HAM(-2.99),DMARC_POLICY_ALLOW(-0.50),FROM_HAS_DN(0.00),MIME_GOOD(-0.10),RCPT_COUNT_ONE(0.00),"
    "RCVD_TLS_ALL(0.00),R_DKIM_ALLOW(-0.20),R_SPF_ALLOW(-0.20),TO_DN_NONE(0.00)"
)


def address(number: int) -> str:
    """Return a user's address."""
    return f"user{number}@example.test"


def some_user(chance: random.Random) -> int:
    """Return a user; some have much more mail than others."""
    return int(_USERS * chance.random() ** 2)


def message(number: int, at: int, chance: random.Random) -> tuple[str, str, str, str]:
    """Return the lines of one message, and of one visit of its reader: an MX and its lines, a home and its lines.

    ``at`` is the time in microseconds of the day. Lines are put together by as few steps as can be: a hundred million
    of them are wanted.
    """
    user = some_user(chance)
    to, personal = f"user{user}@example.test", f"user{user}@user{user}.pop.example.test"
    mx, home = f"mx{1 + number % 2}.cluster.test", f"ms{1 + user % 3}.cluster.test"
    queue_id, session = f"4jZ{number:08X}zJhgP", f"s{number:08x}CGseWgAAg+zDdQ"
    outside = number % 89
    client = f"mail{number % 997}.outside{outside}.test[192.0.2.{number % 250}]"
    sender = f"sender{number % 5003}@outside{outside}.test"
    second, micro = divmod(at, 1_000_000)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    clock = f"{_DAY}T{hour:02}:{minute:02}:{second:02}."
    message_id = f"{number}.{hour:02}{minute:02}{second:02}.ABCDEF@outside{outside}.test"
    # The lines of one message are in the same second, 17 microseconds apart.
    m = [f"{clock}{micro + 17 * place:06}+00:00 " for place in range(_LINES_A_MESSAGE)]
    of_mx = (
        f"{m[0]}{mx} postfix/smtpd[1001]: connect from {client}\n"
        f"{m[1]}{mx} postfix/smtpd[1001]: {queue_id}: client={client}\n"
        f"{m[2]}{mx} postfix/cleanup[1002]: {queue_id}: message-id=<{message_id}>\n"
        f"{m[3]}{mx} rspamd[1003]: <c2a5e1>; proxy; rspamd_task_write_log: roost verdict=F scores=-3.99/15.00 "
        f"queue={queue_id} ip=192.0.2.1 action=<no action> symbols=[{_SYMBOLS}] from=<{sender}> rcpts=<{to}> "
        f"id=<{message_id}>\n"
        f"{m[4]}{mx} postfix/qmgr[1004]: {queue_id}: from=<{sender}>, size={2000 + number % 9000}, nrcpt=1 "
        f"(queue active)\n"
        f"{m[5]}{mx} postfix/smtpd[1001]: disconnect from {client} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 "
        f"commands=7\n"
        f"{m[7]}{mx} postfix/lmtp[1005]: {queue_id}: to=<{personal}>, orig_to=<{to}>, relay={home}[198.18.0.31]:24, "
        f"delay=0.22, delays=0.02/0.03/0.12/0.04, dsn=2.0.0, status=sent (250 2.0.0 <{personal}> {session} Saved)\n"
        f"{m[8]}{mx} postfix/qmgr[1004]: {queue_id}: removed\n"
    )
    of_home = (
        f"{m[6]}{home} dovecot[1006]: lmtp({to})<7><{session}>: sieve: msgid=<{message_id}>: stored mail into "
        f"mailbox 'INBOX'\n"
        f"{m[9]}{home} dovecot[1006]: imap-login: Logged in: user=<{to}>, method=PLAIN, rip=192.0.2.{user % 250}, "
        f"lip=198.18.0.31, mpid=25, TLS, session=<ebBP1CxhgZR/{number}>\n"
        f"{m[10]}{home} dovecot[1006]: imap({to})<25><ebBP1CxhgZR/{number}>: Disconnected: Logged out in=92 "
        f"out=871\n"
    )
    return mx, of_mx, home, of_home


def write_logs(folder: Path, numbers: range, messages: int) -> None:
    """Write the files of a part of the day: the lines of these of all its messages."""
    chance = random.Random(numbers.start + 7)  # noqa: S311
    step = 86_000_000_000 // messages
    folder.mkdir()
    names = [f"{kind}{number}.cluster.test" for kind, most in (("mx", 2), ("ms", 3)) for number in range(1, most + 1)]
    files = {name: (folder / f"{name}.log").open("w", buffering=1 << 20) for name in names}
    for number in numbers:
        # Never so late in a second that the last line would be in the next.
        at = number * step
        mx, said, home, told = message(number, at - at % 1_000_000 + min(at % 1_000_000, 999_000), chance)
        files[mx].write(said)
        files[home].write(told)
    for file in files.values():
        file.close()


def parse(folder: Path, most: int) -> float:
    """Return the parser's lines a second, over the lines of one MX and one home in the order of time."""
    lines = []
    for name in ("mx1", "ms1", "ms2", "ms3"):
        with (folder / f"{name}.cluster.test.log").open() as file:
            lines += [
                line[:-1] for line, _ in zip(file, range(most // 4 if name == "mx1" else most // 12), strict=False)
            ]
    lines.sort()
    book = Book()
    parser = Parser(book)
    began = time.process_time()
    for start in range(0, len(lines), 10_000):
        parser.read(lines[start : start + 10_000])
        closed = book.sweep()
        closed += [one for one in book.changed if book.waits_for_nothing(one)]
        for one in book.changed:
            one.changed = False
        for one in closed:
            book.close(one)
        book.changed, book.logins, book.refusals = [], [], []
    return len(lines) / (time.process_time() - began)


def collect(logs: Path, folder: Path) -> tuple[int, float]:
    """Return lines, and processor seconds from the first to the last row."""
    with closing(Collector(logs, folder)) as collector:
        began = time.process_time()
        lines = collector.round()
        return lines, time.process_time() - began


def trace(folder: Path, user: int) -> tuple[float, tuple[Passage, ...]]:
    """Return milliseconds for a user's last hundred messages, with fresh connections."""
    began = time.perf_counter()
    with closing(Answers(folder)) as answers:
        found = answers.trace(Question(recipients=(address(user), f"user{user}@user{user}.pop.example.test")))
    return (time.perf_counter() - began) * 1000, found.passages


def forget(folder: Path) -> None:
    """Let the kernel forget the files."""
    for path in folder.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def grep(logs: Path, user: int) -> float:
    """Return milliseconds."""
    began = time.perf_counter()
    subprocess.run(
        ["grep", "--fixed-strings", "--recursive", address(user), str(logs)],
        check=False,  # it may find nothing
        stdout=subprocess.DEVNULL,
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
    )
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where there is room: 3 GB, and 75 bytes a line")
    parser.add_argument("--quick", action="store_true", help="100,000 lines")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="roost-trace-", dir=options.folder))
    try:
        measure(folder, 100_000 if options.quick else options.lines)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, wanted: int) -> None:
    """Measure in a folder, with so many lines."""
    logs, rows = folder / "logs", folder / "traces"
    messages = max(1, wanted // _LINES_A_MESSAGE)
    lines, octets, spent, speed = 0, 0, 0.0, 0.0
    count = -(-messages // _PART)
    parts = [range(messages * part // count, messages * (part + 1) // count) for part in range(count)]
    for place, numbers in enumerate(parts):
        began = time.monotonic()
        if logs.exists():
            shutil.rmtree(logs)
        write_logs(logs, numbers, messages)
        octets += sum(path.stat().st_size for path in logs.iterdir())
        written = time.monotonic() - began
        speed = speed or parse(logs, min(wanted, 1_000_000))
        began = time.monotonic()
        read, seconds = collect(logs, rows)
        assert read == len(numbers) * _LINES_A_MESSAGE
        lines, spent = lines + read, spent + seconds
        print(
            f"part {place + 1} of {len(parts)}: {read:,} lines, written in {written:.0f} s, "
            f"collected in {time.monotonic() - began:.0f} s, {read / seconds:,.0f} lines for each CPU second",
            flush=True,
        )
    print(f"{lines:,} lines, {messages:,} messages, {octets / 1e9:.2f} GB of log files", flush=True)
    print(f"parser                {speed:10,.0f} lines/s", flush=True)
    print(f"collector             {lines / spent:10,.0f} lines/s, {messages / spent:,.0f} messages/s", flush=True)
    size = sum(path.stat().st_size for path in rows.glob("2*.db*"))
    print(f"rows                  {size / messages * 1e6 / 1e6:10,.0f} MB for each million messages", flush=True)
    chance = random.Random(8)  # noqa: S311
    users = [some_user(chance) for _ in range(_ASKED)]
    warm = [trace(rows, user) for user in users]
    cold = []
    for user in users[:20]:
        with suppress(OSError):
            forget(rows)
        cold.append(trace(rows, user)[0])
    each = statistics.mean(len(found) for _, found in warm)
    took = sorted(ms for ms, _ in warm)
    middle, worst = took[len(took) // 2], took[-1]
    print(f"trace of a recipient  {middle:10.1f} ms (worst {worst:.1f}), {each:.0f} passages")
    print(f"  from a cold disk    {statistics.median(cold):10.1f} ms (worst {max(cold):.1f})")
    found = [ms for user in users[:3] for ms in [grep(logs, user)]]
    last = len(parts[-1]) * _LINES_A_MESSAGE
    print(f"grep for the address  {statistics.median(found):10.0f} ms, through {last:,} lines\n")
    said = "met" if speed >= _PARSER_GOAL else "missed"
    print(f"parser: {speed:.0f} lines/s (goal at least {_PARSER_GOAL}: {said})")
    said = "met" if worst <= _TRACE_GOAL_MS else "missed"
    print(f"trace of one recipient, worst of {_ASKED}: {worst:.1f} ms (goal at most {_TRACE_GOAL_MS}: {said})")
    print(f"time, trace / grep: {middle / statistics.median(found):.4f}")


if __name__ == "__main__":
    main()
