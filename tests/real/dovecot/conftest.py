"""A private Dovecot in a temporary folder, driven by the driver itself, on high ports of an own loopback address.

Root is needed, as Dovecot's processes have several users. Of which machine it is: see ``common/machines.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ..common.machines import ROOTS, name_of
from .instance import Instance, TestCa, private_dovecot, remove_mail_user


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
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
