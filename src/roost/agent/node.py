"""The node: its drivers brought to what the settings say, its tables to what the feed says.

One lock lets one change happen at a time; looking needs none. A driver that fails does not stop the others: its
words become the node's health, and it is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from roost.agent import files, tables
from roost.agent.disk import Disk
from roost.domain.change import FOUND
from roost.domain.desired import FOLLOWERS, NodeSettings, Table
from roost.domain.errors import DaemonFailed, RoostError, TooMuchChange
from roost.ports.driver import Batch, Driver, Metered, TableStore, Telling
from roost.ports.host import Facts, Host, Services
from roost.ports.mailstore import Mailstore
from roost.ports.usage import Teller
from roost.wire.agent_messages import DriftFinding, DriftReport, TableNews

_log = structlog.get_logger()
PAUSE_SECONDS = 5.0
"""For how long a table that could not take its rows is left alone."""


class Node:
    """This machine, with its drivers. Drivers come in the order in which they are to be brought up."""

    def __init__(
        self,
        drivers: Sequence[Driver],
        host: Host,
        services: Services,
        disk: Disk,
        gather: Callable[[], Facts],
    ) -> None:
        self._drivers = drivers
        self._host = host
        self._services = services
        self._disk = disk
        self._gather = gather
        self._lock = threading.RLock()
        self._tables: dict[Table, tuple[Driver, TableStore]] = {}
        self._paused: dict[Table, float] = {}
        self._seen: dict[Table, int] = {}
        self._mailstore: Mailstore | None = None
        self.taken: Callable[[], None] = lambda: None
        """Called after rows were applied."""

        self.findings = 0
        """Things that were not as they should be, since the agent began."""

        self.braked = False
        """Whether the last check held a repair back."""

        self.answered = 0.0
        """When the controller answered last, in seconds (UNIX); 0: never."""

        self.settings = disk.settings()
        self.state = disk.state()
        self.health: dict[str, str] = {}
        self._noticed: dict[str, str] = {}

    # What the controller is told

    def complaints(self) -> dict[str, str]:
        """Return what is wrong with each driver: what failed, and what was noticed in passing."""
        said = dict(self.health)
        for name, words in self._noticed.items():
            said[name] = f"{said[name]} {words}" if name in said else words
        return said

    def positions(self) -> dict[str, int]:
        """Return how far the node is: its applied settings and its tables, as the daemons' data says."""
        positions = {"settings": self.state.applied}
        for table, (driver, store) in list(self._tables.items()):
            try:
                positions[table] = max(store.position(), self._seen.get(table, 0))
            except RoostError as error:
                self._ill(driver, error)
        return positions

    def paused(self) -> list[str]:
        """Return the tables that cannot take rows at the moment."""
        now = time.monotonic()
        return [str(table) for table, until in self._paused.items() if until > now]

    def loaded(self) -> bool:
        """Say whether every table has been complete once."""
        return all(table in self.state.loaded for table in self._tables)

    # What a monitoring system is told

    def daemons(self) -> dict[str, bool]:
        """Return the daemons of this node's roles, and whether each is well."""
        roles = set(self.settings.roles) if self.settings else set()
        wanted = (driver.name for driver in self._drivers if not driver.roles or driver.roles & roles)
        return {name: name not in self.health for name in wanted}

    def metered(self) -> dict[str, Metered]:
        """Return the drivers of this node's roles that have figures to tell; those whose daemon may not run, not."""
        there = self.daemons()
        return {
            driver.name: driver
            for driver in self._drivers
            if driver.name in there and isinstance(driver, Metered) and self._may_start(driver)
        }

    # What mailboxes are used

    def teller(self) -> Teller | None:
        """Return what tells of each mailbox; None where this node has none, or its accounts are not loaded yet."""
        settings = self.settings
        if settings is None or Table.ACCOUNTS not in self.state.loaded:
            return None
        for driver in self._drivers:
            if isinstance(driver, Telling) and driver.roles & set(settings.roles):
                return driver.usage(self._host)
        return None

    # Settings

    def recover(self) -> None:
        """Undo what a crash has left half done."""
        with self._lock:
            for driver in self._drivers:
                if files.undo_leftovers(driver, self._host, self._disk):
                    _log.warning("undid a change that was cut off", driver=driver.name)

    def rest(self) -> None:
        """Wait until the change in hand has ended, and begin none any more. Called last, before the process ends."""
        self._lock.acquire()

    def take_settings(self, settings: NodeSettings) -> None:
        """Keep new settings, then bring the node to them."""
        with self._lock:
            self._disk.keep_settings(settings)
            self.settings = settings
            self.converge()

    def converge(self) -> list[DriftFinding]:
        """Bring every driver to the settings; return what was not as it should be. Quick where nothing is to do."""
        if self.settings is None:
            return []
        found: list[DriftFinding] = []
        with self._lock:
            facts = self._gather()
            fine = True
            for driver in self._drivers:
                try:
                    if driver.roles and not driver.roles & set(self.settings.roles):
                        self._retire(driver)
                        continue
                    installed = self._services.ensure_packages(driver.packages())
                    if installed:
                        facts = self._gather()
                        _log.info("installed packages", driver=driver.name, packages=" ".join(installed))
                    found += self._converge_one(driver, facts)
                    self._well(driver)
                except RoostError as error:
                    fine = False
                    self._ill(driver, error)
                except Exception as error:  # noqa: BLE001 - a fault in one driver keeps no other from its work
                    fine = False
                    _log.exception("a fault in a driver", driver=driver.name)
                    self._ill(driver, RoostError(f"A fault in Roost itself: {error!r}."))
            if fine and self.state.applied != self.settings.revision:
                self.state.applied = self.settings.revision
                self._disk.keep_state(self.state)
        self.findings += len(found)
        return found

    def _converge_one(self, driver: Driver, facts: Facts) -> list[DriftFinding]:
        assert self.settings is not None  # noqa: S101 - converge looked
        wanted = files.plan(driver, self.settings, facts, self._host, self._disk)
        table = self._waits_for(driver)
        if table in self.state.loaded and table not in self._tables:
            # Has it lost its data while nobody looked? Then its daemon must not be started, nor be missed.
            self._register(driver)
            self.unload_emptied()
        start = self._may_start(driver)
        known = bool(self._disk.owned(driver.name))
        down = self._complaint(driver) if start and not wanted.changes else ""
        if wanted.changes or down:
            files.carry_out(driver, wanted, self._host, self._services, self._disk, start=start)
            _log.info("applied files", driver=driver.name, changed=len(wanted.changes), started=start)
        fresh = wanted.changes or not any(owner is driver for owner, _ in self._tables.values())
        if fresh:
            self._register(driver)
            if start != self._may_start(driver) or not start:
                self._hold(driver)
        if not known or self.state.applied != self.settings.revision:
            return []
        found = [
            DriftFinding(driver=driver.name, what=change.what, found=FOUND[change.kind], repaired=True)
            for change in wanted.changes
        ]
        if down:
            found.append(DriftFinding(driver=driver.name, what=down, found="down", repaired=True))
        return found

    def _register(self, driver: Driver) -> None:
        assert self.settings is not None  # noqa: S101 - converge looked
        stores = driver.tables(self.settings, self._host)
        self._leave(driver, {store.table for store in stores})
        for store in stores:
            self._tables[store.table] = (driver, store)

    def _leave(self, driver: Driver, kept: set[Table]) -> None:
        """Follow a driver's tables no longer, but for those that are ``kept``."""
        left = {table for table, (owner, _) in self._tables.items() if owner is driver} - kept
        for table in left:
            del self._tables[table]
        if Table.ACCOUNTS in left:
            self._mailstore = None
        if left:
            self.state.loaded = [name for name in self.state.loaded if name not in left]
            self._disk.keep_state(self.state)

    def _complaint(self, driver: Driver) -> str:
        """Return what is wrong with a daemon that should run and answer; '' where it does."""
        try:
            driver.alive(self._host, self._services)
        except RoostError as error:
            return error.message
        return ""

    def _may_start(self, driver: Driver) -> bool:
        """Say whether the daemon may answer: one that would refuse what its empty table lacks waits for the table."""
        table = self._waits_for(driver)
        return table is None or table in self.state.loaded

    def _waits_for(self, driver: Driver) -> Table | None:
        """Return the table for which a daemon waits on this node: one that the node's roles make it follow."""
        table = driver.waits_for_table
        if self.settings is None or table is None or not FOLLOWERS[table] & set(self.settings.roles):
            return None
        return table

    def _hold(self, driver: Driver) -> None:
        if not self._may_start(driver):
            driver.stop(self._services)

    def _retire(self, driver: Driver) -> None:
        """The node has lost the role: stop the daemon, once."""
        if not self._disk.owned(driver.name):
            return
        driver.stop(self._services)
        self._leave(driver, set())
        for path in self._disk.owned(driver.name):
            self._host.remove(path)
        self._disk.keep_owned(driver.name, set())
        self._disk.keep_state(self.state)

    # Tables

    def take_rows(self, name: str, news: TableNews) -> None:
        """Apply a page of the feed to its table; a failure pauses the table and becomes its driver's health."""
        with self._lock:
            table = Table(name)
            driver, store = self._tables[table]
            try:
                since = store.position()
                if news.rows:
                    store.apply(Batch(news.rows, news.upto, since))
                self._seen[table] = news.upto
                if news.rows and table not in self.state.filled:
                    self.state.filled.append(str(table))
                    self._disk.keep_state(self.state)
                if not news.more:
                    self._complete(table)
                self._well(driver)
                self.taken()
            except RoostError as error:
                self._paused[table] = time.monotonic() + PAUSE_SECONDS
                self._ill(driver, error)

    def take_silence(self, asked: set[str], answered: set[str]) -> None:
        """The controller had nothing for tables that were asked for: they are complete."""
        with self._lock:
            for name in asked - answered:
                if name in self._tables:
                    self._complete(Table(name))

    def _complete(self, table: Table) -> None:
        if table in self.state.loaded:
            return
        self._tables[table][1].complete()
        self.state.loaded.append(str(table))
        self._disk.keep_state(self.state)
        self.converge()

    def unload_emptied(self) -> None:
        """A table that has lost its data is not complete any more; its daemon waits until it is again."""
        with self._lock:
            for table, (driver, store) in self._tables.items():
                if table in self.state.filled and store.position() == 0:
                    _log.warning("a table has lost its data", table=str(table))
                    self._seen.pop(table, None)
                    # What it knew of moves is gone as well: they are begun anew.
                    self._mailstore = None
                    self.state.filled.remove(str(table))
                    self.state.loaded = [name for name in self.state.loaded if name != table]
                    self._disk.keep_state(self.state)
                    self._hold(driver)

    def adopt(self, epoch: str, controller: tables.Comparer, *, lifted: bool = False) -> None:
        """Follow another store: a new node does it at once, one that has tables makes them the store's first.

        ``lifted``: an administrator has lifted the brake.
        """
        with self._lock:
            for driver, store in self._tables.values():
                if self.state.epoch and store.position() > 0:
                    try:
                        found = tables.resync(store, controller, lifted=lifted)
                    except (TooMuchChange, DaemonFailed) as error:
                        # It is tried at each turn; until then 'roost status' says why the node stays behind.
                        self.health[str(store.table)] = str(error)
                        raise
                    self.health.pop(str(store.table), None)
                    _log.warning("compared with a restored store", driver=driver.name, repaired=len(found))
            self._seen.clear()
            self.state.epoch = epoch
            self._disk.keep_state(self.state)

    # Moves

    def mailstore(self) -> Mailstore | None:
        """Return this node's mailboxes for moves; None where it has none or they are not loaded yet."""
        settings = self.settings
        if settings is None or not {Table.ACCOUNTS, Table.MOVES} <= set(self.state.loaded):
            return None
        if self._mailstore is not None:
            # Without the lock: other nodes' questions do not wait for what the drivers do.
            return self._mailstore
        with self._lock:
            for driver in self._drivers:
                if self._mailstore is None and driver.roles & set(settings.roles):
                    self._mailstore = driver.mailstore(settings, self._host)
        return self._mailstore

    # Checks

    def check(self, number: int, controller: tables.Comparer, *, lifted: bool = False) -> DriftReport:
        """Compare everything with what it should be, repair it, and say what was found.

        ``lifted``: an administrator has lifted the brake.
        """
        began = time.monotonic()
        found = self.converge()
        of_files = len(found)
        refused, checked = [], 0
        for driver, store in list(self._tables.values()):
            with self._lock:
                differing, rows, _ = tables.compare(store, controller)
                checked += rows
                try:
                    tables.repair(store, differing, rows, lifted=lifted)
                    found += tables.findings(driver.name, differing, repaired=True)
                except RoostError as error:
                    # The brake, or a daemon that cannot take it; the report says so, and the feed goes on.
                    found += tables.findings(driver.name, differing, repaired=False)
                    refused.append(f"{driver.name}: {error}")
        self.findings += len(found) - of_files
        self.braked = bool(refused)
        for finding in found:
            _log.warning("drift", driver=finding.driver, what=finding.what, found=finding.found)
        return DriftReport(
            number=number,
            findings=found,
            rows_checked=checked,
            seconds=round(time.monotonic() - began, 3),
            refused=" ".join(refused),
        )

    def tick(self) -> None:
        """Let every driver do its small regular work; none of it changes what the settings or the feed say."""
        if self.settings is None:
            return
        for driver in self._drivers:
            if self._disk.owned(driver.name):
                try:
                    driver.tick(self.settings, self._host)
                    self._noticed.pop(driver.name, None)
                except RoostError as error:
                    if self._noticed.get(driver.name) != str(error):
                        _log.warning("tick failed", driver=driver.name, reason=str(error))
                    self._noticed[driver.name] = str(error)
            else:
                self._noticed.pop(driver.name, None)

    def _ill(self, driver: Driver, error: RoostError) -> None:
        if self.health.get(driver.name) != str(error):
            _log.error("driver failed", driver=driver.name, reason=str(error))
        self.health[driver.name] = str(error)

    def _well(self, driver: Driver) -> None:
        if self.health.pop(driver.name, None) is not None:
            _log.info("driver is well again", driver=driver.name)
