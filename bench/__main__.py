"""``scripts/bench``: runs a benchmark by its name, or all of them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

NAMES = {
    "mail": "mail through an MX to its homes, against bare Postfix with one fixed next hop",
    "filter": "mail through an MX that judges it, against rspamd asked by itself about the same messages",
    "logs": "a line's way from a node's journal to the log node's file, and to the answer of a trace",
    "change": "one change among 100,000 users, against among 100: store, feed, and every kind of node",
    "import": "an import until every node has it, against building the same files by the daemons' own tools",
    "polling": "polling sessions on a storage node, against Dovecot's defaults and through a proxy",
    "usage": "what it costs a storage node to know what each mailbox is used, against the same without",
    "moving": "live moves as clients see them, against doveadm backup, the recipe by hand, and a copy by IMAP",
    "planner": "a plan of moves, against the bounds of linear programmes, longest first and consistent hashing",
    "trace": "log lines to rows, and one recipient found among ten million lines, against grep",
    "lab": "the lab's start, up to the first mail that is read",
}
_MODULES = {"import": "import_"}


def main() -> int:
    """Run what was asked for; return the exit code."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in {"--help", "-h"}:
        print("scripts/bench NAME [--quick]    NAME --help shows its other options\n")
        for known, what in NAMES.items():
            print(f"  {known:8} {what}")
        print("  all      all of them, one after another")
        return 0
    if name == "all":
        return max(_apart(known, rest) for known in NAMES)
    if name not in NAMES:
        print(f"There is no benchmark {name!r}; there are {', '.join(NAMES)} and all.", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("A benchmark starts daemons: run it as root.", file=sys.stderr)
        return 2
    sys.argv = [f"scripts/bench {name}", *rest]
    importlib.import_module(f"bench.{_MODULES.get(name, name)}").main()
    return 0


def _apart(name: str, options: list[str]) -> int:
    """Run one in a process of its own: each keeps processors for itself, and none has another's memory."""
    print(f"\n== {name}: {NAMES[name]}", flush=True)
    return subprocess.run([sys.executable, "-m", "bench", name, *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
