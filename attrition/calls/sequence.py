"""Intervals for a mean that hold at whatever moment one looks, as often as one looks.

An ordinary 90 % interval looked at after every list leaves out the truth at some look far more
often than in 10 % of studies. These are wider, and do not.

Source: the asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
Time-uniform central limit theory (Annals of Statistics 2024, arXiv 2103.06476), theorem 2.2 and its
one-sided form; `tightest_at` is their t*.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

_ROWS = range(1, 10**9 + 1)  # as many as are counted


@dataclass(frozen=True)
class ConfidenceSequence:
    """How wide the intervals are.

    Attributes:
        level: share 0-1 of studies in which every interval, at every look, holds the truth.
        tightest_at: number of rows at which the intervals are narrowest for what they promise; to
            be fixed before the study. Twice or half as many cost little.
    """

    level: float = 0.90
    tightest_at: int = 1000

    def half_width(self, rows: int, deviation: float) -> float:
        """Half the width of the interval around the mean of so many rows.

        Args:
            rows: number of rows, at least 1.
            deviation: standard deviation of a row.
        """
        scale = 1 + rows * self._precision
        return deviation * self._factor(rows, math.log(math.sqrt(scale) / (1 - self.level)))

    def one_sided_width(self, rows: int, deviation: float) -> float:
        """How far below the mean the bound is that the truth stays above; arguments as above."""
        scale = 1 + rows * self._precision
        logarithm = math.log(1 + math.sqrt(scale) / (2 * (1 - self.level)))
        return deviation * self._factor(rows, logarithm)

    def rows_needed(self, effect: float, deviation: float) -> int | None:
        """The fewest rows whose interval around this effect leaves out 0; None: too many to count.

        At least every second study in which this is the true effect has shown it by then.
        """
        enough = bisect_left(
            _ROWS, True, key=lambda rows: self.half_width(rows, deviation) < abs(effect)
        )
        return _ROWS[enough] if enough < len(_ROWS) else None

    @property
    def _precision(self) -> float:
        """The square of the paper's rho."""
        logarithm = -2 * math.log(1 - self.level)
        return (logarithm + math.log(logarithm + 1)) / self.tightest_at

    def _factor(self, rows: int, logarithm: float) -> float:
        scale = 1 + rows * self._precision
        return math.sqrt(2 * scale * logarithm / self._precision) / rows
