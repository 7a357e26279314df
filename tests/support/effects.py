"""A study of calls, a half held out, and what it has shown: for tests of who tells it."""

from __future__ import annotations

import numpy as np

from attrition.calls.effect import Effect, Enrolled, measure
from attrition.calls.sequence import ConfidenceSequence


def effect_of(called_left: int, held_out_left: int, each: int = 1000, kind: str = "call") -> Effect:
    """So many to be called, all of them reached, and as many held out, all at a risk of .4.

    Args:
        called_left, held_out_left: how many of each group left.
        each: the size of each group.
        kind: of the action.
    """
    is_called = np.arange(2 * each) < each
    left = np.tile(np.arange(each), 2) < np.repeat([called_left, held_out_left], each)
    return measure(
        Enrolled(
            np.full(2 * each, 0.4),
            is_called,
            np.full(2 * each, 0.5),
            left.astype(np.float64),
            is_called,
            np.where(is_called, kind, ""),
        ),
        ConfidenceSequence(),
    )
