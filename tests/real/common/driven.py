"""A driver used as the agent uses it, on a daemon of the test's own."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import ClassVar

from roost.domain.desired import NodeSettings, Value
from roost.ports.driver import Batch, Driver, TableStore
from roost.ports.host import Facts, File

from .machines import Rooted
from .services import PrivateServices
from .waiting import wait_until


class Driven:
    """Base of what each folder calls its instance, server or resolver. It sets what is declared here."""

    host: Rooted
    services: PrivateServices
    driver: Driver
    facts: Facts

    logs: tuple[Path, ...] = ()
    """Files into which the daemon logs."""

    complaint: ClassVar[str] = r"(?!)"
    """What a line of the log says if something is wrong: a regular expression."""

    expected: list[str]
    """Words of complaints that the test expects."""

    systemd: frozenset[str] = frozenset()
    """Files that only systemd reads."""

    def settings(self) -> NodeSettings:
        raise NotImplementedError

    def owned(self, file: File) -> File:
        """Return a file with an owner that the test may give it."""
        return file

    def write(self, wanted: NodeSettings | None = None) -> frozenset[str]:
        """Write the files that differ, and return the paths of those that the daemon should hear of."""
        changed = set()
        for rendered in self.driver.render(wanted or self.settings(), self.facts):
            file, found = self.owned(rendered), self.host.read(rendered.path)
            if found is None or (found.content, found.mode) != (file.content, file.mode):
                self.host.write(file)
                changed.add(file.path)
        return frozenset(changed) - self.systemd

    def configure(self, wanted: NodeSettings | None = None) -> frozenset[str]:
        """Make folders, write what differs, check, activate; return the paths that changed."""
        for path, mode, owner in self.driver.folders():
            self.host.make_folder(path, mode, owner)
        changed = self.write(wanted)
        self.driver.check(self.host)
        self.driver.activate(self.host, self.services, changed)
        return changed

    def bring(self, wanted: NodeSettings | None = None) -> frozenset[str]:
        """Do all that the agent does with settings; fails where the daemon does not live at once."""
        changed = self.configure(wanted)
        self.driver.alive(self.host, self.services)
        return changed

    def is_alive(self) -> bool:
        with contextlib.suppress(Exception):
            self.driver.alive(self.host, self.services)
            return True
        return False

    def wait_alive(self) -> None:
        try:
            wait_until(self.is_alive, "the daemon lives")
        except AssertionError:
            raise AssertionError(self.log()[-4000:]) from None

    def stop(self) -> None:
        self.driver.stop(self.services)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.logs if path.exists())

    def assert_log_is_clean(self) -> None:
        """No process may have crashed, warned or complained, but as the test expected."""
        bad = [
            line
            for line in self.log().splitlines()
            if re.search(self.complaint, line) and not any(words in line for words in self.expected)
        ]
        assert not bad, "\n".join(bad[:20])

    @property
    def table(self) -> TableStore:
        """The one table, opened anew as after a change of settings."""
        return self.table_of(self.settings())

    def table_of(self, wanted: NodeSettings) -> TableStore:
        (table,) = self.driver.tables(wanted, self.host)
        return table

    def put(self, *rows: tuple[str, Value | None]) -> None:
        """Apply rows as the next revision."""
        table = self.table
        position = table.position()
        table.apply(Batch(rows, position + 1, position))
