"""A private Dovecot in a temporary folder, driven by the driver itself, on high ports of an own loopback address.

This machine's Dovecot is tried; and, where ``ROOST_DOVECOT_ROOT`` names the root folder of another Debian with
Dovecot in it, that one too, by chroot. Root is needed, as Dovecot's processes have several users.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .instance import Instance, TestCa, private_dovecot, remove_mail_user

_OTHER_ROOT = os.environ.get("ROOST_DOVECOT_ROOT", "")


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> TestCa:
    return TestCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session", params=["", _OTHER_ROOT] if _OTHER_ROOT else [""], ids=lambda path: path or "here")
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """The root folder of the machine whose Dovecot is tried; '' is this one."""
    assert os.geteuid() == 0, "Dovecot's private instance needs root"
    yield request.param
    remove_mail_user(request.param)


@pytest.fixture
def dovecot(root: str, ca: TestCa) -> Iterator[Instance]:
    """A running Dovecot with the accounts of nobody yet."""
    with private_dovecot(root, ca) as instance:
        yield instance
        instance.assert_log_is_clean()
