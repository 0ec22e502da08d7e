"""What each driver makes of given settings: every file as it should be, to the letter.

``cases.json`` names the cases: a driver, the settings (``desired/``), the facts of the machine. What is expected
lies in ``<driver>/<case>``: ``LIST`` has every package, folder and file that the driver renders, with mode and
owner; below it stand the files under their own paths. A change of a template shows here as a change of what comes
to the machines, to be read before it is taken:

    .venv/bin/python -m pytest tests/golden --rewrite-golden && git diff tests/golden

What a driver makes besides files, from rows or by itself (tables, zones, keys), is tried on the daemons (tests/real).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from roost.domain.desired import NodeSettings
from roost.drivers.bind import Bind
from roost.drivers.dovecot import Dovecot
from roost.drivers.hosts import Hosts
from roost.drivers.nftables import Nftables
from roost.drivers.postfix import Postfix
from roost.drivers.redis import Redis
from roost.drivers.rspamd import Rspamd
from roost.drivers.rsyslog import Rsyslog
from roost.drivers.unbound import Unbound
from roost.ports.driver import Driver
from roost.ports.host import Facts

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text())
LIST = "LIST"
_SETTINGS: TypeAdapter[NodeSettings] = TypeAdapter(NodeSettings)


class _Clock:
    """Rendering asks for no time."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)


def _silent(address: str, port: int) -> str:
    return ""


def _nobody(address: str, port: int) -> bool:
    return False


def _gone(*_: object) -> None:
    pass


_ALL: tuple[Driver, ...] = (
    Bind(),
    Dovecot(_Clock(), _silent),
    Hosts(),
    Nftables(),
    Postfix(_silent, _gone),
    Redis(),
    Rspamd(_nobody),
    Rsyslog(),
    Unbound(),
)
DRIVERS = {driver.name: driver for driver in _ALL}


def rendered(driver: Driver, settings: NodeSettings, facts: Facts) -> dict[str, str]:
    """Return what is expected of a case: the list, and each file's content by its path without the first slash."""
    files = sorted(driver.render(settings, facts), key=lambda file: file.path)
    lines = [
        *(f"package {name}" for name in driver.packages()),
        *(f"folder {mode:04o} {owner} {path}" for path, mode, owner in driver.folders()),
        *(f"file {file.mode:04o} {file.owner} {file.path}" for file in files),
    ]
    return {LIST: "\n".join([*lines, ""]), **{file.path.lstrip("/"): file.content for file in files}}


def expected(folder: Path) -> dict[str, str]:
    """Return what lies there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['driver']}-{case['case']}")
def test_files_are_as_they_should_be(case: dict[str, Any], rewrite: bool) -> None:
    folder = HERE / case["driver"] / case["case"]
    settings = _SETTINGS.validate_json((HERE / "desired" / f"{case['desired']}.json").read_bytes())
    driver, facts = DRIVERS[case["driver"]], Facts(**case["facts"])
    found = rendered(driver, settings, facts)
    if rewrite:
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in found.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    should = expected(folder)
    assert sorted(found) == sorted(should)
    for name, content in found.items():
        assert content == should[name], f"{folder / name} is not what is rendered"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['driver']}-{case['case']}")
def test_rendering_is_pure(case: dict[str, Any]) -> None:
    """The order in which the settings name things makes no difference, nor does a second time."""
    settings = _SETTINGS.validate_json((HERE / "desired" / f"{case['desired']}.json").read_bytes())
    turned = dataclasses.replace(settings, peers=settings.peers[::-1])
    driver, facts = DRIVERS[case["driver"]], Facts(**case["facts"])
    assert rendered(driver, settings, facts) == rendered(driver, turned, facts)


def test_every_driver_has_cases_and_nothing_lies_here_without_one() -> None:
    named = {(case["driver"], case["case"]) for case in CASES}
    lying = {(path.parent.parent.name, path.parent.name) for path in HERE.glob(f"*/*/{LIST}")}
    assert lying == named
    assert {driver for driver, _ in named} == set(DRIVERS)


def test_no_path_belongs_to_two_drivers() -> None:
    owners: dict[str, set[str]] = {}
    for case in CASES:
        for name in expected(HERE / case["driver"] / case["case"]):
            owners.setdefault(name, set()).add(case["driver"])
    owners.pop(LIST)
    assert [name for name, drivers in owners.items() if len(drivers) > 1] == []
