"""Figures, alerts and board as Prometheus itself sees them (promtool), and whether their names are one another's."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from roost.cli.metrics import AUTHORITY, CERTIFICATE, CONTROLLER_JOB, JOB, KEY, _labels, _say_job, _target
from roost.domain.figures import CONTROLLER, METRICS
from roost.wire.resources import NodeView

from ..common.authority import TestCa
from .exposed import agent_text, controller_text, names_in

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "monitoring"
ALERTS, ALERTS_TEST, BOARD = (
    MONITORING / f"roost-{name}" for name in ("alerts.yml", "alerts-test.yml", "board.json")
)
_NAME = re.compile(r"\broost_[a-z_]+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def promtool(*argv: str, stdin: str = "") -> str:
    ran = subprocess.run(
        ["promtool", *argv], input=stdin, capture_output=True, text=True, check=False, cwd=MONITORING
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def expressions() -> list[str]:
    """Return every expression of the rules and of the board."""
    rules = re.findall(r"^ +expr: '(.*)'$", ALERTS.read_text(), re.MULTILINE)
    panels = json.loads(BOARD.read_text())["panels"]
    return [text.replace("''", "'") for text in rules] + [
        target["expr"] for panel in panels for target in panel.get("targets", [])
    ]


def metrics_of(text: str) -> set[str]:
    found = set()
    for name in _NAME.findall(text):
        base = _SUFFIX.sub("", name)
        found.add(base if METRICS.get(base) and METRICS[base].bounds else name)
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("exposed")
    return {"agent": agent_text(folder), "controller": controller_text(folder)}


@pytest.mark.parametrize("who", ["agent", "controller"])
def test_what_is_told_is_well_formed(texts: dict[str, str], who: str) -> None:
    """promtool also complains of names and units that are not the custom."""
    assert promtool("check", "metrics", stdin=texts[who]) == ""


def test_promtool_does_complain() -> None:
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input="# TYPE x counter\nx 1\n", capture_output=True, text=True, check=False
    )
    assert "x" in ran.stdout + ran.stderr
    assert ran.returncode != 0


def test_every_metric_is_told_by_whom_the_list_says(texts: dict[str, str]) -> None:
    """And nothing is told that the list does not have. The end of a certificate is told by both."""
    found = {who: metrics_of("\n".join(names_in(text))) for who, text in texts.items()}
    of_controller = {name for name, metric in METRICS.items() if metric.teller == CONTROLLER}
    both = {"roost_certificate_expires_timestamp_seconds"}
    assert found["controller"] == of_controller | both
    assert found["agent"] == set(METRICS) - of_controller


def test_rules_and_board_name_only_what_is_told_and_leave_nothing_out() -> None:
    used = metrics_of("\n".join(expressions()))
    assert used - set(METRICS) == set()
    assert set(METRICS) - used == set()


def test_the_rules_are_good_and_each_does_what_it_should() -> None:
    """The file beside them has for each a case that fires and one that looks alike and does not."""
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERTS_TEST))
    alerts = re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE)
    cases = re.findall(r"^  - name: (\w+) (fires|is silent)$", ALERTS_TEST.read_text(), re.MULTILINE)
    assert len(set(alerts)) == len(alerts) > 20
    assert sorted(cases) == sorted((alert, how) for alert in alerts for how in ("fires", "is silent"))


def test_every_alert_leads_to_a_page_that_is_there() -> None:
    text = ALERTS.read_text()
    runbooks = re.findall(r"^ +runbook: '([^#]+)#([\w-]+)'$", text, re.MULTILINE)
    assert len(runbooks) == text.count("- alert: ") == text.count("summary: ") == text.count("severity: ")
    for page, anchor in runbooks:
        headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
        assert anchor in {_anchor(heading) for heading in headings}, f"{page} has no #{anchor}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_board_is_whole() -> None:
    """Every panel asks something, none lies on another, each has a title."""
    board: dict[str, Any] = json.loads(BOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"]
        assert (panel["type"] == "row") != bool(panel.get("targets"))
    for expression in (target["expr"] for panel in panels for target in panel.get("targets", [])):
        rule = f"groups: [{{name: x, rules: [{{record: x, expr: {json.dumps(expression)}}}]}}]"
        (checked,) = [promtool("check", "rules", "/dev/stdin", stdin=rule)]
        assert "SUCCESS" in checked, expression


def test_prometheus_takes_the_scrape_configuration(tmp_path: Path, ca: TestCa) -> None:
    """With rules and certificate, as the how-to puts them together."""
    ca.issue(tmp_path, ("prometheus.example.net",))
    for name, made in (
        (AUTHORITY, ca.path),
        (CERTIFICATE, tmp_path / "service.crt"),
        (KEY, tmp_path / "service.key"),
    ):
        (tmp_path / name).write_bytes(made.read_bytes())
    nodes = [
        NodeView(name=f"ms{n}.cluster.test", roles=["storage", "dns"], addresses=[], joined=True) for n in (1, 2)
    ]
    said = [f"rule_files: ['{ALERTS}']", "scrape_configs:"]
    _say_job(said.append, JOB, tmp_path, [(_target(node), _labels(node)) for node in nodes])
    _say_job(said.append, CONTROLLER_JOB, tmp_path, [("control.cluster.test:8443", {"instance": "controller"})])
    (tmp_path / "prometheus.yml").write_text("\n".join(said))
    assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))
