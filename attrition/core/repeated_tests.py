"""How much of an allowed error each of any number of tests, one after the other, may spend."""

from __future__ import annotations

from math import pi


def spent_at(number: int) -> float:
    """The share of the allowed error for a test: 6 / (pi k)^2 for the k-th, which sums to 1.

    Args:
        number: of the test, from 1 on.
    """
    return 6 / (pi * number) ** 2
