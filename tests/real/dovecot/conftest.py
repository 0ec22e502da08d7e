"""A private Dovecot in a temporary folder, driven by the driver itself, on high ports of an own loopback address.

Two machines are tried: this one, and, where ``ROOST_DOVECOT_ROOT`` names the root folder of another Debian with
Dovecot in it (made by debootstrap), that one by chroot. Root is needed, as Dovecot's processes have several users.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .instance import Instance, Layouts, TestCa

_LAST = itertools.count(1)


def _missing(words: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> TestCa:
    return TestCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session", params=["here", "root"])
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """The root folder of the machine whose Dovecot is tried; '' is this one."""
    if os.geteuid() != 0:
        _missing("Dovecot's private instance needs root")
    folder = ""
    if request.param == "root":
        folder = os.environ.get("ROOST_DOVECOT_ROOT", "")
        if not folder:
            pytest.skip("ROOST_DOVECOT_ROOT names no other Debian")
    if not (Path(folder or "/") / "usr/sbin/dovecot").exists():
        _missing("Dovecot is not installed")
    yield folder
    prefix = ["chroot", folder] if folder else []
    for command in (["userdel", Layouts.USER], ["groupdel", Layouts.USER]):
        subprocess.run([*prefix, *command], check=False, capture_output=True)


@pytest.fixture
def dovecot(root: str, ca: TestCa) -> Iterator[Instance]:
    """A running Dovecot with the accounts of nobody yet."""
    # The folder's name is short: a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp"))
    folder.chmod(0o755)
    mounted = Path(f"{root}{folder}")
    if root:
        mounted.mkdir()
        subprocess.run(["mount", "--bind", str(folder), str(mounted)], check=True)
    instance = Instance(root, folder, f"127.0.{10 + os.getpid() % 200}.{next(_LAST) % 250 + 1}", ca)
    try:
        instance.install()
        yield instance
        instance.assert_log_is_clean()
    finally:
        instance.stop()
        if root:
            subprocess.run(["umount", str(mounted)], check=True)
            mounted.rmdir()
        shutil.rmtree(folder)
