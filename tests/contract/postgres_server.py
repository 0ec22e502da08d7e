"""A PostgreSQL server of Debian's package, for the time of a test run: temporary folder, Unix socket only."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_SECONDS = 60.0


class PostgresServer:
    """Started by ``start``; ends with ``stop``, or when the process that started it dies."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise FileNotFoundError("There is no PostgreSQL below /usr/lib/postgresql: install postgresql.")
        self._bin = found[-1].parent
        # The server refuses to run as root; a developer who is not root runs it as himself.
        self._user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="roost-postgres-"))

    def _argv(self, program: str, *arguments: str) -> list[str]:
        # The signal (a fast shutdown) reaches the server when this process dies before it could stop it.
        drop = ["setpriv", "--pdeathsig=INT"]
        if os.geteuid() == 0:
            drop += [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
        return [*drop, str(self._bin / program), *arguments]

    def start(self) -> None:
        """Make the cluster's files and start it; returns when it answers."""
        os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        data = str(self.folder / "data")
        options = ["--auth=trust", "--username=roost", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        with (self.folder / "log").open("wb") as log:
            subprocess.run(self._argv("initdb", "-D", data, *options), check=True, stdout=log, stderr=log)
            settings = ["listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off"]
            settings += ["max_connections=60", "shared_buffers=32MB"]
            flags = [part for setting in settings for part in ("-c", setting)]
            self._process = subprocess.Popen(self._argv("postgres", "-D", data, *flags), stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg.connect(f"host={self.folder} user=roost dbname=postgres").close()
            except psycopg.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def new_database(self, template: str = "template0") -> str:
        """Make a database as a copy of another, by default an empty one, and return its URL."""
        name = f"roost{next(self._numbers)}"
        with psycopg.connect(f"host={self.folder} user=roost dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        return f"postgresql+psycopg://roost@/{name}?host={self.folder}"

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None:
            # At once: nothing of it is needed any more.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_SECONDS)
        shutil.rmtree(self.folder)
