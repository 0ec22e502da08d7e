"""``roost simulate``: repeatable, in both forms, of invented and recorded load; faults name field and place."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conftest import Roost
from roost.cli.plot import bars, curves, svg_bars

SMALL = ("simulate", "--mailboxes", "600", "--nodes", "4", "--days", "3")


def test_balancing_beats_round_robin_and_can_be_repeated(roost: Roost, tmp_path: Path) -> None:
    picture = tmp_path / "balance.svg"
    first = roost(*SMALL, "--deaths", "1", "--svg", str(picture), "--output", "json")
    assert (first.status, first.err) == (0, "")
    assert first.json == roost(*SMALL, "--deaths", "1", "--output", "json").json
    days = first.json["days"]
    assert len(days) == 3
    assert days[-1]["worst"] < days[-1]["unbalanced"]
    assert any(day["away"] for day in days)
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")  # noqa: S314 (our own)


def test_the_table_and_the_plots_are_shown(roost: Roost) -> None:
    told = roost(*SMALL, "--moves", "5").out
    assert told.startswith("DAY  MAILBOXES  WORST")
    assert "o round robin   * balanced" in told
    assert "mailboxes moved" in told
    assert "\\x0a" not in told


def test_the_budget_is_kept(roost: Roost) -> None:
    days = roost(*SMALL, "--moves", "5", "--bytes", "1G", "-o", "json").json["days"]
    assert all(day["moved"] <= 5 and day["bytes"] <= 2**30 for day in days)


@pytest.mark.parametrize(
    ("option", "value"), [("mailboxes", "0"), ("nodes", "1001"), ("fullness", "0"), ("growth", "-1"), ("bytes", "x")]
)
def test_what_cannot_be_names_the_field(roost: Roost, option: str, value: str) -> None:
    ran = roost("simulate", f"--{option}={value}")
    assert (ran.status, f"(field: {option})" in ran.err) == (2, True), ran.err


def test_recorded_load(roost: Roost, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    lines = [f"ms{n % 3},{n},{n / 1e6},{n / 1e3},1000000,{10_000_000 + n}" for n in range(1, 200)]
    file.write_text("home,logins,cpu,io,memory,size\n" + "\n".join(lines))
    found = roost("simulate", "--load", str(file), "--days", "2", "--growth", "0", "-o", "json").json
    assert found["nodes"] == ["ms0", "ms1", "ms2"]
    assert found["days"][0]["mailboxes"] == 199


def test_faults_of_a_file_have_their_places(roost: Roost, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("home,logins,cpu,io,memory,size\nms1,1,2,3,4,5\nms1,x,2,-3,4,nan\nms1,1\n")
    findings = roost("simulate", "--load", str(file), "-o", "json").err
    assert roost("simulate", "--load", str(file)).status == 2
    for words in ('"line": 3', '"column": 5', '"field": "logins"', '"field": "io"', '"field": "size"', '"line": 4'):
        assert words in findings
    file.write_text("home,logins\n")
    assert "names no column cpu" in roost("simulate", "--load", str(file), "-o", "json").err
    assert roost("simulate", "--load", str(tmp_path / "none")).status == 2


def test_pictures_of_a_plan() -> None:
    lines = bars(("before", "after"), ["ms1", "ms2"], [0.9, 0.1], [0.5, 0.5])
    assert [line.split()[-1] for line in lines] == ["90.0%", "50.0%", "10.0%", "50.0%"]
    assert len({len(line) for line in lines}) == 1
    drawn = ET.fromstring(svg_bars("Processors & <disks>", ["ms1", "ms2"], [0.9, 0.1], [0.5, 0.5]))  # noqa: S314 (our own)
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 4 + 2
    assert curves({}) == []
