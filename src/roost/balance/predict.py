"""From measured rates to the peak that is planned with; and figures that nobody should believe, refused.

A mailbox's rate in each dimension is measured twice: with a half-life of a week (what is usual) and of an hour (what
is now). The week has a *pattern*: for each of its 168 hours, how many times the usual rate the fleet takes then.

    peak = usual · highest of the pattern  +  trust · what now is above usual · pattern of this hour

Memory and disk do not follow the hours, so their pattern is 1.

So a mailbox counts as much as it usually takes in the week's busiest hour. A new habit is believed by a quarter at
once and wholly within weeks, while one wild hour moves nobody.

Refused are figures that are missing, negative, no number, or absurd: more than a whole node has. A counter that began
anew gives one of these. Who is refused counts as nothing and must stay where he is; it is told how many and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import Flags, Floats, Peaks
from roost.domain.errors import BadSetting

HOURS = 168
TRUST = 0.25


class Rubbish(StrEnum):
    """Why a mailbox's figures were refused."""

    MISSING = "missing"
    NEGATIVE = "negative"
    ABSURD = "absurd"


@dataclass(frozen=True)
class Prediction:
    """Peaks (mailboxes × dimensions), and whose figures were refused."""

    demand: Peaks
    refused: dict[Rubbish, NDArray[np.intp]]
    """Numbers of mailboxes, for each reason that occurred; each mailbox once."""

    @property
    def stays(self) -> Flags:
        """Say who must not be moved, since nothing is known of him."""
        held = np.zeros(len(self.demand), np.bool_)
        for numbers in self.refused.values():
            held[numbers] = True
        return held


def peaks(usual: Floats, now: Floats, pattern: Floats, hour: int, most: Floats) -> Prediction:
    """Return what each mailbox will take in the busiest hour.

    ``usual`` and ``now`` are rates (mailboxes × dimensions) with half-lives of a week and an hour; ``pattern`` has
    168 factors, Monday's first hour first, and ``hour`` is the present one's place; ``most`` is what the largest
    node has of each dimension. Raises ``BadSetting`` for an impossible pattern.
    """
    if pattern.shape != (HOURS,) or not np.isfinite(pattern).all() or (pattern < 0).any():
        raise BadSetting("A week's pattern has 168 factors, none below 0.", field="pattern")
    missing = ~(np.isfinite(usual) & np.isfinite(now)).all(axis=1)
    with np.errstate(invalid="ignore"):
        negative = ((usual < 0) | (now < 0)).any(axis=1) & ~missing
        absurd = ((usual > most) | (now > most)).any(axis=1) & ~missing & ~negative
        peak = usual * _by_hour(pattern.max()) + TRUST * np.maximum(now - usual * _by_hour(pattern[hour % HOURS]), 0)
    peak[missing | negative | absurd] = 0
    found = {Rubbish.MISSING: missing, Rubbish.NEGATIVE: negative, Rubbish.ABSURD: absurd}
    refused = {reason: np.flatnonzero(which) for reason, which in found.items() if which.any()}
    return Prediction(peak.astype(np.float32), refused)


def _by_hour(factor: float) -> Floats:
    """Return the factor for the dimensions that follow the hours of the week, 1 for the others."""
    return np.array([factor, factor, 1.0, 1.0])
