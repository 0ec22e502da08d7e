"""What the timer does every night."""

from __future__ import annotations

import gzip
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .conftest import Pair
from .instance import MX


def test_old_days_are_compressed_and_removed(pair: Pair) -> None:
    place = pair.log.place
    days = {age: f"{datetime.now(UTC) - timedelta(days=age):%Y-%m-%d}" for age in (0, 3, 4, 30, 31, 400)}
    for day in days.values():
        (Path(place.logs) / day).mkdir(exist_ok=True)
        (Path(place.logs) / day / f"{MX}.log").write_text(f"of {day}\n")
    (Path(place.logs) / "notes").mkdir()
    for _ in range(2):
        subprocess.run(["sh", f"{place.conf}/tidy", place.logs], check=True)
    left = {path.relative_to(place.logs).as_posix() for path in Path(place.logs).glob(f"*/{MX}*")}
    ends = {0: "", 3: "", 4: ".gz", 30: ".gz"}
    assert left == {f"{days[age]}/{MX}.log{end}" for age, end in ends.items()}
    packed = (Path(place.logs) / days[30] / f"{MX}.log.gz").read_bytes()
    assert gzip.decompress(packed).decode() == f"of {days[30]}\n"
    assert (Path(place.logs) / "notes").is_dir(), "what is not ours stays"
