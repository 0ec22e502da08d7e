"""Benchmarks do not rot: each in its quick form runs to the end and prints its ratio. Figures are not judged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CHEAP = {
    "mail": r"messages/s, roost / bare: [\d.]+ \(goal at least 0.95: (met|missed)\)",
    "filter": r"messages/s, through Postfix / asked directly: [\d.]+",
    "logs": r"p50, log node's file / the node's own journal: [\d.]+",
    "change": r"worst ratio, many / few: [\d.]+ \(goal at most 1.2: (met|missed)\)",
    "polling": r"imap, sessions per CPU second, direct / by proxy: [\d.]+ \(goal at least 1.5: (met|missed)\)",
    "planner": r"bytes, plan / bound: [\d.]+ \(goal at most 1.02: (met|missed)\)",
    "usage": r"imap, share of the daemon's processor time: -?[\d.]+% \(goal at most 2%: (met|missed)\)",
    "trace": r"time, trace / grep: [\d.]+",
}
IN_THE_LAB = {
    "import": r"time, import / raw build: [\d.]+",
    "moving": r"pause p95 at 1000: [\d.]+ s; logins refused: \d+ \(goal 0\)",
    "lab": r"cached start, to the first mail read: \d+ s",
}


def _last_lines(name: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", name, "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return "\n".join(ran.stdout.splitlines()[-3:])


@pytest.mark.parametrize("name", CHEAP)
def test_runs_and_prints_its_ratio(name: str) -> None:
    assert re.search(CHEAP[name], _last_lines(name))


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("name", IN_THE_LAB)
def test_runs_in_the_lab(name: str) -> None:
    assert re.search(IN_THE_LAB[name], _last_lines(name))


def test_help_lists_them_all() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(CHEAP) | set(IN_THE_LAB) <= set(ran.stdout.split())


def test_an_unknown_name_is_refused() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "polling" in ran.stderr
