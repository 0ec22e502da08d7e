"""How long a hold waits for those who have just been let in."""

from __future__ import annotations

import pytest

from roost.drivers.dovecot import beginners
from roost.host.fake import FakeHost
from roost.ports.host import File


@pytest.mark.parametrize(
    ("some", "seconds"),
    [("0.00", 0.02), ("50.00", 0.04), ("75.00", 0.08), ("90.00", 0.2), ("100.00", 0.2)],
)
def test_longer_where_processors_are_waited_for(some: str, seconds: float) -> None:
    host = FakeHost()
    host.write(File("/proc/pressure/cpu", f"some avg10={some} avg60=1.00 avg300=2.00 total=3\nfull avg10=0.00\n"))
    assert beginners.seconds(host) == pytest.approx(seconds)


def test_a_kernel_that_does_not_tell_is_taken_to_be_busy() -> None:
    host = FakeHost()
    assert beginners.seconds(host) == pytest.approx(0.05)
    host.write(File("/proc/pressure/cpu", "some other format\n"))
    assert beginners.seconds(host) == pytest.approx(0.05)
